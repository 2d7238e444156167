"""Starts the heads' linear part from a fit to the training fold, as a radiomics model would be."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.model_selection import GroupKFold
from torch import Tensor

from nnmtl.losses.targets import BatchTarget
from nnmtl.network.heads import BiomarkerHead
from nnmtl.network.tower import BiomarkerTower
from nnmtl.planning.architecture import HeadPlan

STRENGTHS = (0.003, 0.01, 0.03, 0.1)
PENALTIES = (30.0, 100.0, 300.0, 1000.0, 3000.0)
FEWEST_CASES = 20  # below this a fit of some hundred statistics is noise


def start_linear_heads(
    tower: BiomarkerTower,
    statistics: Tensor,
    targets: Mapping[str, BatchTarget],
    heads: Sequence[HeadPlan],
    groups: Sequence[str],
) -> None:
    """Fits standardization and every head's linear part on the training fold's statistics.

    Categorical biomarkers use the cases whose category is known; intervals their middle.

    Args:
        tower: changed in place.
        statistics: (N, F) raw statistics of training cases, nan where missing.
        targets: name → targets of the same N rows.
        heads: the heads of the tower.
        groups: the patient of each row: the strength of the penalty is chosen across patients.
    """
    tower.standardize.fit(statistics)
    device = statistics.device
    scalars = tower.scalars(statistics).detach().cpu().numpy()
    for head in heads:
        module = tower.heads[head.name]
        fitted = _fit(scalars, targets[head.name], head, module, np.array(groups))
        if fitted is not None:
            weight, bias = (torch.from_numpy(value).float().to(device) for value in fitted)
            module.start_linear(weight, bias)


def _fit(
    scalars: NDArray[np.float32], target: BatchTarget, head: HeadPlan, module: BiomarkerHead, groups: NDArray[np.str_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    known = target.observed.cpu().numpy()
    if head.kind == "continuous":
        middle = ((target.lower + target.upper) / 2 - module.center) / module.scale
        if known.sum() < FEWEST_CASES:
            return None
        folds = list(GroupKFold(5).split(scalars[known], groups=groups[known]))
        ridge = RidgeCV(alphas=PENALTIES, cv=folds).fit(
            scalars[known], middle.cpu().numpy()[known]
        )
        return ridge.coef_[None], np.array([ridge.intercept_])
    possible = target.possible.cpu().numpy()
    known &= possible.sum(1) == 1
    classes = possible.argmax(1)[known]
    counts = np.bincount(classes, minlength=possible.shape[1])
    if known.sum() < FEWEST_CASES or counts.min() < 5:
        return None
    folds = list(GroupKFold(5).split(scalars[known], groups=groups[known]))
    model = LogisticRegressionCV(
        Cs=STRENGTHS, cv=folds, scoring="neg_log_loss", max_iter=500, l1_ratios=(0,),
        use_legacy_attributes=False,
    ).fit(scalars[known], classes)
    return model.coef_, model.intercept_
