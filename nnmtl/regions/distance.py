"""Signed distance in mm from every voxel center to the surface of a mask."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nnmtl.errors import NnmtlError


def signed_distance_mm(
    mask: NDArray[np.bool_],
    spacing_mm: Sequence[float],
    *,
    reach_mm: float | None = None,
) -> NDArray[np.float32]:
    """Distance to the mask's surface: negative inside, positive outside, never 0 at a voxel center.

    The surface lies half-way between neighboring voxels of the two sides, so the first voxel
    outside is half a voxel away along each axis, whatever its spacing.

    Args:
        mask: Tumor, shape (Z, Y, X) or (Y, X); True or non-zero is inside.
        spacing_mm: Voxel spacing in the order of the array's axes.
        reach_mm: Distances are computed up to here and are exactly ``reach_mm`` beyond, which makes
            a small tumor in a large image fast. Let it exceed the outermost boundary in use by
            several millimeters (``region_reach_mm``): a clipped voxel looks like one lying there.

    Returns:
        Distance in mm, same shape. An empty mask gives +inf everywhere, a full one -inf.

    Raises:
        NnmtlError: The spacing does not fit the axes or is not positive.
    """
    inside = np.asarray(mask) != 0
    spacing = _checked_spacing(spacing_mm, inside.ndim)
    if not inside.any():
        return np.full(inside.shape, np.inf, dtype=np.float32)
    if inside.all():
        return np.full(inside.shape, -np.inf, dtype=np.float32)
    tight = _box(inside, margin_mm=0.0, spacing=spacing)
    wide = _box(inside, margin_mm=reach_mm, spacing=spacing)
    far = np.inf if reach_mm is None else reach_mm
    distance = np.full(inside.shape, far, dtype=np.float32)
    distance[wide] = np.minimum(_distance_to_other_side(~inside[wide], spacing), far)
    # A voxel of background in the one-voxel margin is always nearer than one beyond: exact.
    depth = _distance_to_other_side(inside[tight], spacing)
    distance[tight] = np.where(inside[tight], -depth, distance[tight])
    return distance


def _distance_to_other_side(
    side: NDArray[np.bool_], spacing: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Distance of the voxels in ``side`` to the surface toward the nearest voxel not in it."""
    nearest = ndimage.distance_transform_edt(
        side, sampling=spacing, return_distances=False, return_indices=True
    )
    squared_steps = np.zeros(side.shape, dtype=np.float32)
    squared_mm = np.zeros(side.shape, dtype=np.float32)
    for axis, step_mm in enumerate(spacing):
        line = [1] * side.ndim
        line[axis] = -1
        squared = np.square(
            nearest[axis] - np.arange(side.shape[axis], dtype=np.int32).reshape(line),
            dtype=np.float32,
        )
        squared_steps += squared
        squared_mm += squared * step_mm**2
    # Half a voxel of the other side is crossed at the end. "Voxel" is the ellipsoid inscribed in
    # the box: exact along the axes, without bias between them, at any anisotropy.
    steps = np.sqrt(np.maximum(squared_steps, 1.0))
    return np.asarray(np.sqrt(squared_mm) * (1.0 - 0.5 / steps), dtype=np.float32)


def _box(
    inside: NDArray[np.bool_], *, margin_mm: float | None, spacing: NDArray[np.float32]
) -> tuple[slice, ...]:
    """Slices around the mask with a margin plus one voxel; the whole array when margin is None."""
    if margin_mm is None:
        return tuple(slice(None) for _ in inside.shape)
    (tight,) = ndimage.find_objects(inside.astype(np.uint8))
    margins = np.ceil(margin_mm / spacing).astype(int) + 1
    return tuple(
        slice(max(0, found.start - margin), found.stop + margin)
        for found, margin in zip(tight, margins, strict=True)
    )


def _checked_spacing(spacing_mm: Sequence[float], num_axes: int) -> NDArray[np.float32]:
    spacing = np.asarray(spacing_mm, dtype=np.float32)
    if spacing.shape != (num_axes,) or not np.all(np.isfinite(spacing) & (spacing > 0)):
        message = (
            f"A mask with {num_axes} axes needs {num_axes} positive spacings in mm, in the order "
            f"of its axes, but got {tuple(spacing_mm)}; pass the spacing of this array."
        )
        raise NnmtlError(message)
    return spacing
