"""Starts the heads' linear part from a fit to the training fold, as a radiomics model would be."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from torch import Tensor

from nnmtl.network.heads import BiomarkerHead
from nnmtl.network.ridge import Folds, RidgeFit, fit_ridge
from nnmtl.network.tower import BiomarkerTower
from nnmtl.planning.architecture import HeadPlan

PENALTIES = (30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)
POOLED_TRUST = (0.0, 0.3, 1.0)  # the encoder's features are many, and made for another task
WEAK_PRIOR = 10.0  # of the scale: keeps it finite where the classes separate
FEWEST_PATIENTS = 20  # below this a fit of some hundred statistics is noise
FEWEST_PER_CLASS = 5
FOLDS = 5
BETA_BOUNDS = ((0, 2), (-3, 3), (-3, 6))  # slope, intercept, log precision over that of all targets

Fit = tuple[NDArray[np.float64], NDArray[np.float64]]


def start_linear_heads(
    tower: BiomarkerTower,
    measured: Tensor,
    values: Mapping[str, NDArray[np.float64]],
    heads: Sequence[HeadPlan],
    *,
    centers: Sequence[str],
    patients: Sequence[str],
) -> None:
    """Fits the standardization, the centers' alignment and every head's linear part.

    Args:
        tower: changed in place.
        measured: (N, F) `MultiTaskOutput.measured` of training cases, nan where missing.
        values: head name → (N,) class number, or value on the head's standardized scale (of a beta
            head its mean's); nan where not known.
        heads: the heads of the tower.
        centers: (N,) the center of each row.
        patients: (N,) the patient of each row: the penalty is chosen across patients.
    """
    if not measured.shape[1]:
        return
    tower.fit_scale(measured, centers, patients)
    scalars = tower.scalars(measured).detach().cpu().numpy()
    groups = np.array(patients)
    varies = scalars.std(0) > 0  # most missing indicators do not, and would only cost time
    pooled = np.zeros(scalars.shape[1], dtype=bool)
    pooled[tower.num_statistics : measured.shape[1]] = True
    for head in heads:
        known = ~np.isnan(values[head.name])
        fitted = _fit(
            scalars[known][:, varies],
            values[head.name][known],
            groups[known],
            head,
            tower.head(head.name),
            pooled=pooled[varies],
        )
        if fitted is not None:
            weight = np.zeros((len(fitted[0]), scalars.shape[1]))
            weight[:, varies] = fitted[0]
            parts = (torch.from_numpy(part).float() for part in (weight, fitted[1]))
            tower.head(head.name).start_linear(*(part.to(measured.device) for part in parts))


def _fit(
    scalars: NDArray[np.float32],
    values: NDArray[np.float64],
    groups: NDArray[np.str_],
    head: HeadPlan,
    module: BiomarkerHead,
    *,
    pooled: NDArray[np.bool_],
) -> Fit | None:
    """Weights (num_outputs, S) and biases (num_outputs,); None where there is too little to fit."""
    if len(set(groups)) < FEWEST_PATIENTS:
        return None
    folds = list(GroupKFold(FOLDS).split(scalars, groups=groups))
    if head.kind == "continuous":
        ridge, trust = _fit_ridge(scalars, values[:, None], folds, pooled)
        return ridge.weight * trust, ridge.bias
    if head.kind == "beta":
        return _fit_beta(scalars, values, folds, module, pooled=pooled)
    num_classes = max(2, head.num_answers)
    classes = values.astype(int)
    present = [np.unique(classes[train]) for train, _ in folds]
    if np.bincount(classes, minlength=num_classes).min() < FEWEST_PER_CLASS or any(
        len(found) < num_classes for found in present
    ):
        return None
    if head.kind != "ordinal":
        return _fit_classes(scalars, np.eye(num_classes)[classes], folds, pooled)
    # One question per step between the categories: is the case above it?
    above = [np.eye(2)[(classes > step).astype(int)] for step in range(head.num_outputs)]
    steps = [_fit_classes(scalars, membership, folds, pooled) for membership in above]
    return np.vstack([weight for weight, _ in steps]), np.concatenate([bias for _, bias in steps])


def _fit_beta(
    scalars: NDArray[np.float32],
    values: NDArray[np.float64],
    folds: Folds,
    module: BiomarkerHead,
    *,
    pooled: NDArray[np.bool_],
) -> Fit:
    """Ridge regression of the logit, then a beta regression on its scores of patients left out.

    The latter (Ferrari and Cribari-Neto, J Appl Stat 2004;31:799) has one slope, one intercept and
    one precision, which so is what the residuals of patients left out allow.
    """
    ridge, trust = _fit_ridge(scalars, values[:, None], folds, pooled)
    left_out = ridge.left_out[:, 0]
    center, scale = (buffer.double().cpu().numpy() for buffer in (module.center, module.scale))
    shares = expit(values * scale[0] + center[0])

    def mean_loss(parameters: NDArray[np.float64]) -> float:
        slope, intercept, log_precision = parameters
        mean = expit((left_out * slope + intercept) * scale[0] + center[0])
        precision = np.exp(log_precision * scale[1] + center[1])
        density = stats.beta.logpdf(shares, mean * precision, (1 - mean) * precision)
        return -float(density.mean())

    slope, intercept, log_precision = minimize(mean_loss, (1, 0, 0), bounds=BETA_BOUNDS).x
    weight = np.stack([slope * ridge.weight[0] * trust, np.zeros(scalars.shape[1])])
    return weight, np.array([slope * ridge.bias[0] + intercept, log_precision])


def _fit_classes(
    scalars: NDArray[np.float32],
    membership: NDArray[np.float64],
    folds: Folds,
    pooled: NDArray[np.bool_],
) -> Fit:
    """Ridge regression on class membership (N, K), then a logistic scale of its scores.

    With more statistics than patients the squared loss, a regularized discriminant analysis
    (Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", 4.3 and 18.3), orders
    the patients better than a logistic fit. The scores that the scale is fitted to are of patients
    left out.
    """
    targets = membership[:, 1:] if membership.shape[1] == 2 else membership
    ridge, trust = _fit_ridge(scalars, targets, folds, pooled)
    scale = LogisticRegression(C=WEAK_PRIOR).fit(ridge.left_out, membership.argmax(1))
    weight = ridge.weight * trust
    return scale.coef_ @ weight, scale.coef_ @ ridge.bias + scale.intercept_


def _fit_ridge(
    scalars: NDArray[np.float32],
    targets: NDArray[np.float64],
    folds: Folds,
    pooled: NDArray[np.bool_],
) -> tuple[RidgeFit, NDArray[np.float32]]:
    """The ridge regression whose penalty and trust in pooled features do best on left-out patients.

    Returns it and the factor (S,) on every scalar that it was fitted with.
    """
    best = None
    for level in POOLED_TRUST if pooled.any() else (1.0,):
        trust = np.where(pooled, level, 1.0).astype(np.float32)
        ridge = fit_ridge(scalars * trust, targets, folds, PENALTIES)
        if best is None or ridge.score > best[0].score:
            best = ridge, trust
    assert best is not None
    return best
