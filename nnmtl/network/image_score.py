"""One score per biomarker from what is measured in the image, as a radiomics model would give it.

With more statistics than patients the squared loss, a regularized discriminant analysis where the
target is a class (Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", 4.3 and
18.3), orders patients better than a logistic fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from nnmtl.network.ridge import Folds, RidgeFit, fit_ridge
from nnmtl.planning.architecture import HeadPlan

PENALTIES = (30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)
POOLED_TRUST = (0.0, 0.3, 1.0)  # the encoder's features are many, and made for another task
FEWEST_PATIENTS = 20  # below this a fit of some hundred statistics is noise
FEWEST_PER_CLASS = 5
FOLDS = 5

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ImageScore:
    """What the image says of one biomarker.

    Attributes:
        weight: (T, S) of T scores; a class has one per class or step, with two classes one.
        bias: (T,).
        of_cases: (N, T) each by a fit that has not seen the target of the case; nor, where it is
            known, of another case of the patient.
    """

    weight: Floats
    bias: Floats
    of_cases: Floats


def fit_image_score(
    scalars: NDArray[np.float32],
    values: Floats,
    patients: Sequence[str],
    head: HeadPlan,
    *,
    pooled: NDArray[np.bool_],
) -> ImageScore | None:
    """Ridge regression on what is measured; None where there is too little to fit.

    Args:
        scalars: (N, S) standardized, without nan.
        values: (N,) class number, or value on the head's standardized scale; nan if not known.
        patients: (N,) of each row: the penalty is chosen across patients.
        head: what is predicted.
        pooled: (S,) whether a column is a pooled feature of the encoder.
    """
    known = ~np.isnan(values)
    groups = np.array(patients)[known]
    if len(set(groups)) < FEWEST_PATIENTS:
        return None
    folds = list(GroupKFold(FOLDS).split(groups, groups=groups))
    targets = _targets(values[known], head, folds)
    if targets is None:
        return None
    ridge, trust = _fit_ridge(scalars[known], targets, folds, pooled)
    weight = ridge.weight * trust
    of_cases = scalars @ weight.T + ridge.bias
    of_cases[known] = ridge.left_out
    return ImageScore(weight=weight, bias=ridge.bias, of_cases=of_cases)


def _targets(values: Floats, head: HeadPlan, folds: Folds) -> Floats | None:
    """(N, T) what a squared loss is fitted to; None where a class has too few cases."""
    if head.kind in ("continuous", "beta"):
        return values[:, None]
    num_classes = max(2, head.num_answers)
    classes = values.astype(int)
    present = [np.unique(classes[train]) for train, _ in folds]
    if np.bincount(classes, minlength=num_classes).min() < FEWEST_PER_CLASS or any(
        len(found) < num_classes for found in present
    ):
        return None
    if head.kind == "ordinal":  # one question per step: is the case above it?
        return (classes[:, None] > np.arange(head.num_outputs)).astype(float)
    membership = np.eye(num_classes)[classes]
    return membership[:, 1:] if num_classes == 2 else membership


def _fit_ridge(
    scalars: NDArray[np.float32], targets: Floats, folds: Folds, pooled: NDArray[np.bool_]
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
