"""Small structures: what a region's intensity distribution alone does not tell.

Vessels, foci, septa, spicules and necrotic spots differ from their surroundings over a few
millimeters. They are measured as radiomics measures them, by band-pass filters and morphological
top-hats (Soille, "Morphological Image Analysis", 2003), on intensities relative to the tumor's
own level: neighbors share the receive coil's shading, so the ratio is free of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnmtl.network.intensity import MIN_VOXELS, MIN_WEIGHT, weighted_quantiles

SCALES_MM = (0.0, 1.0, 2.0, 4.0, 8.0)  # a band lies between the blurs by two successive scales
BRIGHT_MM = (3.0, 5.0)  # structures narrower than this stand out
DARK_MM = (5.0,)
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
LEVELS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)  # shares above, as multiples of the tumor
HEIGHTS = (0.1, 0.2, 0.3, 0.45)
SPOT_MM = 5.0  # two spots closer than this are one
LOG_FLOOR = 0.1  # keeps the logarithm of air finite
SHARE_FLOOR = 0.002  # of the logarithm of a share
MAX_VOXELS = 8192  # per view: quantiles within about .01 of their rank
LEVEL_FLOOR = 0.05  # of the crop's range: the least distance between tumor and air
AIR_QUANTILE = 0.005


@dataclass(frozen=True)
class _View:
    """A filtered image (V,), the thresholds its shares are counted at, and its spots (V,)."""

    values: Tensor
    thresholds: tuple[float, ...] = ()
    spots: Tensor | None = None


class DetailStatistics(nn.Module):
    """Images and soft regions → statistics of the small structures in each region.

    Per channel, region and filtered image: mean, root mean square and quantiles; of the level and
    the top-hats also the share above some heights and its logarithm; of the bright top-hats the
    logarithm of the number of separate spots. An empty region and a missing (constant) channel
    give zeros. Everything is float32 and without gradient.
    """

    def __init__(self, num_channels: int, num_regions: int) -> None:
        super().__init__()
        num_views = 1 + len(SCALES_MM) - 1 + len(BRIGHT_MM) + len(DARK_MM)
        num_shares = len(LEVELS) + len(HEIGHTS) * (len(BRIGHT_MM) + len(DARK_MM))
        self.per_region = num_views * (2 + len(QUANTILES)) + 2 * num_shares
        self.per_region += len(BRIGHT_MM) * len(HEIGHTS)
        self.num_features = num_channels * num_regions * self.per_region

    @torch.no_grad()
    def forward(
        self, x: Tensor, weights: Tensor, tumor: Tensor, spacing_mm: Sequence[float]
    ) -> Tensor:
        """Statistics of every case.

        Args:
            x: images (B, C, *spatial), on any scale per channel.
            weights: soft regions (B, R, *spatial), 0 to 1.
            tumor: (B, *spatial) True in the tumor, whose median is the level 1.
            spacing_mm: voxel size in the order of the axes.

        Returns:
            (B, C · R · per_region) float32.
        """
        with torch.autocast(x.device.type, enabled=False):
            rows = [
                torch.cat(
                    [
                        self._channel(channel, regions.float(), inside, spacing_mm)
                        for channel in image.float()
                    ]
                )
                for image, regions, inside in zip(x, weights, tumor, strict=True)
            ]
        return torch.stack(rows)

    def _channel(
        self, image: Tensor, weights: Tensor, tumor: Tensor, spacing_mm: Sequence[float]
    ) -> Tensor:
        weights = weights.flatten(1)
        statistics = image.new_zeros(len(weights), self.per_region)
        present = weights.sum(1) >= MIN_VOXELS
        if not bool(image.amax() > image.amin()) or not bool((present & tumor.any()).any()):
            return statistics.flatten()
        chosen = (weights > MIN_WEIGHT).any(0).nonzero()[:, 0]
        inside = weights[present][:, chosen]
        parts = [_describe(view, chosen, inside) for view in _views(image, tumor, spacing_mm)]
        statistics[present] = torch.cat(parts, 1)
        return statistics.flatten()


def _views(image: Tensor, tumor: Tensor, spacing_mm: Sequence[float]) -> list[_View]:
    level = relative_to_tumor(image, tumor)
    views = [_View(level.flatten(), LEVELS)]
    blurred = [_blur(torch.log(level.clamp_min(0) + LOG_FLOOR), s, spacing_mm) for s in SCALES_MM]
    bands = [fine - coarse for fine, coarse in pairwise(blurred)]
    views += [_View(band.flatten()) for band in bands]
    for width_mm in BRIGHT_MM:
        bright = level - opening(level, width_mm, spacing_mm)
        peak = (bright == _maximum(bright, SPOT_MM, spacing_mm)) & (bright > 0)
        views.append(_View(bright.flatten(), HEIGHTS, (peak & ~tumor).flatten()))
    dark = [-opening(-level, width_mm, spacing_mm) - level for width_mm in DARK_MM]
    return views + [_View(each.flatten(), HEIGHTS) for each in dark]


def relative_to_tumor(image: Tensor, tumor: Tensor) -> Tensor:
    """(*spatial) on a scale where air, a low quantile, is 0 and the tumor's median is 1."""
    values = image.flatten()
    thinned = values[:: 1 + len(values) // 8192]
    air, top = torch.quantile(thinned, values.new_tensor((AIR_QUANTILE, 1 - AIR_QUANTILE)))
    height = image[tumor].median() - air
    return (image - air) / height.clamp_min(LEVEL_FLOOR * (top - air).clamp_min(1e-6))


def opening(image: Tensor, width_mm: float, spacing_mm: Sequence[float]) -> Tensor:
    """Morphological opening of (*spatial) by a box: bright structures narrower than it vanish."""
    return _maximum(-_maximum(-image, width_mm, spacing_mm), width_mm, spacing_mm)


def _maximum(image: Tensor, width_mm: float, spacing_mm: Sequence[float]) -> Tensor:
    """Maximum over a box, axis by axis."""
    for axis, spacing in enumerate(spacing_mm):
        reach = round(width_mm / spacing / 2 - 0.01)
        if reach > 0:
            rows = image.movedim(axis, -1)
            pooled = functional.max_pool1d(
                rows.reshape(1, -1, rows.shape[-1]), 2 * reach + 1, 1, reach
            )
            image = pooled.reshape(rows.shape).movedim(-1, axis)
    return image


def _blur(image: Tensor, sd_mm: float, spacing_mm: Sequence[float]) -> Tensor:
    """Gaussian filter of (*spatial), axis by axis, edges continued."""
    for axis, spacing in enumerate(spacing_mm if sd_mm > 0 else ()):
        sd = sd_mm / spacing
        reach = max(1, round(3 * sd))
        at = torch.arange(-reach, reach + 1, device=image.device, dtype=image.dtype)
        kernel = torch.exp(-0.5 * (at / sd).square())
        rows = image.movedim(axis, -1)
        padded = functional.pad(rows.reshape(-1, 1, rows.shape[-1]), (reach, reach), "replicate")
        smooth = functional.conv1d(padded, (kernel / kernel.sum())[None, None])
        image = smooth.reshape(rows.shape).movedim(-1, axis)
    return image


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
