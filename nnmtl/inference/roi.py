"""Where the region of interest lies: the same rule in training and for new cases."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TAIL_PERCENT = 2.0  # of the tumor's voxels per side, so that a stray voxel does not move the center


def roi_center(coordinates: NDArray[np.integer]) -> tuple[int, ...]:
    """The tumor's middle: per axis half-way between its 2nd and 98th percentile.

    Args:
        coordinates: (N, axes) voxel indices of the tumor, N > 0.
    """
    low, high = np.percentile(coordinates, [TAIL_PERCENT, 100 - TAIL_PERCENT], axis=0)
    return tuple(int(value) for value in np.round((low + high) / 2))


def roi_box(center: Sequence[int], size: Sequence[int]) -> list[list[int]]:
    """Per axis the first voxel and the one after the last; it may reach outside the image."""
    return [
        [middle - edge // 2, middle - edge // 2 + edge]
        for middle, edge in zip(center, size, strict=True)
    ]
