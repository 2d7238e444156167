"""How well features tell the center that a patient comes from.

A network can answer by recognizing the center, where prevalence differs between centers, instead of
the biology. Features that tell the center do not prove that it does; features that do not tell it
prove that it cannot.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import StratifiedKFold

from nnmtl.evaluation.weighted import FloatArray

NUM_FOLDS = 5
NUM_PERMUTATIONS = 100
SEED = 20250101
# Weight of the squared coefficients against the summed loss, for standardized features: strong,
# since there are more features than patients. scikit-learn's C is its inverse.
PENALTY = 100.0
_ACCURACY = 1e-4  # to which coefficients are found, relative to the first step's error


@dataclass(frozen=True, kw_only=True)
class CenterProbe:
    """A cross-validated multinomial logistic regression of the center on features.

    Attributes:
        centers: that were told apart: those with at least 5 patients.
        num_patients: of them together.
        balanced_accuracy: mean over centers of the share of their patients that were recognized;
            nan where undefined.
        lower: 2.5th percentile of the same with centers permuted between patients.
        upper: 97.5th percentile.
        reason: why it is undefined; None where it is not.
    """

    centers: tuple[str, ...]
    num_patients: int
    balanced_accuracy: float
    lower: float
    upper: float
    reason: str | None = None

    @property
    def chance(self) -> float:
        """What guessing gives."""
        return 1 / len(self.centers) if self.centers else float("nan")

    @property
    def tells_centers(self) -> bool:
        """Whether the features know more of the center than permuted ones; False if undefined."""
        return bool(self.balanced_accuracy > self.upper)


def probe_centers(
    features: FloatArray, centers: Sequence[str], patient_ids: Sequence[str]
) -> CenterProbe:
    """Asks features for the center, each patient by a model that has not seen this patient.

    Args:
        features: (N, F), nan where a value is missing; the cases of a patient are averaged.
        centers: of each case; a patient has one.
        patient_ids: of each case.
    """
    values, of_patient = _by_patient(features, centers, patient_ids)
    names, counts = np.unique(of_patient, return_counts=True)
    names = names[counts >= NUM_FOLDS]
    rows = np.isin(of_patient, names)
    if len(names) < 2:
        return CenterProbe(
            centers=tuple(names.tolist()),
            num_patients=int(rows.sum()),
            balanced_accuracy=np.nan,
            lower=np.nan,
            upper=np.nan,
            reason=f"expected at least 2 centers with {NUM_FOLDS} patients, got {len(names)}",
        )
    number = np.searchsorted(names, of_patient[rows])
    generator = np.random.default_rng(SEED)
    answers = [number, *(generator.permutation(number) for _ in range(NUM_PERMUTATIONS))]
    found, *permuted = _balanced_accuracies(_rotated(values[rows]), np.stack(answers))
    lower, upper = np.quantile(permuted, [0.025, 0.975])
    return CenterProbe(
        centers=tuple(names.tolist()),
        num_patients=int(rows.sum()),
        balanced_accuracy=float(found),
        lower=float(lower),
        upper=float(upper),
    )


def _by_patient(
    features: FloatArray, centers: Sequence[str], patient_ids: Sequence[str]
) -> tuple[FloatArray, np.ndarray]:
    patients, first, patient_of = np.unique(
        np.asarray(patient_ids, dtype=str), return_index=True, return_inverse=True
    )
    known = ~np.isnan(features)
    total = np.zeros((len(patients), features.shape[1]))
    count = np.zeros_like(total)
    np.add.at(total, patient_of, np.where(known, features, 0))
    np.add.at(count, patient_of, known)
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return mean, np.asarray(centers, dtype=str)[first]


def _rotated(values: FloatArray) -> FloatArray:
    """Standardized features in coordinates of which there are no more than patients.

    The penalty does not see a rotation, so the regression is the same, in a tenth of the time.
    Centers are not looked at.
    """
    known = ~np.isnan(values)
    mean = np.where(known, values, 0).sum(0) / np.maximum(known.sum(0), 1)
    centered = np.where(known, values - mean, 0)
    spread = centered.std(axis=0)
    kept = spread > 1e-9 * np.maximum(1, np.abs(mean))
    left, scale, _ = np.linalg.svd(centered[:, kept] / spread[kept], full_matrices=False)
    return np.asarray(left * scale)


def _balanced_accuracies(values: FloatArray, numbers: np.ndarray) -> FloatArray:
    """(P,) mean recall over the centers for each of P assignments (P, N) of centers to patients.

    The folds are those of the true assignment, the first.
    """
    predicted = np.empty_like(numbers)
    folds = StratifiedKFold(NUM_FOLDS, shuffle=True, random_state=0)
    for train, test in folds.split(values, numbers[0]):
        middle = values[train].mean(axis=0)
        coefficients = fit_logistic(values[train] - middle, numbers[:, train])
        predicted[:, test] = np.einsum(
            "nd,dpk->pnk", values[test] - middle, coefficients, optimize=True
        ).argmax(-1)
    hits = predicted == numbers
    recalls = [
        np.where(numbers == each, hits, 0).sum(1) / (numbers == each).sum(1)
        for each in range(numbers.max() + 1)
    ]
    return np.asarray(np.mean(recalls, axis=0))


def fit_logistic(values: FloatArray, numbers: np.ndarray) -> FloatArray:
    """Multinomial logistic regressions of P assignments at once: (D, P, K) coefficients.

    Each class has the same weight, so no intercept is needed; they are found by accelerated
    gradient descent (Nesterov 2004, section 2.2), whose products serve all assignments together.

    Args:
        values: (N, D), each column's mean is 0.
        numbers: (P, N) classes 0 to K - 1.
    """
    num_classes = int(numbers.max()) + 1
    truth = np.eye(num_classes)[numbers]  # (P, N, K)
    weights = (len(values) / num_classes / np.maximum(truth.sum(1, keepdims=True), 1) * truth).sum(
        -1, keepdims=True
    )
    curvature = 0.5 * weights.max() * np.linalg.norm(values, 2) ** 2 + PENALTY
    root = math.sqrt(PENALTY / curvature)
    momentum = (1 - root) / (1 + root)
    shape = (values.shape[1], len(numbers), num_classes)
    before = ahead = np.zeros(shape)
    for _ in range(math.ceil(-math.log(_ACCURACY) / root)):
        scores = (values @ ahead.reshape(shape[0], -1)).reshape(len(values), *shape[1:])
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        errors = scores / scores.sum(-1, keepdims=True) - truth.swapaxes(0, 1)
        errors *= weights.swapaxes(0, 1)
        gradient = (values.T @ errors.reshape(len(values), -1)).reshape(shape) + PENALTY * ahead
        now = ahead - gradient / curvature
        before, ahead = now, now + momentum * (now - before)
    return before
