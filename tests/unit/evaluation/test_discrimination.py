"""Discrimination against scikit-learn, and the properties a ranking metric must have."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from nnmtl.evaluation.discrimination import (
    auc,
    balanced_accuracy,
    brier,
    macro_auc,
    micro_auc,
    recall,
    reliability,
    roc_points,
)


def binary_case(seed: int, *, num_cases: int = 57, num_levels: int = 9) -> tuple:
    """Scores with many ties, and both classes."""
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, num_levels, num_cases) / num_levels
    positive = generator.random(num_cases) < 0.2 + 0.5 * scores
    positive[:2] = [True, False]
    return scores, positive


def class_case(seed: int, *, num_classes: int = 3) -> tuple:
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(num_classes), 60)
    classes = generator.integers(0, num_classes, 60)
    return probabilities, classes


@pytest.mark.parametrize("seed", range(5))
def test_auc_equals_sklearn_with_ties(seed: int) -> None:
    scores, positive = binary_case(seed)
    assert auc(scores, positive) == pytest.approx(sklearn_metrics.roc_auc_score(positive, scores))


def test_auc_of_counts_equals_auc_of_the_resample_itself() -> None:
    scores, positive = binary_case(3)
    generator = np.random.default_rng(0)
    rows = generator.integers(0, len(scores), (20, len(scores)))
    weights = np.stack([np.bincount(row, minlength=len(scores)) for row in rows]).astype(float)
    expected = [sklearn_metrics.roc_auc_score(positive[row], scores[row]) for row in rows]
    assert auc(scores, positive, weights) == pytest.approx(np.array(expected))


@given(st.integers(0, 1000))
def test_auc_ignores_monotone_maps_and_the_order_of_cases(seed: int) -> None:
    scores, positive = binary_case(seed)
    value = auc(scores, positive)
    assert auc(np.exp(3 * scores) - 7, positive) == pytest.approx(value)
    order = np.random.default_rng(seed).permutation(len(scores))
    assert auc(scores[order], positive[order]) == pytest.approx(value)


@given(st.integers(0, 1000))
def test_auc_of_reversed_scores_is_the_complement(seed: int) -> None:
    scores, positive = binary_case(seed)
    assert auc(-scores, positive) == pytest.approx(1 - auc(scores, positive))


def test_auc_is_undefined_with_one_class() -> None:
    assert np.isnan(auc(np.array([0.1, 0.9]), np.array([True, True])))


def test_constant_scores_have_half_the_area() -> None:
    assert auc(np.full(6, 0.3), np.arange(6) < 2) == 0.5


@pytest.mark.parametrize("seed", range(3))
def test_categorical_auc_equals_sklearn(seed: int) -> None:
    probabilities, classes = class_case(seed)
    for average, ours in (("macro", macro_auc), ("micro", micro_auc)):
        expected = sklearn_metrics.roc_auc_score(
            classes, probabilities, multi_class="ovr", average=average
        )
        assert ours(probabilities, classes) == pytest.approx(expected)


def test_macro_auc_is_undefined_without_a_class() -> None:
    probabilities, classes = class_case(1)
    assert np.isnan(macro_auc(probabilities, np.minimum(classes, 1)))


@pytest.mark.parametrize("num_classes", [2, 4])
def test_balanced_accuracy_equals_sklearn(num_classes: int) -> None:
    probabilities, classes = class_case(2, num_classes=num_classes)
    predicted = probabilities.argmax(axis=1)
    expected = sklearn_metrics.balanced_accuracy_score(classes, predicted)
    assert balanced_accuracy(predicted, classes, num_classes) == pytest.approx(expected)


def test_balanced_accuracy_skips_absent_classes_but_needs_two() -> None:
    classes = np.array([0, 0, 1, 1])
    assert balanced_accuracy(np.array([0, 1, 1, 1]), classes, 3) == pytest.approx(0.75)
    assert np.isnan(balanced_accuracy(classes, np.zeros(4, int), 3))


def test_sensitivity_and_specificity_are_recalls() -> None:
    predicted = np.array([True, True, False, False, True])
    truth = np.array([True, False, False, True, True])
    assert recall(predicted, truth) == pytest.approx(2 / 3)
    assert recall(~predicted, ~truth) == pytest.approx(1 / 2)


def test_brier_equals_sklearn() -> None:
    scores, positive = binary_case(4)
    expected = sklearn_metrics.brier_score_loss(positive, scores)
    assert brier(scores[:, None], np.where(positive, 0, 1)) == pytest.approx(expected)
    probabilities, classes = class_case(4)
    one_hot = np.eye(3)[classes]
    assert brier(probabilities, classes) == pytest.approx(
        ((probabilities - one_hot) ** 2).sum(axis=1).mean()
    )


def test_roc_points_equal_sklearn_and_enclose_the_auc() -> None:
    scores, positive = binary_case(6)
    false, true = roc_points(scores, positive)
    expected = sklearn_metrics.roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(false, expected[0])
    np.testing.assert_allclose(true, expected[1])
    assert np.trapezoid(true, false) == pytest.approx(auc(scores, positive))


def test_reliability_bins_hold_every_case_once_and_are_calibrated_when_scores_are() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.random(50_000)
    positive = generator.random(50_000) < probabilities
    mean, share, counts = reliability(probabilities, positive, num_bins=10)
    assert counts.sum() == 50_000
    np.testing.assert_allclose(mean, share, atol=0.03)
