"""The beta distribution of a share between 0 and 1, by the logit of its mean and its log precision.

With mean m and precision p its shapes are m p and (1 - m) p (Ferrari and Cribari-Neto, J Appl Stat
2004;31:799). Shares are given by their logit, where the density has no pole and its tails are
exponential.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

MEAN_LOGIT_LIMIT = 7.0  # means of .0009 to .9991
LOG_PRECISION_LIMITS = (0.0, 7.0)  # from nearly flat to a standard deviation of 1.5 % at the middle
SHARPNESS = 2.0  # of the bend at a limit
NODES = 512  # resolve the sharpest density over the widest interval
TAIL_LOGIT = 14.0  # beyond it 1 - x is 1 to 6 digits, so that the integral is known


def bounded_parameters(parameters: Tensor) -> Tensor:
    """(..., 2) mean logit and log precision, any finite or infinite → the same within the limits.

    Smooth, and the identity but near the limits.
    """
    logit = _bounded(parameters[..., 0], -MEAN_LOGIT_LIMIT, MEAN_LOGIT_LIMIT)
    return torch.stack([logit, _bounded(parameters[..., 1], *LOG_PRECISION_LIMITS)], dim=-1)


def log_likelihood(parameters: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """Logarithm of the density at a known share, or of the probability of an interval.

    Args:
        parameters: (B, 2) within the limits.
        lower: (B,) logit of the share, or of the interval's lower end; -inf is a share of 0.
        upper: (B,) the same of the upper end.

    Returns:
        (B,), finite, with a gradient by the parameters also for an interval far in a tail.
    """
    is_point = lower == upper
    density = _log_density(parameters, torch.where(is_point, lower, 0.0))
    if is_point.all():
        return density
    interval = _log_interval(
        parameters, torch.where(is_point, -1.0, lower), torch.where(is_point, 1.0, upper)
    )
    return torch.where(is_point, density, interval)


def _bounded(values: Tensor, low: float, high: float) -> Tensor:
    values = values.clamp(low - 10, high + 10)  # of two huge numbers no difference would be left
    above_low = functional.softplus(values - low, beta=SHARPNESS)
    return low + above_low - functional.softplus(values - high, beta=SHARPNESS)


def _shapes(parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Both shapes and the logarithm of the beta function of them, each (B,)."""
    logit, precision = parameters[:, 0], parameters[:, 1].exp()
    first, second = torch.sigmoid(logit) * precision, torch.sigmoid(-logit) * precision
    return first, second, torch.lgamma(first) + torch.lgamma(second) - torch.lgamma(precision)


def _log_density(parameters: Tensor, logits: Tensor) -> Tensor:
    """Of the share, at the logits of B shares."""
    first, second, log_beta = _shapes(parameters)
    below = (first - 1) * functional.logsigmoid(logits)
    return below + (second - 1) * functional.logsigmoid(-logits) - log_beta


def _log_interval(parameters: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """Gauss-Legendre quadrature over the logit, summed as logarithms; lower < upper.

    A difference of two incomplete beta functions would be 0 far in a tail, and torch has no
    gradient of them.
    """
    first, second, log_beta = _shapes(parameters)
    low, high = lower.clamp(min=-TAIL_LOGIT), upper.clamp(max=TAIL_LOGIT)
    nodes, log_weights = (part.to(parameters) for part in _legendre())
    half = (high - low)[:, None] / 2
    logits = low[:, None] + half * (1 + nodes)
    log_terms = (
        first[:, None] * functional.logsigmoid(logits)
        + second[:, None] * functional.logsigmoid(-logits)
        + log_weights
        + half.log()
    )
    tails = [
        torch.where(torch.isinf(end), -TAIL_LOGIT * shape - shape.log(), -torch.inf)[:, None]
        for end, shape in ((lower, first), (upper, second))
    ]
    return torch.logsumexp(torch.cat([log_terms, *tails], dim=1), dim=1) - log_beta


@cache
def _legendre() -> tuple[Tensor, Tensor]:
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return torch.from_numpy(nodes), torch.from_numpy(np.log(weights))
