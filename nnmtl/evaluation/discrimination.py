"""How well scores tell classes apart: AUC, recalls at a threshold, Brier score.

Metrics are weighted as in `nnmtl.evaluation.weighted` and are nan where undefined, for example
where only one class is present.
"""

import numpy as np
import numpy.typing as npt

from nnmtl.evaluation.weighted import FloatArray, TieGroups, mean, ratio, weights_or_ones

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]


def auc(scores: FloatArray, positive: BoolArray, weights: FloatArray | None = None) -> FloatArray:
    """Area under the ROC curve: how often a positive case scores above a negative, ties half.

    Args:
        scores: (N,) higher means more likely positive.
        positive: (N,) truth.
        weights: (..., N).

    Returns:
        (...) values in 0 to 1; nan without both classes.
    """
    weights = weights_or_ones(weights, len(scores))
    groups = TieGroups.of(scores)
    positives = groups.totals(weights * positive)
    negatives = groups.totals(weights * ~positive)
    negatives_below = np.cumsum(negatives, axis=-1) - negatives / 2
    pairs = positives.sum(axis=-1) * negatives.sum(axis=-1)
    return ratio((positives * negatives_below).sum(axis=-1), pairs)


def macro_auc(
    probabilities: FloatArray, classes: IntArray, weights: FloatArray | None = None
) -> FloatArray:
    """Unweighted mean over classes of the one-versus-rest AUC; nan if a class is absent.

    Args:
        probabilities: (N, K).
        classes: (N,) true class.
        weights: (..., N).
    """
    num_classes = probabilities.shape[1]
    per_class = [auc(probabilities[:, k], classes == k, weights) for k in range(num_classes)]
    return np.asarray(np.mean(per_class, axis=0))


def micro_auc(
    probabilities: FloatArray, classes: IntArray, weights: FloatArray | None = None
) -> FloatArray:
    """AUC over all (case, class) pairs at once, each asking: is it this class?"""
    num_cases, num_classes = probabilities.shape
    is_class = classes[:, None] == np.arange(num_classes)
    weights = np.repeat(weights_or_ones(weights, num_cases), num_classes, axis=-1)
    return auc(probabilities.ravel(), is_class.ravel(), weights)


def recall(predicted: BoolArray, truth: BoolArray, weights: FloatArray | None = None) -> FloatArray:
    """Share of the true cases that are predicted true: sensitivity; nan if there is none."""
    weights = weights_or_ones(weights, len(truth))
    return ratio(weights @ (predicted & truth), weights @ truth)


def balanced_accuracy(
    predicted: IntArray, classes: IntArray, num_classes: int, weights: FloatArray | None = None
) -> FloatArray:
    """Mean recall over the classes that occur; nan if fewer than two occur.

    Args:
        predicted: (N,) predicted class.
        classes: (N,) true class.
        num_classes: K.
        weights: (..., N).
    """
    recalls = np.stack([recall(predicted == k, classes == k, weights) for k in range(num_classes)])
    occurs = ~np.isnan(recalls)
    total = np.where(occurs, recalls, 0).sum(axis=0)
    num_occurring = occurs.sum(axis=0)
    return np.where(num_occurring > 1, ratio(total, num_occurring), np.nan)


def brier(
    probabilities: FloatArray, classes: IntArray, weights: FloatArray | None = None
) -> FloatArray:
    """Mean squared error of probabilities, summed over classes (Brier 1950).

    A binary biomarker is given by its positive column alone, (N, 1), with `classes` 0 for
    positive: then this is the usual mean of (p - y)^2.
    """
    is_class = classes[:, None] == np.arange(probabilities.shape[1])
    return mean(((probabilities - is_class) ** 2).sum(axis=1), weights)


def roc_points(scores: FloatArray, positive: BoolArray) -> tuple[FloatArray, FloatArray]:
    """False and true positive rates from (0, 0) to (1, 1), one point per distinct score."""
    groups = TieGroups.of(-scores)
    true = np.cumsum(groups.totals(positive.astype(float)))
    false = np.cumsum(groups.totals((~positive).astype(float)))
    start = np.zeros(1)
    return (
        np.concatenate([start, ratio(false, false[-1])]),
        np.concatenate([start, ratio(true, true[-1])]),
    )


def reliability(
    probabilities: FloatArray, positive: BoolArray, *, num_bins: int
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Mean probability, observed share and count in bins of about equal counts.

    Equal counts rather than equal widths: no bin is left with one case (Reinke 2024, fig. 5b).

    Returns:
        Three arrays of one entry per bin; fewer bins than asked where cases are few.
    """
    bins = np.array_split(np.argsort(probabilities, kind="stable"), num_bins)
    bins = [rows for rows in bins if len(rows)]
    return (
        np.array([probabilities[rows].mean() for rows in bins]),
        np.array([positive[rows].mean() for rows in bins]),
        np.array([len(rows) for rows in bins], dtype=np.intp),
    )
