"""Filters that small structures stand out in, and all of them of one image.

Band-pass filters and morphological top-hats (Soille, "Morphological Image Analysis", 2003), as
radiomics uses them, on intensities relative to the tumor's own level: neighbors share the receive
coil's shading, so the ratio is free of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

SCALES_MM = (0.0, 1.0, 2.0, 4.0, 8.0)  # a band lies between the blurs by two successive scales
BRIGHT_MM = (3.0, 5.0)  # structures narrower than this stand out
DARK_MM = (5.0,)
SMOOTH_MM = 0.7  # less noise than in the level itself, and thin vessels are still there
LOG_FLOOR = 0.1  # keeps the logarithm of air finite
LEVEL_FLOOR = 0.05  # of the crop's range: the least distance between tumor and air
AIR_QUANTILE = 0.005


@dataclass(frozen=True, kw_only=True)
class FilterBank:
    """One image, filtered; every tensor is (*spatial).

    Attributes:
        level: 0 in air, 1 at the tumor's median.
        bands: of the level's logarithm, from fine to coarse.
        bright: what is brighter than its surroundings, by width.
        smooth_bright: the same of the slightly blurred level.
        dark: what is darker than its surroundings, by width.
    """

    level: Tensor
    bands: tuple[Tensor, ...]
    bright: tuple[Tensor, ...]
    smooth_bright: tuple[Tensor, ...]
    dark: tuple[Tensor, ...]


def filter_bank(image: Tensor, tumor: Tensor, spacing_mm: Sequence[float]) -> FilterBank:
    """All filters of one channel.

    Args:
        image: (*spatial), on any scale.
        tumor: (*spatial) True in the tumor, somewhere.
        spacing_mm: voxel size in the order of the axes.
    """
    level = relative_to_tumor(image, tumor)
    logarithm = torch.log(level.clamp_min(0) + LOG_FLOOR)
    blurred = [blur(logarithm, scale, spacing_mm) for scale in SCALES_MM]
    smooth = blur(level, SMOOTH_MM, spacing_mm)
    return FilterBank(
        level=level,
        bands=tuple(fine - coarse for fine, coarse in pairwise(blurred)),
        bright=tuple(level - opening(level, width, spacing_mm) for width in BRIGHT_MM),
        smooth_bright=tuple(smooth - opening(smooth, width, spacing_mm) for width in BRIGHT_MM),
        dark=tuple(-opening(-level, width, spacing_mm) - level for width in DARK_MM),
    )


def relative_to_tumor(image: Tensor, tumor: Tensor) -> Tensor:
    """(*spatial) on a scale where air, a low quantile, is 0 and the tumor's median is 1."""
    values = image.flatten()
    thinned = values[:: 1 + len(values) // 8192]
    air, top = torch.quantile(thinned, values.new_tensor((AIR_QUANTILE, 1 - AIR_QUANTILE)))
    height = image[tumor].median() - air
    return (image - air) / height.clamp_min(LEVEL_FLOOR * (top - air).clamp_min(1e-6))


def opening(image: Tensor, width_mm: float, spacing_mm: Sequence[float]) -> Tensor:
    """Morphological opening of (*spatial) by a box: bright structures narrower than it vanish."""
    return maximum(-maximum(-image, width_mm, spacing_mm), width_mm, spacing_mm)


def maximum(image: Tensor, width_mm: float, spacing_mm: Sequence[float]) -> Tensor:
    """Maximum over a box, axis by axis."""
    for axis, spacing in enumerate(spacing_mm):
        image = _maximum_along(axis, image, reach=round(width_mm / spacing / 2 - 0.01))
    return image


def blur(image: Tensor, sd_mm: float, spacing_mm: Sequence[float]) -> Tensor:
    """Gaussian filter of (*spatial), axis by axis, edges continued."""
    for axis, spacing in enumerate(spacing_mm if sd_mm > 0 else ()):
        weights = _gaussian_matrix(image, size=image.shape[axis], sd=sd_mm / spacing)
        image = torch.tensordot(weights, image, dims=([1], [axis])).movedim(0, axis)
    return image


def _maximum_along(axis: int, image: Tensor, *, reach: int) -> Tensor:
    """Over neighbors up to `reach` voxels away; shifted images are much faster than pooling."""
    size, result = image.shape[axis], image.clone()
    for shift in range(1, min(reach, size - 1) + 1):
        first, last = (image.narrow(axis, start, size - shift) for start in (0, shift))
        before, after = (result.narrow(axis, start, size - shift) for start in (0, shift))
        torch.maximum(before, last, out=before)
        torch.maximum(after, first, out=after)
    return result


def _gaussian_matrix(like: Tensor, *, size: int, sd: float) -> Tensor:
    """(size, size) whose product with a row blurs it; much faster than a convolution."""
    reach = max(1, round(3 * sd))
    steps = torch.arange(-reach, reach + 1, device=like.device)
    kernel = torch.exp(-0.5 * (steps.to(like.dtype) / sd).square())
    places = torch.arange(size, device=like.device)[:, None]
    columns = (places + steps).clamp(0, size - 1)
    weights = (kernel / kernel.sum()).expand(size, -1)
    return like.new_zeros(size, size).scatter_add_(1, columns, weights)
