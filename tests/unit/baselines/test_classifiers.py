"""Models learn what features tell, from exactly known targets and from training patients alone."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from nnmtl.baselines.classifiers import exactly_known, fit_biomarker
from nnmtl.cohort.biomarker import BinaryBiomarker, CategoricalBiomarker, ContinuousBiomarker
from nnmtl.cohort.targets import ClassTarget, ContinuousTarget

ER = BinaryBiomarker(name="ER")
HER2 = CategoricalBiomarker(name="HER2", categories=("zero", "low", "positive"), ordered=True)
KI67 = ContinuousBiomarker(name="Ki67", unit="%", range=(0, 100))
MODELS = pytest.mark.parametrize("model", ["logistic", "svm"])
NUM_CASES = 90


def classes_of(values, num_classes=2):
    possible = np.eye(num_classes, dtype=bool)[values]
    return ClassTarget(possible=possible, observed=np.ones(len(values), dtype=bool))


def numbers_of(values):
    values = np.asarray(values, dtype=float)
    return ContinuousTarget(lower=values, upper=values, observed=~np.isnan(values))


@pytest.fixture
def table():
    """Features (N, 6) of which the first tells, and a patient per case."""
    features = np.random.default_rng(0).standard_normal((NUM_CASES, 6))
    return features, [f"patient_{number}" for number in range(NUM_CASES)]


@MODELS
def test_a_binary_biomarker_is_learned(table, model):
    features, patients = table
    fitted = fit_biomarker(
        ER, classes_of((features[:, 0] > 0).astype(int)), features, patients, model=model
    )
    new = np.random.default_rng(1).standard_normal((200, 6))
    probabilities = fitted.predict(new)
    assert probabilities.shape == (200, 1)
    assert roc_auc_score(new[:, 0] > 0, probabilities[:, 0]) > 0.9
    assert 0.4 < probabilities.mean() < 0.6


@MODELS
def test_categories_get_probabilities_in_declared_order(table, model):
    features, patients = table
    target = classes_of(np.digitize(features[:, 0], (-0.5, 0.5)), 3)
    fitted = fit_biomarker(HER2, target, features, patients, model=model)
    low, high = np.zeros((2, 6))
    low[0], high[0] = -2, 2
    probabilities = fitted.predict(np.array([low, high]))
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert probabilities.argmax(1).tolist() == [0, 2]


@MODELS
@pytest.mark.filterwarnings("error::UserWarning")
def test_a_continuous_biomarker_is_learned_and_stays_in_its_range(table, model):
    features, patients = table
    values = 100 / (1 + np.exp(-features[:, 0]))
    values[[features[:, 0].argmin(), features[:, 0].argmax()]] = 0, 100
    fitted = fit_biomarker(KI67, numbers_of(values), features, patients, model=model)
    new = np.random.default_rng(1).standard_normal((200, 6)) * 3
    answer = fitted.predict(new)[:, 0]
    assert np.corrcoef(answer, new[:, 0])[0, 1] > 0.9
    assert 0 <= answer.min() <= answer.max() <= 100


@MODELS
def test_cases_that_are_not_exactly_known_change_nothing(table, model):
    """Whatever their features, unobserved, set-valued and interval targets are left out."""
    features, patients = table
    target = classes_of((features[:, 0] > 0).astype(int))
    target.possible[:10] = True
    target.observed[:5] = False
    spoiled = features.copy()
    spoiled[:10] = 1e3
    answers = [
        fit_biomarker(ER, target, rows, patients, model=model).predict(features)
        for rows in (features, spoiled)
    ]
    np.testing.assert_array_equal(*answers)


def test_sets_and_intervals_are_not_exactly_known():
    possible = np.array([[True, False, False], [True, True, False], [True, True, True]])
    target = ClassTarget(possible=possible, observed=np.array([True, True, False]))
    assert exactly_known(target)[0].tolist() == [True, False, False]
    lower, upper = np.array([20.0, 20.0, np.nan]), np.array([20.0, 30.0, np.nan])
    interval = ContinuousTarget(lower=lower, upper=upper, observed=np.array([True, True, False]))
    known, values = exactly_known(interval)
    assert known.tolist() == [True, False, False]
    assert values.tolist() == [20]


@MODELS
def test_a_missing_feature_is_imputed_and_being_missing_can_tell(table, model):
    features, patients = table
    is_positive = features[:, 0] > 0
    blank = np.where(is_positive[:, None], np.nan, 0.0)
    fitted = fit_biomarker(ER, classes_of(is_positive.astype(int)), blank, patients, model=model)
    negative, positive = fitted.predict(np.array([[0.0], [np.nan]]))[:, 0]
    assert negative < 0.2 < 0.8 < positive


def test_tuning_leaves_out_whole_patients():
    """Copies of a case let an overfitted model look good, unless they are left out together."""
    generator = np.random.default_rng(0)
    features = np.repeat(generator.standard_normal((20, 40)), 5, axis=0)
    classes = classes_of(np.repeat(generator.permutation(20) % 2, 5))
    together = np.repeat([f"patient_{number}" for number in range(20)], 5).tolist()
    apart = [f"patient_{number}" for number in range(100)]
    spreads = [
        fit_biomarker(ER, classes, features, patients, model="logistic").predict(features).std()
        for patients in (together, apart)
    ]
    assert spreads[0] < 0.5 * spreads[1]


def test_one_class_and_a_class_with_one_patient_give_the_share_of_each_class(table):
    features, patients = table
    one = fit_biomarker(ER, classes_of(np.ones(NUM_CASES, int)), features, patients, model="svm")
    assert np.unique(one.predict(features)) == 1
    rare = np.zeros(NUM_CASES, int)
    rare[0] = 2
    fitted = fit_biomarker(HER2, classes_of(rare, 3), features, patients, model="logistic")
    np.testing.assert_allclose(
        fitted.predict(features[:1])[0], [1 - 1 / NUM_CASES, 0, 1 / NUM_CASES]
    )


def test_a_biomarker_that_no_case_tells_is_answered_with_nan(table):
    features, patients = table
    unknown = classes_of(np.zeros(NUM_CASES, int), 3)
    unknown.observed[:] = False
    fitted = fit_biomarker(HER2, unknown, features, patients, model="logistic")
    assert np.isnan(fitted.predict(features[:2])).all()
    assert fitted.predict(features[:2]).shape == (2, 3)
    nothing = numbers_of(np.full(NUM_CASES, np.nan))
    assert fit_biomarker(KI67, nothing, features, patients, model="svm").predict(
        features[:2]
    ).shape == (2, 1)


@MODELS
def test_an_outlying_feature_does_not_decide_alone(table, model):
    """What a bad mask measures can lie a thousand standard deviations out."""
    features, patients = table
    target = classes_of((features[:, 0] > 0).astype(int))
    fitted = fit_biomarker(ER, target, features, patients, model=model)
    far = np.zeros((2, 6))
    far[:, 0] = 2
    far[1, 5] = 1e4
    normal, with_outlier = fitted.predict(far)[:, 0]
    assert with_outlier == pytest.approx(normal, abs=0.25)
