"""Statistics of the input intensities per channel and region, relative to tissue far away.

An image that was z-scored as a whole has lost its ratios, and scanners differ in gain and offset.
So every channel is described on two scales that neither gain nor offset changes, both anchored at
the median of the *bright* reference tissue (above half of its .95 quantile, counted from air):
suppressed fat is dark and its share varies between patients, and a plain median varies with it.

- ``log``: ``log((x - air) / (anchor - air) + .1)``, the logarithm of the enhancement ratio. Air is
  the crop's .5 % quantile; where a crop holds no air it is the darkest tissue, and the scale is
  still comparable but no longer a physical ratio.
- ``contrast``: ``asinh((x - anchor) / spread)``, the distance to the reference tissue in its own
  robust standard deviations: the better scale for CT and for maps without a physical zero.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nnmtl.errors import NnmtlError

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)  # the last one sees vessels in a ring
REFERENCE_QUANTILES = (0.1, 0.75, 0.9)  # share and brightness of fat
HISTOGRAM_RATIOS = (0.0, 0.5, 1.0, 1.5, 2.5, 4.0)  # centers, as multiples of the anchor
RATIO_FLOOR = 0.1  # keeps the logarithm of air finite
MIN_WEIGHT = 0.01  # voxels below belong to no region: they only cost time
MIN_VOXELS = 0.5  # a region with less weight in all is empty
MAX_REFERENCE_VOXELS = 8192  # enough for quantiles within about .01 of their rank
SPREAD_FLOOR = 0.01  # of the crop's range, for a reference without noise


class IntensityStatistics(nn.Module):
    """Images and soft regions → numbers that a linear model can already learn from.

    Per channel: presence, three quantiles of the reference; per channel and region: mean, standard
    deviation and quantiles on both scales and a soft histogram on the log scale (its standard
    deviation is the coefficient of variation's robust relative); per region: presence. An empty
    region and a missing (constant) channel give zeros, so no statistic is ever nan. Without
    reference voxels the whole crop is the reference. Everything is float32 and without gradient.
    """

    def __init__(self, num_channels: int, num_regions: int) -> None:
        super().__init__()
        self.num_channels = num_channels
        self.num_regions = num_regions
        channels = [str(channel) for channel in range(num_channels)]
        regions = [str(region) for region in range(num_regions)]
        self.num_features = len(feature_names(channels, regions))

    @torch.no_grad()
    def forward(
        self, x: Tensor, weights: Tensor, reference: Tensor, *, air: Tensor | None = None
    ) -> Tensor:
        """Statistics of every case.

        Args:
            x: Images (B, C, *spatial), on any scale per channel.
            weights: Soft regions (B, R, *spatial), 0 to 1.
            reference: Tissue far from the tumor (B, *spatial), above .5 where it counts.
            air: Intensity of air (B, C) where it is known from the whole image; else estimated.

        Returns:
            (B, F) float32 in the order of ``feature_names``.
        """
        rows = []
        with torch.autocast(x.device.type, enabled=False):
            for case in range(x.shape[0]):
                known_air = [None] * self.num_channels if air is None else list(air[case].float())
                rows.append(
                    _describe_case(
                        x[case].float().flatten(1),
                        weights[case].float().flatten(1),
                        reference[case].flatten() > 0.5,
                        known_air,
                    )
                )
        return torch.stack(rows)


def feature_names(channels: Sequence[str], regions: Sequence[str]) -> tuple[str, ...]:
    """Names of the statistics in their order.

    For channel ``c`` and region ``r``: ``c.presence``, ``c.reference.log.q75``; ``c.r.log.mean``,
    ``c.r.log.sd``, ``c.r.log.q05`` ..., ``c.r.contrast.mean`` ..., ``c.r.ratio_near_1.5`` (share of
    the region around 1.5 times the anchor); last ``r.presence``.
    """
    names = []
    per_scale = ["mean", "sd", *(f"q{100 * quantile:02.0f}" for quantile in QUANTILES)]
    per_region = [f"{scale}.{name}" for scale in ("log", "contrast") for name in per_scale]
    per_region += [f"ratio_near_{ratio:g}" for ratio in HISTOGRAM_RATIOS]
    for channel in channels:
        names.append(f"{channel}.presence")
        names += [f"{channel}.reference.log.q{100 * q:02.0f}" for q in REFERENCE_QUANTILES]
        names += [f"{channel}.{region}.{name}" for region in regions for name in per_region]
    return (*names, *(f"{region}.presence" for region in regions))


def weighted_quantiles(ordered: Tensor, weights: Tensor, quantiles: Sequence[float]) -> Tensor:
    """Smallest values below or at which the given shares of the weight lie (no interpolation).

    Args:
        ordered: Values in ascending order, (N,).
        weights: Non-negative weights in the same order, (R, N), with a positive sum per row.
        quantiles: Q shares between 0 and 1.

    Returns:
        (R, Q); equals ``numpy.quantile(..., method="inverted_cdf", weights=...)``.
    """
    cumulative = weights.cumsum(dim=1)
    shares = weights.new_tensor(quantiles)
    index = torch.searchsorted(cumulative, shares * cumulative[:, -1:])
    return ordered[index.clamp(max=ordered.shape[0] - 1)]


class RunningStandardizer(nn.Module):
    """Features to mean 0 and standard deviation 1 of the cases it was fitted on, within ±4.

    The fit is stored in buffers, so it travels with the weights; before it, the module changes
    nothing. Features that were constant in the fit become 0.
    """

    LIMIT = 4.0

    mean: Tensor
    sd: Tensor
    is_fitted: Tensor

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("sd", torch.ones(num_features))
        self.register_buffer("is_fitted", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def fit(self, features: Tensor) -> None:
        """Set mean and standard deviation from training cases (N, F); nan entries are left out.

        Raises:
            NnmtlError: The table is not (N, F) with at least two cases.
        """
        if features.ndim != 2 or features.shape[0] < 2 or features.shape[1] != len(self.mean):
            message = (
                f"Standardizing needs the statistics of at least 2 training cases, (N, "
                f"{len(self.mean)}), but got {tuple(features.shape)}; collect more cases before."
            )
            raise NnmtlError(message)
        known = ~features.isnan()
        count = known.sum(dim=0).clamp(min=1)
        values = torch.where(known, features, 0.0).double()
        mean = values.sum(dim=0) / count
        deviation = torch.where(known, values - mean, 0.0)
        sd = (deviation.square().sum(dim=0) / count).sqrt()
        # Below this a feature did not vary: dividing would only amplify rounding.
        constant = sd < 1e-6 * (1.0 + mean.abs())
        self.mean.copy_(mean)
        self.sd.copy_(torch.where(constant, torch.inf, sd))
        self.is_fitted.fill_(value=True)

    def forward(self, features: Tensor) -> Tensor:
        """(B, F) → (B, F)."""
        standardized = ((features - self.mean) / self.sd).clamp(-self.LIMIT, self.LIMIT)
        return torch.where(self.is_fitted, standardized, features)


def _describe_case(
    x: Tensor, weights: Tensor, reference: Tensor, air: Sequence[Tensor | None]
) -> Tensor:
    """Statistics (F,) of one case: x (C, V), weights (R, V), reference bool (V,)."""
    present = weights.sum(dim=1) >= MIN_VOXELS
    chosen = (weights > MIN_WEIGHT).any(dim=0).nonzero()[:, 0]
    inside = weights[:, chosen]
    distant = (reference if bool(reference.any()) else torch.ones_like(reference)).nonzero()[:, 0]
    distant = distant[:: 1 + len(distant) // MAX_REFERENCE_VOXELS]
    described = [
        _describe_channel(values, values[chosen], values[distant], inside, present, channel_air)
        for values, channel_air in zip(x, air, strict=True)
    ]
    return torch.cat([*described, present.float()])


def _describe_channel(
    values: Tensor,
    inside: Tensor,
    reference: Tensor,
    weights: Tensor,
    present: Tensor,
    air: Tensor | None,
) -> Tensor:
    """Presence, reference and region statistics of one channel."""
    per_region = 2 * (2 + len(QUANTILES)) + len(HISTOGRAM_RATIOS)
    num_features = 1 + len(REFERENCE_QUANTILES) + len(present) * per_region
    low, high = torch.quantile(
        values[:: 1 + len(values) // MAX_REFERENCE_VOXELS], values.new_tensor((0.005, 0.995))
    )
    if not bool(high > low):
        return values.new_zeros(num_features)
    scales = _Scales(reference, air=low if air is None else air, crop_range=high - low)
    descriptor = scales.log(torch.quantile(reference, values.new_tensor(REFERENCE_QUANTILES)))
    statistics = values.new_zeros(len(present), per_region)
    if bool(present.any()):
        statistics[present] = _describe_regions(inside, weights[present], scales)
    return torch.cat([values.new_ones(1), descriptor, statistics.flatten()])


class _Scales:
    """The two scales of one channel of one case, from its reference tissue and air."""

    def __init__(self, reference: Tensor, *, air: Tensor, crop_range: Tensor) -> None:
        quarter, three_quarters, top = torch.quantile(
            reference, reference.new_tensor((0.25, 0.75, 0.95))
        )
        halfway = torch.minimum((air + top) / 2, top)  # never empty, even in a reference below air
        floor = SPREAD_FLOOR * crop_range
        self.air = air
        self.anchor = reference[reference >= halfway].median()
        self.height = (self.anchor - air).clamp(min=floor)
        self.spread = ((three_quarters - quarter) / 1.349).clamp(min=floor)  # IQR of a Gaussian

    def log(self, values: Tensor) -> Tensor:
        return _log_ratio((values - self.air).clamp(min=0.0) / self.height)

    def contrast(self, values: Tensor) -> Tensor:
        return torch.asinh((values - self.anchor) / self.spread)


def _log_ratio(ratio: Tensor) -> Tensor:
    return torch.log(ratio + RATIO_FLOOR)


def _describe_regions(values: Tensor, weights: Tensor, scales: _Scales) -> Tensor:
    """(R, per_region) from the voxels' values (N,) and their weights (R, N), none of them empty."""
    ordered, order = values.sort()
    weights = weights[:, order]
    share = weights / weights.sum(dim=1, keepdim=True)
    parts = []
    for scaled in (scales.log(ordered), scales.contrast(ordered)):
        mean = share @ scaled
        variance = (share * (scaled - mean[:, None]).square()).sum(dim=1)
        parts += [mean[:, None], variance.sqrt()[:, None]]
        parts.append(weighted_quantiles(scaled, weights, QUANTILES))
    return torch.cat([*parts, share @ _histogram_membership(scales.log(ordered))], dim=1)


def _histogram_membership(log_ratio: Tensor) -> Tensor:
    """(N, bins) shares of each voxel in the two nearest bins; they add up to 1."""
    centers = _log_ratio(log_ratio.new_tensor(HISTOGRAM_RATIOS))
    clamped = log_ratio.clamp(min=float(centers[0]), max=float(centers[-1]))
    right = torch.searchsorted(centers, clamped).clamp(min=1)
    left_share = (centers[right] - clamped) / (centers[right] - centers[right - 1])
    membership = log_ratio.new_zeros(len(log_ratio), len(centers))
    membership.scatter_(1, (right - 1)[:, None], left_share[:, None])
    return membership.scatter_(1, right[:, None], 1.0 - left_share[:, None])
