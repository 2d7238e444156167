"""The image grid and the tumor of one case, in numbers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from nnmtl.cohort.image_file import read_array, read_header
from nnmtl.errors import NnmtlError

_MM3_PER_ML = 1000


@dataclass(frozen=True, kw_only=True)
class CaseGeometry:
    """Image grid and tumor of a case, every tuple in the array's (Z, Y, X) order.

    Attributes:
        shape: voxels per axis.
        spacing_mm: voxel spacing per axis.
        tumor_extent_mm: edge lengths of the tumor's bounding box; None without tumor voxels.
        tumor_volume_ml: the tumor's volume; None without tumor voxels, or where not measured.
        num_lesions: connected parts of the tumor, voxels that share a corner being connected;
            None where not measured.
        shape_after_crop: voxels per axis without the empty margin that nnU-Net cuts off; None where
            not measured.
        orientation: where the stored axes X, Y, Z point to, as `LPS`; None where not measured.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    tumor_extent_mm: tuple[float, float, float] | None
    tumor_volume_ml: float | None
    num_lesions: int | None = None
    shape_after_crop: tuple[int, int, int] | None = None
    orientation: str | None = None


def read_case_geometry(label_path: Path, tumor_labels: Sequence[int]) -> CaseGeometry:
    """Measures one label map.

    Raises:
        NnmtlError: if the file is not a readable three-dimensional image.
    """
    spacing_mm = read_header(label_path).spacing_mm[::-1]
    return measure_tumor(np.isin(read_array(label_path), tumor_labels), spacing_mm)


def measure_tumor(
    mask: npt.NDArray[np.bool_],
    spacing_mm: Sequence[float],
    *,
    shape_after_crop: Sequence[int] | None = None,
    orientation: str | None = None,
) -> CaseGeometry:
    """Measures one tumor mask, (Z, Y, X)."""
    extent_mm, volume_ml, num_lesions = None, None, 0
    if mask.any():
        box = ndimage.find_objects(mask.astype(np.uint8))[0]
        extent_mm = triple(
            [
                (edge.stop - edge.start) * spacing
                for edge, spacing in zip(box, spacing_mm, strict=True)
            ]
        )
        volume_ml = float(mask.sum() * np.prod(spacing_mm) / _MM3_PER_ML)
        num_lesions = int(ndimage.label(mask[box], structure=np.ones((3, 3, 3)))[1])
    depth, height, width = mask.shape
    return CaseGeometry(
        shape=(depth, height, width),
        spacing_mm=triple(spacing_mm),
        tumor_extent_mm=extent_mm,
        tumor_volume_ml=volume_ml,
        num_lesions=num_lesions,
        shape_after_crop=None if shape_after_crop is None else whole_triple(shape_after_crop),
        orientation=orientation,
    )


def check_geometries(geometries: Mapping[str, CaseGeometry], *, where: str) -> None:
    """Refuses grids that no plan can be made for.

    Args:
        geometries: per case id.
        where: the file or folder that they come from.

    Raises:
        NnmtlError: for a spacing that is not a positive number, or 2D and 3D cases in one cohort.
    """
    for case_id, geometry in sorted(geometries.items()):
        if not all(math.isfinite(value) and value > 0 for value in geometry.spacing_mm):
            raise NnmtlError(
                f"{where}: case {case_id!r}: expected a positive voxel spacing per axis in mm, got "
                f"{list(geometry.spacing_mm)}; correct the header, or leave the case out."
            )
    flat = sorted(case for case, geometry in geometries.items() if 1 in geometry.shape)
    solid = sorted(set(geometries) - set(flat))
    if flat and solid:
        raise NnmtlError(
            f"{where}: expected all cases to be 2D or all to be 3D, but {len(flat)} have one slice "
            f"(such as {flat[0]!r}) and {len(solid)} have several (such as {solid[0]!r}); split "
            "them into two datasets."
        )


def triple(values: Sequence[float]) -> tuple[float, float, float]:
    """Three values as floats."""
    first, second, third = values
    return float(first), float(second), float(third)


def whole_triple(values: Sequence[int]) -> tuple[int, int, int]:
    """Three values as integers."""
    first, second, third = values
    return int(first), int(second), int(third)
