"""Small structures per region: how strong they are, and how many.

Vessels, foci, septa, spicules and necrotic spots differ from their surroundings over a few
millimeters, which a region's intensity distribution alone does not tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nnmtl.network.filters import BRIGHT_MM, DARK_MM, SCALES_MM, FilterBank, maximum
from nnmtl.network.intensity import MIN_WEIGHT, weighted_quantiles

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
LEVELS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)  # shares above, as multiples of the tumor
HEIGHTS = (0.1, 0.2, 0.3, 0.45)
SPOT_MM = 5.0  # two spots closer than this are one
SHARE_FLOOR = 0.002  # of the logarithm of a share
MAX_VOXELS = 8192  # per view: quantiles within about .01 of their rank
NUM_VIEWS = 1 + len(SCALES_MM) - 1 + len(BRIGHT_MM) + len(DARK_MM)
NUM_SHARES = len(LEVELS) + len(HEIGHTS) * (len(BRIGHT_MM) + len(DARK_MM))
PER_REGION = NUM_VIEWS * (2 + len(QUANTILES)) + 2 * NUM_SHARES + len(BRIGHT_MM) * len(HEIGHTS)


@dataclass(frozen=True)
class _View:
    """A filtered image (V,), the thresholds its shares are counted at, and its spots (V,)."""

    values: Tensor
    thresholds: tuple[float, ...] = ()
    spots: Tensor | None = None


def describe_regions(
    bank: FilterBank, weights: Tensor, tumor: Tensor, spacing_mm: Sequence[float]
) -> Tensor:
    """Statistics of the filtered images in each region.

    Per region and filtered image: mean, root mean square and quantiles; of the level and the
    top-hats also the share above some heights and its logarithm; of the bright top-hats the
    logarithm of the number of separate spots.

    Args:
        bank: one channel, filtered.
        weights: soft regions (R, *spatial), 0 to 1, none of them empty.
        tumor: (*spatial) True in the tumor, where no spots are counted.
        spacing_mm: voxel size in the order of the axes.

    Returns:
        (R, PER_REGION).
    """
    weights = weights.flatten(1)
    chosen = (weights > MIN_WEIGHT).any(0).nonzero()[:, 0]
    inside = weights[:, chosen]
    views = _views(bank, tumor, spacing_mm)
    return torch.cat([_describe(view, chosen, inside) for view in views], 1)


def _views(bank: FilterBank, tumor: Tensor, spacing_mm: Sequence[float]) -> list[_View]:
    views = [_View(bank.level.flatten(), LEVELS)]
    views += [_View(band.flatten()) for band in bank.bands]
    for bright in bank.bright:
        peak = (bright == maximum(bright, SPOT_MM, spacing_mm)) & (bright > 0)
        views.append(_View(bright.flatten(), HEIGHTS, (peak & ~tumor).flatten()))
    return views + [_View(dark.flatten(), HEIGHTS) for dark in bank.dark]


def _describe(view: _View, voxels: Tensor, weights: Tensor) -> Tensor:
    """(R, features) of a view within the regions (R, N) on the chosen voxels (N,)."""
    thinned = slice(None, None, 1 + len(voxels) // MAX_VOXELS)
    ordered, order = view.values[voxels[thinned]].sort()
    share = weights[:, thinned][:, order]
    share = share / share.sum(1, keepdim=True).clamp_min(1e-6)
    parts = [
        (share @ ordered)[:, None],
        (share @ ordered.square()).sqrt()[:, None],
        weighted_quantiles(ordered, share, QUANTILES),
    ]
    heights = ordered.new_tensor(view.thresholds)
    if view.thresholds:
        above = share.flip(1).cumsum(1)[:, (ordered[None] > heights[:, None]).sum(1) - 1]
        above = above * (ordered[-1] > heights)
        parts += [above, torch.log(above + SHARE_FLOOR)]
    if view.spots is not None:
        found = view.spots[voxels]
        high = view.values[voxels[found], None] > heights
        parts.append(torch.log1p((weights[:, found] > 0.5).float() @ high.float()))
    return torch.cat(parts, 1)
