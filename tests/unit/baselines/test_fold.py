"""What a fold's models may learn from, and the negative control."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from nnmtl.baselines.fold import answer_held_out
from nnmtl.cohort.biomarker import BinaryBiomarker, CategoricalBiomarker, ContinuousBiomarker
from nnmtl.cohort.targets import ClassTarget, ContinuousTarget, TargetTable
from nnmtl.errors import NnmtlError

ER = BinaryBiomarker(name="ER")
EVERY_KIND = (
    ER,
    CategoricalBiomarker(name="HER2", categories=("zero", "low", "positive"), ordered=True),
    ContinuousBiomarker(name="Ki67", unit="%", range=(0, 100)),
)
NUM_CASES = 60


def rows_of(features):
    return [{f"f{number}": value for number, value in enumerate(row)} for row in features.tolist()]


@pytest.fixture
def training():
    """Features whose first column tells ER, and their targets."""
    features = np.random.default_rng(0).standard_normal((NUM_CASES, 8))
    positive = features[:, 0] > 0
    ids = tuple(f"case_{number:02d}" for number in range(NUM_CASES))
    target = ClassTarget(
        possible=np.stack([~positive, positive], axis=1), observed=np.ones(NUM_CASES, dtype=bool)
    )
    table = TargetTable(
        case_ids=ids, patient_ids=ids, centers=("A",) * NUM_CASES, targets={"ER": target}
    )
    return table, rows_of(features)


@pytest.fixture
def held_out():
    features = np.random.default_rng(1).standard_normal((40, 8))
    return rows_of(features), features[:, 0] > 0


def scores_of(answers):
    return np.array([answer["ER"][0] for answer in answers])


@pytest.mark.parametrize("model", ["logistic", "svm"])
def test_an_answer_does_not_depend_on_the_other_held_out_cases(training, held_out, model):
    table, rows = training
    together = answer_held_out([ER], table, rows, held_out[0], model=model)
    alone = answer_held_out([ER], table, rows, held_out[0][:1], model=model)
    assert alone[0]["ER"] == pytest.approx(together[0]["ER"], rel=1e-9)


def test_a_feature_that_only_held_out_cases_have_is_not_used(training, held_out):
    table, rows = training
    with_more = [{**row, "center": 1e6} for row in held_out[0]]
    assert answer_held_out([ER], table, rows, with_more, model="logistic") == answer_held_out(
        [ER], table, rows, held_out[0], model="logistic"
    )


def test_cases_without_features_neither_train_nor_are_answered(training, held_out):
    table, rows = training
    answers = answer_held_out([ER], table, [{}, *rows[1:]], [{}, *held_out[0]], model="logistic")
    assert answers[0] is None
    fewer = answer_held_out(
        [ER], table.select(table.case_ids[1:]), rows[1:], held_out[0], model="logistic"
    )
    assert answers[1:] == fewer


def test_shuffled_targets_leave_chance_on_average_and_a_seed_repeats(training, held_out):
    table, rows = training
    test_rows, positive = held_out

    def auc(seed):
        answers = answer_held_out([ER], table, rows, test_rows, model="logistic", shuffle_seed=seed)
        return roc_auc_score(positive, scores_of(answers))

    values = [auc(seed) for seed in range(8)]
    unshuffled = scores_of(answer_held_out([ER], table, rows, test_rows, model="logistic"))
    assert roc_auc_score(positive, unshuffled) > 0.9
    assert np.mean(values) == pytest.approx(0.5, abs=0.15)
    assert auc(3) == values[3]
    assert len(set(values)) > 4


def test_training_without_any_tumor_is_refused(training, held_out):
    table, _ = training
    with pytest.raises(NnmtlError, match=f"all {NUM_CASES} label maps are empty"):
        answer_held_out([ER], table, [{}] * NUM_CASES, held_out[0], model="logistic")


@pytest.fixture
def every_kind(training):
    """The cases with a biomarker of each kind that the first feature tells, some unobserved."""
    table, rows = training
    first = np.array([row["f0"] for row in rows])
    observed = np.random.default_rng(2).random(NUM_CASES) > 0.2
    two = table.targets["ER"].possible | ~observed[:, None]
    three = np.eye(3, dtype=bool)[np.digitize(first, (-0.5, 0.5))] | ~observed[:, None]
    ki67 = np.where(observed, 100 / (1 + np.exp(-first)), np.nan)
    targets = {
        "ER": ClassTarget(possible=two, observed=observed),
        "HER2": ClassTarget(possible=three, observed=observed, categories=("x", "y", "z")),
        "Ki67": ContinuousTarget(lower=ki67, upper=ki67, observed=observed),
    }
    return replace(table, targets=targets), rows, observed


def test_imputation_and_scaling_know_the_training_cases_alone(every_kind, held_out):
    """Of every kind: a missing value counts as the training median, whoever else is asked about."""
    table, rows, observed = every_kind
    median = float(np.median(np.array([row["f0"] for row in rows])[observed]))
    asked = held_out[0][0]
    missing, filled = {**asked, "f0": np.nan}, {**asked, "f0": median}
    extreme = dict.fromkeys(asked, 1e6)
    (alone,) = answer_held_out(EVERY_KIND, table, rows, [missing], model="logistic")
    others = [extreme] * 20
    *_, last, same = answer_held_out(
        EVERY_KIND, table, rows, [*others, missing, filled], model="logistic"
    )
    for biomarker in EVERY_KIND:
        assert last[biomarker.name] == pytest.approx(alone[biomarker.name], rel=1e-6)
        assert same[biomarker.name] == pytest.approx(alone[biomarker.name], rel=1e-6)


def test_training_cases_without_a_target_teach_nothing_of_any_kind(every_kind, held_out):
    table, rows, observed = every_kind
    spoiled = [
        row if known else {**row, "f0": -50.0} for row, known in zip(rows, observed, strict=True)
    ]
    before, after = (
        answer_held_out(EVERY_KIND, table, used, held_out[0][:5], model="logistic")
        for used in (rows, spoiled)
    )
    assert before == after
    assert len({answer["HER2"] for answer in before}) == 5
