"""What an image file says of its geometry, and the label map it holds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK

from nnmtl.errors import NnmtlError

# Headers hold single precision; nnU-Net compares with numpy's relative 1e-5 and then only warns.
_RELATIVE_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class ImageHeader:
    """Geometry as stored: every tuple in (X, Y, Z) order, `direction` row by row."""

    size: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    origin_mm: tuple[float, ...]
    direction: tuple[float, ...]


def read_header(path: Path) -> ImageHeader:
    """The geometry of a three-dimensional image, without reading its voxels.

    Raises:
        NnmtlError: if the file cannot be read or is not three-dimensional.
    """
    reader: Any = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(path) from error
    if reader.GetDimension() != 3:
        raise NnmtlError(
            f"{path}: expected an image of 3 dimensions, got {reader.GetDimension()}; "
            "store each channel as its own file."
        )
    return ImageHeader(
        size=reader.GetSize(),
        spacing_mm=reader.GetSpacing(),
        origin_mm=reader.GetOrigin(),
        direction=reader.GetDirection(),
    )


def read_array(path: Path) -> npt.NDArray[np.generic]:
    """The voxels, (Z, Y, X).

    Raises:
        NnmtlError: if the file cannot be read or is not three-dimensional.
    """
    read_header(path)
    try:
        array: npt.NDArray[np.generic] = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    except RuntimeError as error:
        raise _unreadable(path) from error
    return array


def write_constant_image(path: Path, header: ImageHeader, value: int) -> None:
    """Writes an image of one value (0 to 255) on the grid of another."""
    voxels = np.full(header.size[::-1], value, dtype=np.uint8)
    image = SimpleITK.GetImageFromArray(voxels)
    image.SetSpacing(header.spacing_mm)
    image.SetOrigin(header.origin_mm)
    image.SetDirection(header.direction)
    SimpleITK.WriteImage(image, str(path), useCompression=True)


def geometry_mismatch(first: ImageHeader, second: ImageHeader) -> str | None:
    """How two images fail to lie on one grid, as a clause; None if they do.

    Lengths may differ by a thousandth of a voxel's spacing, directions by a thousandth.
    """
    if first.size != second.size:
        return f"the size is {_shown(first.size)} in one and {_shown(second.size)} in the other"
    spacing = np.array(first.spacing_mm)
    comparisons = [
        ("spacing in mm", first.spacing_mm, second.spacing_mm, spacing),
        ("origin in mm", first.origin_mm, second.origin_mm, spacing),
        ("direction", first.direction, second.direction, 1),
    ]
    for name, one, other, scale in comparisons:
        difference = np.abs(np.subtract(one, other)) / scale
        if (difference > _RELATIVE_TOLERANCE).any():
            return f"the {name} is {_shown(one)} in one and {_shown(other)} in the other"
    return None


def _shown(numbers: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{number:.6g}" for number in numbers) + ")"


def _unreadable(path: Path) -> NnmtlError:
    return NnmtlError(f"{path}: expected a readable NIfTI, NRRD or MHA image; replace the file.")
