"""AUCs of cases that were answered by the models of several folds.

These models score on different scales: a positive case of one fold and a negative case of another
say nothing when compared, and pooling them misleads (Forman and Scholz 2010, SIGKDD Explorations
12(1):49-57). So only pairs of cases that the same fold held out count.
"""

import numpy as np

from nnmtl.evaluation.discrimination import BoolArray, IntArray, auc
from nnmtl.evaluation.weighted import FloatArray, ratio, weights_or_ones


def auc_within_folds(
    scores: FloatArray,
    positive: BoolArray,
    folds: IntArray,
    weights: FloatArray | None = None,
) -> FloatArray:
    """How often a positive case scores above a negative one of its fold, ties half.

    With one fold this is the AUC; with several their AUCs' mean, weighted by the number of pairs,
    so that a fold with one class only counts nothing.

    Args:
        scores: (N,).
        positive: (N,) truth.
        folds: (N,) whose model gave the score.
        weights: (..., N).

    Returns:
        (...) values; nan if no fold has both classes.
    """
    weights = weights_or_ones(weights, len(scores))
    above, pairs = np.zeros(weights.shape[:-1]), np.zeros(weights.shape[:-1])
    for fold in np.unique(folds):
        rows = folds == fold
        of_fold = weights[..., rows]
        num_pairs = (of_fold @ positive[rows]) * (of_fold @ ~positive[rows])
        above = above + np.nan_to_num(auc(scores[rows], positive[rows], of_fold)) * num_pairs
        pairs = pairs + num_pairs
    return ratio(above, pairs)


def macro_auc_within_folds(
    probabilities: FloatArray,
    classes: IntArray,
    folds: IntArray,
    weights: FloatArray | None = None,
) -> FloatArray:
    """Unweighted mean over classes of the one-versus-rest AUC within folds; nan if one is absent.

    Args:
        probabilities: (N, K).
        classes: (N,) true class.
        folds: (N,) whose model gave the probabilities.
        weights: (..., N).
    """
    per_class = [
        auc_within_folds(probabilities[:, k], classes == k, folds, weights)
        for k in range(probabilities.shape[1])
    ]
    return np.asarray(np.mean(per_class, axis=0))
