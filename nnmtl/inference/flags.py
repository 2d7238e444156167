"""What a reader should know about a case before trusting its numbers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

TINY_ML = 0.1
TINY_MM = 5.0


def case_flags(
    mask: NDArray[np.bool_],
    spacing_mm: Sequence[float],
    *,
    is_truncated: bool,
    is_phantom: bool,
    is_unlike_all: bool = False,
    lacks_covariate: bool = False,
) -> list[str]:
    """Flags of a predicted tumor in the image's own geometry.

    Args:
        mask: tumor (Z, Y, X).
        spacing_mm: voxel size in the same order.
        is_truncated: whether the tumor reaches beyond the region of interest.
        is_phantom: whether the model was trained on synthetic images.
        is_unlike_all: whether the voxels are unlike those of every center of the training.
        lacks_covariate: whether a clinical covariate that the model knows is missing.
    """
    flags = ["PHANTOM_MODEL"] if is_phantom else []
    if lacks_covariate:
        flags.append("MISSING_COVARIATE")
    if is_unlike_all:
        flags.append("UNUSUAL_SPACING")
    if not mask.any():
        return [*flags, "EMPTY_SEG"]
    occupied = np.argwhere(mask)
    first, last = occupied.min(0), occupied.max(0)
    volume_ml = mask.sum() * float(np.prod(spacing_mm)) / 1000
    if volume_ml < TINY_ML or max((last - first + 1) * np.array(spacing_mm)) < TINY_MM:
        flags.append("TINY_LESION")
    # Voxels that share a corner belong together, as where the heads look at the largest lesion.
    if ndimage.label(mask, structure=np.ones((3,) * mask.ndim))[1] > 1:
        flags.append("MULTI_LESION")
    if (first == 0).any() or (last == np.array(mask.shape) - 1).any():
        flags.append("TOUCHES_FOV")
    if is_truncated:
        flags.append("ROI_TRUNCATED")
    return flags
