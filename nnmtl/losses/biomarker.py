"""Losses of one biomarker over a batch in which some cases have no target.

Every loss is the mean over the cases that tell something, in float32. A case that is not observed
contributes neither value nor gradient, even where its entries are nan; if no case is observed the
loss is exactly 0 and still has a (zero) gradient. ``prior_entropy`` in ``nnmtl.losses.joint`` gives
the value of an uninformed head, so that tasks of different kinds can be put on one scale.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from nnmtl.losses.beta import bounded_parameters, log_likelihood


def masked_binary_loss(
    logits: Tensor, target: Tensor, observed: Tensor, *, smoothing: float = 0.0
) -> Tensor:
    """Binary cross-entropy.

    Args:
        logits: Log-odds of positive, (B,).
        target: Probability of positive, usually 0 or 1, (B,); anything where not observed.
        observed: bool (B,).
        smoothing: The target moves by this share toward .5, as in torch's two-class cross-entropy.

    Returns:
        Scalar; ln 2 for logits of 0.
    """
    logits = _known(logits, observed)
    target = _known(target, observed)
    target = target * (1.0 - smoothing) + 0.5 * smoothing
    per_case = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return _mean_over(per_case, observed)


def masked_class_loss(
    logits: Tensor, possible: Tensor, observed: Tensor, *, smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy for targets that name a set of classes: ``-log`` of the set's probability.

    One possible class is the ordinary cross-entropy (with torch's label smoothing). A case in which
    all classes are possible tells nothing and counts as not observed.

    Args:
        logits: (B, K).
        possible: bool (B, K), True for every class that the target may be.
        observed: bool (B,).
        smoothing: Share of the loss that asks for a uniform prediction.

    Returns:
        Scalar; ln K for logits of 0 and single classes.
    """
    possible = possible.bool()
    informative = observed.bool() & ~possible.all(dim=1) & possible.any(dim=1)
    log_p = torch.log_softmax(_known(logits, informative), dim=1)
    possible = possible | ~informative[:, None]
    per_case = -torch.logsumexp(log_p.masked_fill(~possible, -math.inf), dim=1)
    per_case = (1.0 - smoothing) * per_case - smoothing * log_p.mean(dim=1)
    return _mean_over(per_case, informative)


def masked_ordinal_loss(logits: Tensor, possible: Tensor, observed: Tensor) -> Tensor:
    """Mean binary cross-entropy over the thresholds between ordered classes.

    Each threshold is a proper binary question ("above class k?"), so the loss is smallest at the
    true cumulative probabilities; with two classes it is the binary loss. A set of classes answers
    only the thresholds that have all of it on one side. Source: Frank and Hall, ECML 2001.

    Args:
        logits: Log-odds of "above class k" for k = 0 .. K-2, (B, K-1).
        possible: bool (B, K) in class order.
        observed: bool (B,).

    Returns:
        Scalar; ln 2 for logits of 0.
    """
    possible = possible.bool()
    # For the threshold after class k: is any possible class at or below it, is any above it?
    at_or_below = possible.cumsum(dim=1)[:, :-1] > 0
    above = possible.flip(1).cumsum(dim=1).flip(1)[:, 1:] > 0
    answered = (at_or_below ^ above) & observed.bool()[:, None]
    informative = answered.any(dim=1)
    per_threshold = functional.binary_cross_entropy_with_logits(
        _known(logits, answered), above.float(), reduction="none"
    )
    per_threshold = torch.where(answered, per_threshold, 0.0)
    per_case = per_threshold.sum(dim=1) / answered.sum(dim=1).clamp(min=1)
    return _mean_over(per_case, informative)


def masked_interval_loss(value: Tensor, lower: Tensor, upper: Tensor, observed: Tensor) -> Tensor:
    """Squared distance to the interval that the target is known to lie in.

    The squared error where ``lower == upper``; 0 inside the interval; an end may be infinite.

    Args:
        value: Prediction on the scale of the targets, preferably standardized, (B,).
        lower: (B,), anything where not observed.
        upper: (B,), anything where not observed.
        observed: bool (B,).

    Returns:
        Scalar; about 1 for a constant prediction of standardized exact targets.
    """
    value = _known(value, observed)
    below = functional.relu(_known(lower, observed) - value)
    above = functional.relu(value - _known(upper, observed))
    return _mean_over((below + above).square(), observed)


def masked_beta_loss(
    parameters: Tensor, lower: Tensor, upper: Tensor, observed: Tensor, *, marginal: Tensor
) -> Tensor:
    """Negative log-likelihood of a beta distribution, relative to one that knows no case.

    Twice the difference, plus 1: the scale of the squared error of a standardized value. It may
    fall below 0. An interval counts with the logarithm of its probability.

    Args:
        parameters: Logit of the mean and logarithm of the precision, (B, 2).
        lower: Logit of the share, or of its interval's lower end, which may be -inf, (B,); anything
            where not observed.
        upper: (B,), which may be inf.
        observed: bool (B,).
        marginal: (2,) parameters of the distribution of all targets.

    Returns:
        Scalar; exactly 1 for the marginal distribution.
    """
    lower, upper = _known(lower, observed), _known(upper, observed)
    parameters = bounded_parameters(_known(parameters, observed))
    uninformed = bounded_parameters(marginal.detach().float()).expand_as(parameters)
    gain = log_likelihood(parameters, lower, upper) - log_likelihood(uninformed, lower, upper)
    return _mean_over(1 - 2 * gain, observed)


def _known(entries: Tensor, observed: Tensor) -> Tensor:
    """Entries in float32, 0 where not observed: chosen before any arithmetic, so no nan passes."""
    observed = observed.bool().view(*observed.shape, *[1] * (entries.ndim - observed.ndim))
    return torch.where(observed, entries.float(), 0.0)


def _mean_over(per_case: Tensor, observed: Tensor) -> Tensor:
    observed = observed.bool()
    return torch.where(observed, per_case, 0.0).sum() / observed.sum().clamp(min=1)
