"""What a fold's models may learn from, and the negative control."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from nnmtl.baselines.fold import answer_held_out
from nnmtl.cohort.biomarker import BinaryBiomarker
from nnmtl.cohort.targets import ClassTarget, TargetTable
from nnmtl.errors import NnmtlError

ER = BinaryBiomarker(name="ER")
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
