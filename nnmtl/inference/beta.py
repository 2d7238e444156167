"""What a beta head's distribution says in the biomarker's unit."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv, expit, logit

from nnmtl.losses.targets import from_head_scale, to_head_scale
from nnmtl.planning.architecture import HeadPlan

Array = NDArray[np.float64]


def beta_median(parameters: Array, head: HeadPlan) -> Array:
    """(..., 2) mean logit and log precision → (...) the median, whose absolute error is least."""
    return from_head_scale(logit(betaincinv(*_shapes(parameters), 0.5)), head)


def beta_at_least(parameters: Array, cutoffs: Sequence[float], head: HeadPlan) -> Array:
    """(..., 2) mean logit and log precision → (..., C) probabilities of reaching each cutoff.

    Args:
        parameters: of the distributions.
        cutoffs: C in the biomarker's unit, increasing; no answer rises along them.
        head: whose.
    """
    below = expit(-to_head_scale(np.array(cutoffs, dtype=float), head))
    first, second = _shapes(parameters[..., None, :])
    at_least = betainc(second, first, below)  # of 1 - x, whose shapes change places
    return np.asarray(np.minimum.accumulate(at_least, axis=-1), dtype=np.float64)  # of rounding


def _shapes(parameters: Array) -> tuple[Array, Array]:
    precision = np.exp(parameters[..., 1])
    return expit(parameters[..., 0]) * precision, expit(-parameters[..., 0]) * precision
