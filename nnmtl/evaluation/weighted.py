"""Weighted means and ranks, for one sample or for thousands of resamples at once.

Every metric here takes `weights` of shape (..., N): how often each of N cases counts. A bootstrap
resample is such a row of counts, so one call with (B, N) weights gives the metric of B resamples.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def weights_or_ones(weights: FloatArray | None, num_cases: int) -> FloatArray:
    """The weights as given, or 1 for each of N cases."""
    return np.ones(num_cases) if weights is None else weights


def ratio(numerator: Any, denominator: Any) -> FloatArray:
    """The quotient, nan where the denominator is 0."""
    numerator, denominator = np.asarray(numerator, float), np.asarray(denominator, float)
    defined = denominator != 0
    return np.where(defined, numerator / np.where(defined, denominator, 1), np.nan)


def mean(values: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """Weighted mean of (N,) values: shape (...) for weights (..., N)."""
    weights = weights_or_ones(weights, len(values))
    return ratio(weights @ values, weights.sum(axis=-1))


def median(values: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """Median of the resample: the middle value, or the mean of the middle two."""
    weights = weights_or_ones(weights, len(values))
    order = np.argsort(values, kind="stable")
    seen = np.cumsum(weights[..., order], axis=-1)
    half = seen[..., -1:] / 2
    lower = values[order][np.argmax(seen >= half, axis=-1)]
    upper = values[order][np.argmax(seen > half, axis=-1)]
    return np.where(half[..., 0] > 0, (lower + upper) / 2, np.nan)


@dataclass(frozen=True, kw_only=True, eq=False)
class TieGroups:
    """The N cases in the order of their values, cut into G groups of equal values."""

    order: npt.NDArray[np.intp]
    group: npt.NDArray[np.intp]
    starts: npt.NDArray[np.intp]

    @classmethod
    def of(cls, values: FloatArray) -> "TieGroups":
        """Groups (N,) values."""
        order = np.argsort(values, kind="stable")
        ordered = values[order]
        is_start = np.ones(len(values), dtype=bool)
        is_start[1:] = ordered[1:] != ordered[:-1]
        return cls(order=order, group=np.cumsum(is_start) - 1, starts=np.flatnonzero(is_start))

    def totals(self, weights: FloatArray) -> FloatArray:
        """The weight of each group: (..., N) to (..., G)."""
        return np.add.reduceat(weights[..., self.order], self.starts, axis=-1)

    def midranks(self, weights: FloatArray) -> FloatArray:
        """Rank of each case within the resample, ties sharing their mean rank: (..., N)."""
        totals = self.totals(weights)
        rank_of_group = np.cumsum(totals, axis=-1) - (totals - 1) / 2
        ranks = np.empty_like(weights)
        ranks[..., self.order] = rank_of_group[..., self.group]
        return ranks
