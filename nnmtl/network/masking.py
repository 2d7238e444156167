"""Hiding all of an image but some regions."""

from torch import Tensor


def keep_only(image: Tensor, allowed: Tensor) -> Tensor:
    """Replaces every voxel that is not allowed by its channel's mean over those that are.

    A constant from inside tells nothing of what lay outside, and makes a smaller edge than zeros.

    Args:
        image: (B, C, *spatial).
        allowed: (B, *spatial) boolean; where a case has none, all of its image becomes 0.

    Returns:
        (B, C, *spatial).
    """
    shown = allowed[:, None].to(image.dtype)
    spatial = tuple(range(2, image.ndim))
    count = shown.sum(spatial, keepdim=True).clamp_min(1)
    mean = (image * shown).sum(spatial, keepdim=True) / count
    return image * shown + mean * (1 - shown)
