"""Fills the polygons of one slice: which voxels' centers they enclose."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nnmtl.errors import NnmtlError

# Files round their decimals; a border through centers of voxels must not fall now here, now there.
_DECIMALS = 4
_ON_BORDER = 1e-3
# Drawn by hand, borders touch; two polygons that share more than this of the smaller one, and yet
# do not lie in each other, are no hole in a region nor two regions.
_MOST_CROSSING = 0.1

Points = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def fill_polygons(polygons: Sequence[Points], shape: tuple[int, int], *, may_cross: bool) -> Mask:
    """The voxels that an odd number of polygons enclose, and all on a border.

    A polygon within another one is a hole in it; so is the inner part of one that runs in, around
    and back on its own track.

    Args:
        polygons: corners (N, 2) as (x, y), in voxels from the center of the first one.
        shape: of the slice, (Y, X).
        may_cross: whether an area that two polygons share is meant to be left out.

    Raises:
        NnmtlError: if two polygons cross that may not.
    """
    rounded = [polygon.round(_DECIMALS) for polygon in polygons]
    distinct = list({polygon.tobytes(): polygon for polygon in rounded}.values())
    inside = [_enclosed(polygon, shape) for polygon in distinct]
    if not may_cross:
        _check_crossing(inside)
    filled: Mask = np.logical_xor.reduce(inside)
    for polygon in distinct:
        filled |= _border(polygon, shape)
    return filled


def _edges(polygon: Points) -> tuple[Points, Points]:
    """Both ends of each edge, the lower first: one track there and back gives equal numbers."""
    ends = np.stack([polygon, np.roll(polygon, -1, axis=0)])
    is_down = ends[0, :, 1] > ends[1, :, 1]
    lower, upper = np.where(is_down[:, None], ends[::-1], ends)
    return lower, upper


def _enclosed(polygon: Points, shape: tuple[int, int]) -> Mask:
    """Even-odd rule: how often a ray from the voxel toward lower x crosses an edge."""
    toggles = np.zeros((shape[0], shape[1] + 1), dtype=np.intp)
    for low, high in zip(*_edges(polygon), strict=True):
        rows = np.arange(max(np.ceil(low[1]), 0), min(np.ceil(high[1]), shape[0]), dtype=np.intp)
        crossings = np.ceil(_along(low, high, rows)).clip(0, shape[1]).astype(np.intp)
        np.add.at(toggles, (rows, crossings), 1)
    inside: Mask = toggles.cumsum(axis=1)[:, :-1] % 2 == 1
    return inside


def _border(polygon: Points, shape: tuple[int, int]) -> Mask:
    """The voxels whose center lies on an edge."""
    mask = np.zeros(shape, dtype=bool)
    for low, high in zip(*_edges(polygon), strict=True):
        rows = np.arange(max(np.ceil(low[1]), 0), min(np.floor(high[1]) + 1, shape[0]), dtype=int)
        if low[1] == high[1]:
            ends = sorted((low[0], high[0]))
            mask[rows, max(int(np.ceil(ends[0])), 0) : int(np.floor(ends[1])) + 1] = True
            continue
        exact = _along(low, high, rows)
        columns = np.rint(exact).astype(int)
        is_on = (abs(exact - columns) < _ON_BORDER) & (columns >= 0) & (columns < shape[1])
        mask[rows[is_on], columns[is_on]] = True
    return mask


def _along(low: Points, high: Points, rows: npt.NDArray[np.intp]) -> Points:
    """Where an edge crosses rows."""
    slope = (high[0] - low[0]) / (high[1] - low[1]) if high[1] > low[1] else 0.0
    crossings: Points = low[0] + (rows - low[1]) * slope
    return crossings


def _check_crossing(inside: Sequence[Mask]) -> None:
    for index, one in enumerate(inside):
        for other in inside[:index]:
            smaller = min(one.sum(), other.sum())
            shared = (one & other).sum() / smaller if smaller else 0.0
            if _MOST_CROSSING < shared < 1 - _MOST_CROSSING:
                raise NnmtlError(
                    "expected contours of a region apart or within each other, got two that cross "
                    "in a slice; draw them as one, or as regions of their own"
                )
