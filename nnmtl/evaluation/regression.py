"""How close predicted numbers come to measured ones, of which some are known as intervals.

Metrics are weighted as in `nnmtl.evaluation.weighted` and are nan where undefined.
"""

import numpy as np

from nnmtl.evaluation.weighted import FloatArray, TieGroups, mean, ratio, weights_or_ones


def interval_distance(values: FloatArray, lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Distance of each value to its interval [lower, upper]; 0 inside. Shapes (N,)."""
    return np.maximum(0.0, np.maximum(lower - values, values - upper))


def mean_absolute_error(
    values: FloatArray, lower: FloatArray, upper: FloatArray, weights: FloatArray | None = None
) -> FloatArray:
    """Mean distance to the measured value or interval, in the biomarker's unit."""
    return mean(interval_distance(values, lower, upper), weights)


def skill(
    values: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    training_median: float,
    weights: FloatArray | None = None,
) -> FloatArray:
    """1 - MAE / MAE of always answering the training cases' median: 1 perfect, 0 no better.

    nan where the median itself makes no error.
    """
    constant = np.full_like(values, training_median)
    baseline = mean_absolute_error(constant, lower, upper, weights)
    return 1 - ratio(mean_absolute_error(values, lower, upper, weights), baseline)


def pearson(first: FloatArray, second: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """Linear correlation of (..., N) values; nan if either is constant."""
    weights = weights_or_ones(weights, first.shape[-1])
    total = weights.sum(axis=-1, keepdims=True)

    def deviation(values: FloatArray) -> FloatArray:
        centered = values - ratio((weights * values).sum(axis=-1, keepdims=True), total)
        # What is left of a constant is rounding, and must count as 0.
        rounding = 1e-12 * np.abs(values).max(axis=-1, keepdims=True)
        return np.where(np.abs(centered) > rounding, centered, 0)

    first, second = deviation(first), deviation(second)
    spread = (weights * first**2).sum(axis=-1) * (weights * second**2).sum(axis=-1)
    return np.clip(ratio((weights * first * second).sum(axis=-1), np.sqrt(spread)), -1, 1)


def spearman(
    first: FloatArray, second: FloatArray, weights: FloatArray | None = None
) -> FloatArray:
    """Rank correlation, ranks taken anew within each resample; nan if either is constant."""
    weights = weights_or_ones(weights, len(first))
    return pearson(
        TieGroups.of(first).midranks(weights), TieGroups.of(second).midranks(weights), weights
    )
