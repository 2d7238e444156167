"""What an image file says of its geometry, and the label map it holds."""

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import nibabel
import numpy as np
import numpy.typing as npt
import SimpleITK
from nibabel.filebasedimages import ImageFileError
from nibabel.openers import ImageOpener
from nibabel.wrapstruct import WrapStructError

from nnmtl.cohort.orientation import shear
from nnmtl.errors import NnmtlError

# Headers hold single precision; nnU-Net compares with numpy's relative 1e-5 and then only warns.
_RELATIVE_TOLERANCE = 1e-3
_ITK_TOLERANCE = 1e-4  # of right angles; beyond, ITK reads no affine


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
        NnmtlError: if the file cannot be read, is not three-dimensional, has several numbers in
            a voxel, such as colors, or voxels without extent.
    """
    reader = _reader(path)
    if reader.GetDimension() != 3:
        raise NnmtlError(
            f"{path}: expected an image of 3 dimensions, got {reader.GetDimension()}; "
            "store each channel as its own file."
        )
    if reader.GetNumberOfComponents() != 1:
        raise NnmtlError(
            f"{path}: expected one number in every voxel, got "
            f"{reader.GetNumberOfComponents()}; store each channel as its own file."
        )
    _check_stored_spacing(path)
    return ImageHeader(
        size=reader.GetSize(),
        spacing_mm=reader.GetSpacing(),
        origin_mm=reader.GetOrigin(),
        direction=reader.GetDirection(),
    )


def orientation_of(header: ImageHeader) -> str:
    """Where the stored axes X, Y, Z point to, such as `LPS`: left, posterior, superior.

    Of an oblique image the nearest.
    """
    code: str = SimpleITK.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(
        header.direction
    )
    return code


def read_array(path: Path) -> npt.NDArray[np.generic]:
    """The voxels, (Z, Y, X).

    Raises:
        NnmtlError: as `read_image` does.
    """
    array: npt.NDArray[np.generic] = SimpleITK.GetArrayFromImage(read_image(path))
    return array


def read_image(path: Path) -> SimpleITK.Image:
    """The image with its grid.

    Raises:
        NnmtlError: if it is none that `read_header` takes, or voxels are missing.
    """
    read_header(path)
    check_whole(path)
    try:
        return SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        raise _unreadable(path) from error


def check_voxels(path: Path) -> None:
    """Refuses an image that was cut short, or has voxels that are no numbers or have no extent.

    Raises:
        NnmtlError: if the file cannot be read, or voxels are missing, nan, infinite or without
            extent.
    """
    _check_stored_spacing(path)
    if _is_nifti(path):
        check_whole(path)
    elif not _is_real(path):
        read_image(path)  # which tells if it was cut short
    check_numbers(path)


def check_numbers(path: Path) -> None:
    """Refuses a whole image that has voxels that are no numbers.

    One nan makes nan of every voxel that is normalized with it, and a prediction of that is empty.
    SimpleITK reads such voxels of a NIfTI as 0 and says nothing, so they are looked at as stored.

    Raises:
        NnmtlError: if voxels are nan or infinite.
    """
    if not _is_real(path):
        return
    if _is_nifti(path):
        stored: Any = cast(nibabel.Nifti1Image, nibabel.load(path)).dataobj
        voxels = stored.get_unscaled()
    else:
        voxels = read_array(path)
    count = int(np.count_nonzero(~np.isfinite(voxels)))
    if count:
        raise NnmtlError(
            f"{path}: expected a number in every voxel, but {count} are nan or infinite; "
            "replace them, by 0 where there is no tissue."
        )


def _is_real(path: Path) -> bool:
    return _reader(path).GetPixelIDValue() in (SimpleITK.sitkFloat32, SimpleITK.sitkFloat64)


def check_whole(path: Path) -> None:
    """Refuses a NIfTI that ends too early: SimpleITK fills it with zeros, and says nothing.

    Raises:
        NnmtlError: if voxels are missing.
    """
    try:
        is_whole = not _is_nifti(path) or _length(path) >= _expected_length(path)
    except (EOFError, ImageFileError, OSError, ValueError, zlib.error):
        is_whole = False
    if not is_whole:
        raise NnmtlError(
            f"{path}: the file ends before its last voxel, or is damaged; copy it again."
        )


def _check_stored_spacing(path: Path) -> None:
    """Refuses a NIfTI whose voxels have no extent: readers take 1 mm instead, and say nothing."""
    if not _is_nifti(path):
        return
    try:
        with ImageOpener(str(path)) as stream:
            header: Any = nibabel.Nifti1Header.from_fileobj(stream, check=False)  # type: ignore[no-untyped-call]
    except (EOFError, OSError, ValueError, WrapStructError, zlib.error):
        return  # what is wrong with it is told by those who read on
    spacing = header["pixdim"][1 : 1 + min(3, int(header["dim"][0]))]
    is_first_version = header["sizeof_hdr"] == header.sizeof_hdr
    if is_first_version and not (np.isfinite(spacing) & (spacing != 0)).all():
        raise NnmtlError(
            f"{path}: expected voxels of positive size, but its header says "
            f"{_shown(tuple(spacing))} mm; correct the header, or leave the case out."
        )


def _is_nifti(path: Path) -> bool:
    return path.suffix in (".gz", ".nii")


def _length(path: Path) -> int:
    """Bytes of a file, unpacked; at its end an archive compares its own length and checksum."""
    if path.suffix != ".gz":
        return path.stat().st_size
    with gzip.open(path) as stream:
        return sum(iter(lambda: len(stream.read(1 << 24)), 0))


def _expected_length(path: Path) -> int:
    """Bytes of a NIfTI, unpacked, as its header says: the file may have been packed too short."""
    voxels: Any = cast(nibabel.Nifti1Image, nibabel.load(path)).dataobj
    return int(voxels.offset + math.prod(voxels.shape) * voxels.dtype.itemsize)


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


def _reader(path: Path) -> Any:
    """SimpleITK's, which has read the header."""
    reader: Any = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(path) from error
    return reader


def _shown(numbers: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{number:.6g}" for number in numbers) + ")"


def _unreadable(path: Path) -> NnmtlError:
    if shear(path) > _ITK_TOLERANCE:
        return NnmtlError(
            f"{path}: expected axes at right angles, but those of its affine are not; resample it "
            "onto a grid whose axes are, or correct the affine."
        )
    return NnmtlError(f"{path}: expected a readable NIfTI, NRRD or MHA image; replace the file.")
