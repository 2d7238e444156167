"""Targets of a batch as tensors, and the named losses of a batch of head outputs."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnmtl.cohort.targets import ClassTarget, TargetTable
from nnmtl.losses.biomarker import (
    masked_beta_loss,
    masked_binary_loss,
    masked_class_loss,
    masked_interval_loss,
    masked_ordinal_loss,
)
from nnmtl.losses.joint import prior_entropy
from nnmtl.planning.architecture import HeadPlan

NOTHING = torch.empty(0)
LEAST_SHARE = 0.005  # keeps the logit of a range's ends finite
NUM_STEPS = 100  # of a share: readers of a percentage tell about that many apart


class BatchTarget(NamedTuple):
    """One biomarker of a batch.

    Attributes:
        observed: (B,) boolean.
        possible: (B, K) boolean for binary (K = 2) and categorical biomarkers, else empty.
        lower: (B,) lower end of a continuous target on the head's scale, else empty; -inf where
            an interval of a beta head begins at the end of the range.
        upper: (B,) upper end.
    """

    observed: Tensor
    possible: Tensor = NOTHING
    lower: Tensor = NOTHING
    upper: Tensor = NOTHING


def batch_targets(
    table: TargetTable, case_ids: Sequence[str], heads: Sequence[HeadPlan], *, device: torch.device
) -> dict[str, BatchTarget]:
    """Looks up the targets of a batch by case id; continuous ones on the head's scale."""
    row_of = {case_id: row for row, case_id in enumerate(table.case_ids)}
    rows = np.array([row_of[str(case_id)] for case_id in case_ids])
    return {head.name: _batch_target(table, rows, head, device) for head in heads}


def _batch_target(
    table: TargetTable, rows: NDArray[np.intp], head: HeadPlan, device: torch.device
) -> BatchTarget:
    target = table.targets[head.name].select(rows)
    observed = torch.from_numpy(target.observed).to(device)
    if isinstance(target, ClassTarget):
        return BatchTarget(observed, possible=torch.from_numpy(target.possible).to(device))
    lower, upper = (to_head_scale(values, head) for values in (target.lower, target.upper))
    if head.kind == "beta" and head.range is not None:
        is_interval = target.lower < target.upper
        lower = np.where(is_interval & (target.lower == head.range[0]), -np.inf, lower)
        upper = np.where(is_interval & (target.upper == head.range[1]), np.inf, upper)
    ends = (torch.from_numpy(values).float().to(device) for values in (lower, upper))
    return BatchTarget(observed, NOTHING, *ends)


def to_head_scale(values: NDArray[np.float64], head: HeadPlan) -> NDArray[np.float64]:
    """Values in their unit → the scale that the head works on (the logit for a bounded one).

    The shares of a beta head are squeezed to (s (n - 1) + 1/2) / n (Smithson and Verkuilen, Psychol
    Methods 2006;11:54), which keeps 0 and 1 inside. There n is the sample size; a fixed one makes a
    model of few cases and one of many mean the same.
    """
    if head.range is None:
        return values
    low, high = head.range
    share = (values - low) / (high - low)
    if head.kind == "beta":
        share = (share * (NUM_STEPS - 1) + 0.5) / NUM_STEPS
    share = np.clip(share, LEAST_SHARE, 1 - LEAST_SHARE)
    return np.log(share / (1 - share))


def from_head_scale(values: NDArray[np.float64], head: HeadPlan) -> NDArray[np.float64]:
    """The inverse of `to_head_scale`."""
    if head.range is None:
        return values
    low, high = head.range
    share = 1 / (1 + np.exp(-values))
    if head.kind == "beta":
        share = np.clip((share * NUM_STEPS - 0.5) / (NUM_STEPS - 1), 0, 1)
    return low + (high - low) * share


def biomarker_losses(
    outputs: Mapping[str, Tensor],
    targets: Mapping[str, BatchTarget],
    heads: Sequence[HeadPlan],
    scaling: Mapping[str, tuple[Tensor, Tensor]],
    *,
    smoothing: float,
) -> dict[str, Tensor]:
    """Named losses, each about 1 for a head that knows nothing.

    Args:
        outputs: name → (B, num_outputs).
        targets: name → target.
        heads: the heads to score.
        scaling: name → (center, scale) of a continuous head's targets; of a beta head each is (2,).
        smoothing: label smoothing of binary and categorical biomarkers.
    """
    losses = {}
    for head in heads:
        output, target = outputs[head.name].float(), targets[head.name]
        if head.kind == "binary":
            positive = target.possible[:, 1].float()
            loss = masked_binary_loss(output[:, 0], positive, target.observed, smoothing=smoothing)
            losses[head.name] = loss / prior_entropy(2)
        elif head.kind == "categorical":
            loss = masked_class_loss(output, target.possible, target.observed, smoothing=smoothing)
            losses[head.name] = loss / prior_entropy(head.num_outputs)
        elif head.kind == "ordinal":
            loss = masked_ordinal_loss(output, target.possible, target.observed)
            losses[head.name] = loss / prior_entropy(2)
        elif head.kind == "beta":
            center, scale = scaling[head.name]
            parameters = output * scale + center
            losses[head.name] = masked_beta_loss(
                parameters, target.lower, target.upper, target.observed, marginal=center
            )
        else:
            center, scale = scaling[head.name]
            lower, upper = (target.lower - center) / scale, (target.upper - center) / scale
            losses[head.name] = masked_interval_loss(output[:, 0], lower, upper, target.observed)
    return losses
