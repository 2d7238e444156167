"""One scalar to minimize from the losses of all tasks."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from nnmtl.errors import NnmtlError

TEMPERATURE = 2.0  # of the dynamic weights, as published; higher is more even


def joint_loss(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Weighted sum of named losses.

    Args:
        losses: Scalar per task.
        weights: Factor per task; entries of tasks that are absent from ``losses`` are not used.

    Returns:
        Scalar.

    Raises:
        NnmtlError: There is no loss, or one without a weight.
    """
    missing = sorted(set(losses) - set(weights))
    if missing or not losses:
        message = (
            f"The joint loss needs at least one loss and a weight for each, but got losses "
            f"{sorted(losses)} and weights {sorted(weights)}; add the missing weights to the plans."
        )
        raise NnmtlError(message)
    terms = [weights[name] * loss for name, loss in losses.items()]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def learned_weight(loss: Tensor, log_variance: Tensor) -> Tensor:
    """A loss weighted by the task's learned uncertainty: exp(-s) loss + s / 2.

    Source: Kendall, Gal and Cipolla, CVPR 2018. The segmentation keeps its weight: only relative
    weights matter. `s` stays within 3, so that no task vanishes.

    Args:
        loss: Scalar.
        log_variance: Scalar s.
    """
    bounded = log_variance.clamp(-3, 3)
    return torch.exp(-bounded) * loss + bounded / 2


def dynamic_weights(last: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """Factors on the losses: the larger, the less a task's loss fell. They sum to their number.

    Dynamic weight average; source: Liu, Johns and Davison, "End-to-end multi-task learning with
    attention", CVPR 2019.

    Args:
        last: task → mean loss of the last epoch.
        before: the same of the epoch before. A loss of 0, of a task without any target, counts as
            unchanged.
    """
    ratios = [last[name] / before[name] if last[name] and before[name] else 1.0 for name in last]
    shares = torch.softmax(torch.tensor(ratios, dtype=torch.float64) / TEMPERATURE, 0)
    return dict(zip(last, (len(last) * shares).tolist(), strict=True))


def prior_entropy(num_classes: int) -> float:
    """Loss of a head that knows nothing; a task's weight divided by it makes every task start at 1.

    ln K for the class loss with K classes; ln 2 (``num_classes=2``) for the binary loss and for the
    ordinal loss with any number of classes. The interval loss needs none: it starts at about 1 when
    its targets are standardized.
    """
    return math.log(num_classes)
