"""A mask in a file of its own (NIfTI, NRRD, MHA) as a label map on the grid of an image."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnmtl.cohort.image_file import ImageHeader, read_array, read_header
from nnmtl.dataset_conversion._dicom_geometry import voxels_at
from nnmtl.errors import NnmtlError

_HIGHEST_VALUE = 255


def read_values(path: Path) -> tuple[int, ...]:
    """The values in a mask that are not 0, sorted.

    Raises:
        NnmtlError: if they are no whole numbers from 0 to 255; without telling the path.
    """
    return tuple(int(value) for value in np.unique(_read(path)) if value)


def read_file_label_map(
    path: Path, grid: ImageHeader, label_of_value: Mapping[int, int]
) -> npt.NDArray[np.uint8]:
    """The label map, (Z, Y, X) on the grid.

    Every marked voxel goes where the file's own geometry puts it, whatever the order of its axes.

    Args:
        path: of the mask.
        grid: of the image.
        label_of_value: labels 1 to 255 by value in the mask; others are left out.

    Raises:
        NnmtlError: if marked voxels lie between the grid's or outside of it; without the path.
    """
    mask, header = _read(path), read_header(path)
    direction = np.array(header.direction).reshape(3, 3) * header.spacing_mm
    label_map = np.zeros(grid.size[::-1], dtype=np.uint8)
    for value, label in label_of_value.items():
        marked = np.argwhere(mask == value)[:, ::-1]
        points = marked @ direction.T + header.origin_mm
        label_map[voxels_at(points, grid)] = label
    return label_map


def _read(path: Path) -> npt.NDArray[Any]:
    try:
        mask: npt.NDArray[Any] = read_array(path)
    except NnmtlError:
        raise NnmtlError(
            "expected a mask of 3 dimensions beside the DICOM files, got a file that cannot be "
            "read as one; store it as NIfTI or NRRD"
        ) from None
    values = np.unique(mask)
    if not np.isin(values, np.arange(_HIGHEST_VALUE + 1)).all():
        raise NnmtlError(
            f"expected whole numbers from 0 to {_HIGHEST_VALUE} in a mask beside the DICOM files, "
            f"got {values[0]:g} to {values[-1]:g}; store labels, not an image"
        )
    return mask
