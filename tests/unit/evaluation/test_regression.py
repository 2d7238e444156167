"""Regression metrics against scipy and by hand."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import brier_score_loss, roc_auc_score

from nnmtl.cohort.biomarker import ContinuousBiomarker
from nnmtl.evaluation.join import JoinedNumber
from nnmtl.evaluation.regression import mean_absolute_error, pearson, skill, spearman
from nnmtl.evaluation.task_metrics import continuous_metrics
from nnmtl.evaluation.weighted import median
from nnmtl.report.wording import metric_name


def pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two correlated variables with ties."""
    generator = np.random.default_rng(seed)
    first = generator.integers(0, 12, 40).astype(float)
    return first, np.round(first + generator.normal(0, 3, 40))


@pytest.mark.parametrize("seed", range(4))
def test_correlations_equal_scipy(seed: int) -> None:
    first, second = pair(seed)
    assert pearson(first, second) == pytest.approx(stats.pearsonr(first, second).statistic)
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic)


def test_correlations_of_counts_equal_those_of_the_resample_itself() -> None:
    first, second = pair(9)
    rows = np.random.default_rng(1).integers(0, 40, (10, 40))
    weights = np.stack([np.bincount(row, minlength=40) for row in rows]).astype(float)
    expected = [stats.spearmanr(first[row], second[row]).statistic for row in rows]
    np.testing.assert_allclose(spearman(first, second, weights), expected)
    expected = [stats.pearsonr(first[row], second[row]).statistic for row in rows]
    np.testing.assert_allclose(pearson(first, second, weights), expected)


def test_a_constant_has_no_correlation() -> None:
    first, _ = pair(0)
    assert np.isnan(pearson(first, np.full(40, 0.1)))
    assert np.isnan(spearman(np.full(40, 1 / 3), first))


def test_the_error_of_an_interval_is_the_distance_to_it() -> None:
    values = np.array([10.0, 25.0, 40.0])
    lower, upper = np.array([20.0, 20.0, 20.0]), np.array([30.0, 30.0, 20.0])
    assert mean_absolute_error(values, lower, upper) == pytest.approx((10 + 0 + 20) / 3)


def test_skill_is_one_when_perfect_and_zero_for_the_median() -> None:
    truth = np.array([5.0, 20.0, 60.0])
    assert skill(truth, truth, truth, 20.0) == 1
    assert skill(np.full(3, 20.0), truth, truth, 20.0) == 0
    assert np.isnan(skill(truth, np.full(3, 20.0), np.full(3, 20.0), 20.0))


def test_the_weighted_median_is_that_of_the_resample() -> None:
    values, _ = pair(2)
    rows = np.random.default_rng(1).integers(0, 40, (30, 40))
    weights = np.stack([np.bincount(row, minlength=40) for row in rows]).astype(float)
    np.testing.assert_allclose(median(values, weights), np.median(values[rows], axis=1))
    assert median(np.array([1.0, 2.0])) == 1.5


def test_the_auc_at_a_cutoff_leaves_out_intervals_that_straddle_it() -> None:
    biomarker = ContinuousBiomarker(name="Ki67", unit="%", range=(0, 100), cutoffs=(20,))
    values = np.array([5.0, 30.0, 25.0, 60.0, 10.0])
    lower = np.array([10.0, 15.0, 10.0, 40.0, 20.0])
    upper = np.array([10.0, 25.0, 15.0, 40.0, 30.0])
    nothing = np.full(5, np.nan)
    joined = JoinedNumber(
        biomarker=biomarker,
        scores=values[:, None],
        lower=lower,
        upper=upper,
        training_median=20.0,
        bayes=nothing,
    )
    found = {metric.name: metric for metric in continuous_metrics(joined, list("abcde"))}
    metric = found["auc_at_20"]
    expected = roc_auc_score([False, False, True, True], values[[0, 2, 3, 4]])
    assert (metric.value, metric.n, metric.n_events) == (expected, 4, 2)
    assert metric_name(metric) == "AUC of being at least 20"


@pytest.fixture
def told() -> JoinedNumber:
    """Six cases at a cutoff that the model tells the probability of, and one that it does not."""
    ki67 = np.array([5.0, 18.0, 22.0, 40.0, 20.0, 15.0])
    return JoinedNumber(
        biomarker=ContinuousBiomarker(name="Ki67", unit="%", range=(0, 100), cutoffs=(14, 20)),
        scores=np.array([10.0, 25.0, 15.0, 50.0, 30.0, np.nan])[:, None],
        lower=ki67,
        upper=np.where(ki67 == 18.0, 25.0, ki67),  # straddles the cutoff
        training_median=20.0,
        bayes=np.full(6, np.nan),
        at_least={20.0: np.array([0.1, 0.5, 0.6, 0.9, 0.4, np.nan])},
    )


def test_the_probability_of_a_cutoff_is_judged_by_auc_and_brier_score(told: JoinedNumber) -> None:
    answered = told.select(told.has_answer)
    found = {metric.name: metric for metric in continuous_metrics(answered, list("abcde"))}
    positive, probability = [False, True, True, True], [0.1, 0.6, 0.9, 0.4]
    assert found["auc_at_20"].value == roc_auc_score(positive, probability)
    metric = found["brier_at_20"]
    assert metric.value == pytest.approx(brier_score_loss(positive, probability))
    assert (metric.n, metric.n_events) == (4, 3)
    assert "brier_at_14" not in found
    assert metric_name(metric) == "Brier score of being at least 20 (lower is better)"


def test_a_missing_answer_counts_as_even_odds_of_a_cutoff(told: JoinedNumber) -> None:
    found = {metric.name: metric for metric in continuous_metrics(told.filled(), list("abcdef"))}
    expected = brier_score_loss([False, True, True, True, False], [0.1, 0.6, 0.9, 0.4, 0.5])
    assert found["brier_at_20"].value == pytest.approx(expected)
