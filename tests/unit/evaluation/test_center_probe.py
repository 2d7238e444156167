"""Whether features tell the center: found where they do, not where they do not."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from nnmtl.evaluation.center_probe import PENALTY, _rotated, fit_logistic, probe_centers


def cases(num_per_center=25, features=40, shift=0.0, seed=0):
    """Three centers of single-case patients; `shift` moves a tenth of the features per center."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(3 * num_per_center, features))
    centers = np.repeat(["A", "B", "C"], num_per_center)
    for number, name in enumerate("ABC"):
        values[centers == name, : features // 10] += number * shift
    return values, centers.tolist(), [f"p{row}" for row in range(len(values))]


def test_a_shift_between_centers_is_found():
    probe = probe_centers(*cases(shift=2.0))
    assert probe.tells_centers
    assert probe.balanced_accuracy > 0.7
    assert probe.lower < probe.chance < probe.upper


def test_features_without_a_center_stay_within_the_band_of_permuted_ones():
    verdicts = [probe_centers(*cases(seed=seed)).tells_centers for seed in range(3)]
    assert sum(verdicts) <= 1


def test_many_cases_of_a_patient_are_no_more_than_one():
    """Cases of one patient are alike; were they split between folds, any center were told."""
    values, centers, patients = cases(num_per_center=10)
    repeated = [np.repeat(np.asarray(each), 6, axis=0) for each in (values, centers, patients)]
    repeated[0] = repeated[0] + np.random.default_rng(1).normal(scale=1e-3, size=(180, 40))
    many = probe_centers(repeated[0], repeated[1].tolist(), repeated[2].tolist())
    assert many.num_patients == 30
    assert not many.tells_centers


def test_units_missing_values_and_constant_features_do_not_matter():
    values, centers, patients = cases(shift=2.0)
    plain = probe_centers(values, centers, patients)
    scaled = np.hstack([values * np.logspace(-3, 3, 40) + 5, np.full((75, 1), 7.0)])
    again = probe_centers(scaled, centers, patients)
    assert again.balanced_accuracy == pytest.approx(plain.balanced_accuracy, abs=0.03)
    scaled[::3, 20:] = np.nan
    assert probe_centers(scaled, centers, patients).tells_centers


def test_the_fit_is_scikit_learns_and_the_rotation_leaves_it_as_it_is():
    values, centers, _ = cases(num_per_center=8, shift=1.0)
    standard = (values - values.mean(0)) / values.std(0)
    model = LogisticRegression(
        C=1 / PENALTY, fit_intercept=False, class_weight="balanced", tol=1e-10, max_iter=5000
    )
    expected = model.fit(standard, centers).decision_function(standard)
    numbers = np.searchsorted(["A", "B", "C"], centers)[None]
    for each in (standard, _rotated(values)):
        scores = np.einsum("nd,dk->nk", each, fit_logistic(each, numbers)[:, 0])
        np.testing.assert_allclose(scores - scores.mean(1, keepdims=True), expected, atol=2e-3)


def test_one_center_tells_nothing_and_says_why():
    values, _, patients = cases(num_per_center=4)
    probe = probe_centers(values, ["A"] * 8 + ["B"] * 4, patients)
    assert np.isnan(probe.balanced_accuracy)
    assert not probe.tells_centers
    assert "at least 2 centers with 5 patients, got 1" in probe.reason
