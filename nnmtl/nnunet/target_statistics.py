"""What the heads learn from targets outside gradients: of the training fold only."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnmtl.cohort.targets import ClassTarget, ContinuousTarget, TargetTable
from nnmtl.losses.beta import LOG_PRECISION_LIMITS
from nnmtl.losses.targets import to_head_scale
from nnmtl.network.tower import BiomarkerTower
from nnmtl.planning.architecture import HeadPlan

SMALLEST_SCALE = 1e-3


@torch.no_grad()
def set_target_statistics(
    tower: BiomarkerTower,
    training: TargetTable,
    heads: tuple[HeadPlan, ...],
    *,
    shares: NDArray[np.float64] | None = None,
) -> None:
    """Sets the heads' buffers: center and scale, decision threshold, median.

    The threshold of a binary biomarker is its prevalence among the cases as they are drawn: there
    a head that is calibrated to them balances sensitivity and specificity about evenly.

    Args:
        tower: changed in place.
        training: targets of the fold's training cases and of no others.
        heads: the tower's heads.
        shares: the probability of drawing each case; None is the same for all.
    """
    for head in heads:
        module, target = tower.head(head.name), training.targets[head.name]
        if not target.observed.any():
            continue
        if isinstance(target, ContinuousTarget):
            middle = (target.lower + target.upper)[target.observed] / 2
            on_head_scale = to_head_scale(middle, head)
            spread = max(SMALLEST_SCALE, float(np.std(on_head_scale)))
            if head.kind == "beta":
                module.center.copy_(_beta_of_all(on_head_scale))
                module.scale.copy_(torch.tensor([spread, 1.0]))
            else:
                module.center.fill_(float(np.mean(on_head_scale)))
                module.scale.fill_(spread)
            module.median.fill_(float(np.median(middle)))
        elif isinstance(target, ClassTarget) and head.kind == "binary":
            weights = None if shares is None else shares[target.observed]
            positive = target.possible[target.observed, 1]
            module.threshold.fill_(float(np.average(positive, weights=weights)))


def _beta_of_all(logits: NDArray[np.float64]) -> Tensor:
    """(2,) mean logit and log precision of the beta distribution with the shares' moments."""
    shares = 1 / (1 + np.exp(-logits))
    mean = shares.mean()
    most = mean * (1 - mean)  # the variance of shares that are all 0 or 1
    precision = most / max(shares.var(), SMALLEST_SCALE * most) - 1
    log_precision = np.clip(np.log(max(precision, SMALLEST_SCALE)), *LOG_PRECISION_LIMITS)
    return torch.tensor([np.log(mean / (1 - mean)), log_precision])
