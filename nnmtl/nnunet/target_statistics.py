"""What the heads learn from targets outside gradients: of the training fold only."""

import numpy as np
import torch
from numpy.typing import NDArray

from nnmtl.cohort.targets import ClassTarget, ContinuousTarget, TargetTable
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
            module.center.fill_(float(np.mean(on_head_scale)))
            module.scale.fill_(max(SMALLEST_SCALE, float(np.std(on_head_scale))))
            module.median.fill_(float(np.median(middle)))
        elif isinstance(target, ClassTarget) and head.kind == "binary":
            weights = None if shares is None else shares[target.observed]
            positive = target.possible[target.observed, 1]
            module.threshold.fill_(float(np.average(positive, weights=weights)))
