"""Starts the heads' linear part from a fit to the training fold, as a radiomics model would be."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.model_selection import GroupKFold
from torch import Tensor

from nnmtl.network.tower import BiomarkerTower
from nnmtl.planning.architecture import HeadPlan

STRENGTHS = (0.003, 0.02, 0.1, 0.5)
PENALTIES = (10.0, 100.0, 300.0, 1000.0, 3000.0)
FEWEST_PATIENTS = 20  # below this a fit of some hundred statistics is noise
FEWEST_PER_CLASS = 5
FOLDS = 5

Fit = tuple[NDArray[np.float64], NDArray[np.float64]]


def start_linear_heads(
    tower: BiomarkerTower,
    statistics: Tensor,
    values: Mapping[str, NDArray[np.float64]],
    heads: Sequence[HeadPlan],
    patients: Sequence[str],
) -> None:
    """Fits the standardization and every head's linear part on training cases.

    Args:
        tower: changed in place.
        statistics: (N, F) raw statistics, nan where missing.
        values: head name → (N,) class number, or value on the head's standardized scale; nan where
            not known.
        heads: the heads of the tower.
        patients: (N,) the patient of each row: the penalty is chosen across patients.
    """
    tower.standardize.fit(statistics)
    scalars = tower.scalars(statistics).detach().cpu().numpy()
    groups = np.array(patients)
    for head in heads:
        known = ~np.isnan(values[head.name])
        fitted = _fit(scalars[known], values[head.name][known], groups[known], head)
        if fitted is not None:
            weight, bias = (torch.from_numpy(part).float().to(statistics.device) for part in fitted)
            tower.head(head.name).start_linear(weight, bias)


def _fit(
    scalars: NDArray[np.float32],
    values: NDArray[np.float64],
    groups: NDArray[np.str_],
    head: HeadPlan,
) -> Fit | None:
    """Weights (num_outputs, S) and biases (num_outputs,); None where there is too little to fit."""
    if len(set(groups)) < FEWEST_PATIENTS:
        return None
    folds = list(GroupKFold(FOLDS).split(scalars, groups=groups))
    if head.kind == "continuous":
        ridge = RidgeCV(alphas=PENALTIES, cv=folds).fit(scalars, values)
        return ridge.coef_[None], np.array([ridge.intercept_])
    num_classes = max(2, head.num_outputs)
    classes = values.astype(int)
    present = [np.unique(classes[train]) for train, _ in folds]
    if np.bincount(classes, minlength=num_classes).min() < FEWEST_PER_CLASS or any(
        len(found) < num_classes for found in present
    ):
        return None
    model = LogisticRegressionCV(
        Cs=STRENGTHS,
        cv=folds,
        scoring="neg_log_loss",
        max_iter=300,
        l1_ratios=(0,),
        use_legacy_attributes=False,
    ).fit(scalars, classes)
    return model.coef_, model.intercept_
