"""From the planes of slices to one regular grid, or the reason why they make none."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nnmtl.cohort.image_file import ImageHeader
from nnmtl.dataset_conversion._dicom_slice import Plane, Slice
from nnmtl.errors import NnmtlError

# Slices nearer than this lie at one position: files round differently, no scanner steps so little.
_SAME_POSITION_MM = 0.01
# An affine may be wrong by this share of a voxel, at most, at any slice.
_TOLERANCE_VOXELS = 0.1
_SAME_DIRECTION = 1e-3

Levels = npt.NDArray[np.intp]


def find_levels(slices: Sequence[Slice]) -> tuple[Levels, int]:
    """Which of the positions along their common normal each slice has.

    Returns:
        (N,) position of each slice, counted along the normal, and how many slices share each
        position: the number of phases.

    Raises:
        NnmtlError: where the slices make no regular grid, without telling whose they are.
    """
    planes = _known_planes(slices)
    _check_directions(planes)
    distances = _distances(planes)
    order = np.argsort(distances, kind="stable")
    steps = np.diff(distances[order]) > _SAME_POSITION_MM
    levels = np.empty(len(slices), dtype=np.intp)
    levels[order] = np.concatenate([[0], np.cumsum(steps)])
    positions = np.array([distances[levels == level].mean() for level in range(levels.max() + 1)])
    num_phases = _check_counts(levels, positions)
    _check_tilt(planes, distances)
    _check_increments(positions, planes[0])
    return levels, num_phases


def grid_of(slices: Sequence[Slice]) -> ImageHeader:
    """The grid of the slices of one phase, in the order of their levels."""
    planes = _known_planes(slices)
    first, last = planes[0], planes[-1]
    rows, columns = first.shape
    along_row, down_column, normal = axes(first)
    if len(planes) > 1:
        length = np.dot(np.subtract(last.position_mm, first.position_mm), normal)
        increment = float(length) / (len(planes) - 1)
    else:
        increment = first.increment_mm or first.thickness_mm or 0.0
    if increment <= 0:
        raise NnmtlError("expected SliceThickness in an image of one slice, got none; add it")
    return ImageHeader(
        size=(columns, rows, len(planes)),
        spacing_mm=(first.spacing_mm[1], first.spacing_mm[0], increment),
        origin_mm=first.position_mm,
        direction=tuple(np.column_stack([along_row, down_column, normal]).ravel().tolist()),
    )


def axes(
    plane: Plane,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Orthonormal directions along a row, down a column, and of the normal: (3,) each."""
    along_row = np.array(plane.orientation[:3]) / np.linalg.norm(plane.orientation[:3])
    normal = np.cross(along_row, plane.orientation[3:])
    normal /= np.linalg.norm(normal)
    return along_row, np.cross(normal, along_row), normal


def indices_at(points: npt.NDArray[np.float64], grid: ImageHeader) -> npt.NDArray[np.float64]:
    """Where points (N, 3) in mm lie on a grid: (N, 3) as (x, y, z), in voxels."""
    direction = np.array(grid.direction).reshape(3, 3)
    indices: npt.NDArray[np.float64] = (points - np.array(grid.origin_mm)) @ direction
    return indices / np.array(grid.spacing_mm)


def voxels_at(
    points: npt.NDArray[np.float64], grid: ImageHeader
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The voxels (Z, Y, X) of the grid that are at the points (N, 3) of a mask, in mm.

    Raises:
        NnmtlError: if a point lies between voxels or outside of the grid.
    """
    exact = indices_at(points, grid)
    nearest = np.rint(exact).astype(np.intp)
    if (abs(exact - nearest) > _TOLERANCE_VOXELS).any():
        raise NnmtlError(
            "expected a segmentation on the grid of the image, got voxels between its own; "
            "segment that image, or choose the one that was segmented with --series"
        )
    if (nearest < 0).any() or (nearest >= grid.size).any():
        raise NnmtlError(
            "expected a segmentation inside the image, got marked voxels outside of it; choose the "
            "image that was segmented with --series"
        )
    return nearest[:, 2], nearest[:, 1], nearest[:, 0]


def is_same_view(one: Plane, other: Plane) -> bool:
    """Whether two slices have the same directions, spacing and shape."""
    return (
        one.shape == other.shape
        and np.allclose(one.orientation, other.orientation, atol=_SAME_DIRECTION)
        and np.allclose(one.spacing_mm, other.spacing_mm, rtol=_SAME_DIRECTION)
    )


def _known_planes(slices: Sequence[Slice]) -> list[Plane]:
    planes = [item.plane for item in slices if item.plane is not None]
    if len(planes) < len(slices):
        raise NnmtlError(
            "expected ImagePositionPatient, ImageOrientationPatient and PixelSpacing in every "
            f"slice, got {len(slices) - len(planes)} of {len(slices)} without; export them again"
        )
    return planes


def _check_directions(planes: Sequence[Plane]) -> None:
    along_row, down_column = np.array(planes[0].orientation).reshape(2, 3)
    lengths = np.array([np.linalg.norm(along_row), np.linalg.norm(down_column)])
    angle_off = abs(float(np.dot(along_row, down_column)))
    if (abs(lengths - 1) > _SAME_DIRECTION).any() or angle_off > _SAME_DIRECTION:
        raise NnmtlError(
            "expected perpendicular unit vectors in ImageOrientationPatient, got others; "
            "export the series again"
        )


def _distances(planes: Sequence[Plane]) -> npt.NDArray[np.float64]:
    normal = axes(planes[0])[2]
    return np.array([plane.position_mm for plane in planes]) @ normal


def _check_counts(levels: Levels, positions: npt.NDArray[np.float64]) -> int:
    counts = np.bincount(levels)
    num_phases = Counter(counts.tolist()).most_common(1)[0][0]
    for count, what in ((counts < num_phases, "missing"), (counts > num_phases, "duplicated")):
        if count.any():
            level = int(np.flatnonzero(count)[0])
            raise NnmtlError(
                f"expected {num_phases} slices at each of {len(counts)} positions, got "
                f"{counts[level]} at {positions[level]:.2f} mm along the normal: slices are {what} "
                f"at {int(count.sum())} positions; export the series again"
            )
    return num_phases


def _check_tilt(planes: Sequence[Plane], distances: npt.NDArray[np.float64]) -> None:
    along_row, down_column, _ = axes(planes[0])
    positions = np.array([plane.position_mm for plane in planes])
    offsets = positions[np.argsort(distances)] - positions[np.argmin(distances)]
    shifts = np.hypot(offsets @ along_row, offsets @ down_column)
    if shifts.max() > _TOLERANCE_VOXELS * min(planes[0].spacing_mm):
        height = np.ptp(distances)
        angle = np.degrees(np.arctan2(shifts[-1], height)) if height else 90.0
        raise NnmtlError(
            "expected slices above one another, got a shift in plane of up to "
            f"{shifts.max():.2f} mm, as from a gantry tilt of {angle:.1f} degrees; resample it "
            "before"
        )


def _check_increments(positions: npt.NDArray[np.float64], plane: Plane) -> None:
    if len(positions) == 1:
        return
    regular = np.linspace(positions[0], positions[-1], len(positions))
    increment = float(regular[1] - regular[0])
    if abs(positions - regular).max() > _TOLERANCE_VOXELS * increment:
        steps = np.diff(positions)
        raise NnmtlError(
            f"expected equal increments from slice to slice, got {steps.min():.2f} to "
            f"{steps.max():.2f} mm over {len(positions)} positions: slices are missing, or the "
            "series is of several slabs; export it again"
        )
    # Where whole positions are missing regularly, only the tag tells; some files store the gap
    # between slices in it, which is why the thickness counts too.
    told = max(plane.increment_mm or 0, plane.thickness_mm or 0) if plane.increment_mm else 0
    if told and increment > (2 - _TOLERANCE_VOXELS) * told:
        raise NnmtlError(
            f"expected increments of {told:g} mm as SpacingBetweenSlices says, got "
            f"{increment:.2f} mm: slices are missing; export the series again"
        )
