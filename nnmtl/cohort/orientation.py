"""Which way an image's axes point in the patient, and whether they stand at right angles."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError

_ITK_TO_NIFTI = np.diag([-1.0, -1.0, 1.0])  # ITK counts toward left and back, NIfTI right and front


def orientation_code(direction: Sequence[float]) -> str:
    """The nearest patient direction of each axis X, Y and Z, such as `RAS`.

    Args:
        direction: nine cosines as ITK gives them, row by row.
    """
    cosines = _ITK_TO_NIFTI @ np.reshape(direction, (3, 3))
    return "".join(nibabel.orientations.aff2axcodes(_affine(cosines)))  # type: ignore[no-untyped-call]


def to_patient_axes(
    array: npt.NDArray[Any], direction: Sequence[float], spacing_mm: Sequence[float]
) -> tuple[npt.NDArray[Any], tuple[float, float, float]]:
    """The voxels with axes toward head, back and left, whatever order they are stored in.

    Oblique axes take the nearest direction; no voxel is interpolated.

    Args:
        array: (Z, Y, X) as stored.
        direction: nine cosines as ITK gives them, row by row.
        spacing_mm: per axis of `array`.

    Returns:
        A view of the array, and its spacing in mm per axis.
    """
    axes = nibabel.orientations.io_orientation(_affine(np.reshape(direction, (3, 3))))  # type: ignore[no-untyped-call]
    turned = nibabel.orientations.apply_orientation(array.transpose(2, 1, 0), axes)  # type: ignore[no-untyped-call]
    turned_spacing = np.empty(3)
    turned_spacing[axes[:, 0].astype(int)] = spacing_mm[::-1]
    left, back, head = turned_spacing.tolist()
    return turned.transpose(2, 1, 0), (head, back, left)


def shear(path: Path) -> float:
    """How far the axes of a NIfTI are from right angles: the largest cosine between two of them.

    0 for other formats, which cannot say such a thing, and for a file that cannot be read.
    """
    if not path.name.endswith((".nii", ".nii.gz")):
        return 0.0
    try:
        image: Any = nibabel.load(path)
    except (ImageFileError, OSError, ValueError, EOFError):
        return 0.0
    columns = image.affine[:3, :3]
    lengths = np.linalg.norm(columns, axis=0)
    if not lengths.all() or not np.isfinite(columns).all():
        return 0.0
    units = columns / lengths
    return max(
        abs(float(units[:, one] @ units[:, other]))
        for one, other in itertools.combinations(range(3), 2)
    )


def _affine(cosines: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3] = cosines
    return affine
