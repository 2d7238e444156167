"""Centers left out beside a pooled model: values, pairs of one center, and the shortcut."""

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from nnmtl.cohort.biomarker import BinaryBiomarker
from nnmtl.evaluation.center_probe import CenterProbe
from nnmtl.evaluation.compared import MaskScores, Part
from nnmtl.evaluation.join import Joined, JoinedClass
from nnmtl.evaluation.left_out import LeaveOneCenterOut, judge_left_out
from nnmtl.report.left_out_table import left_out_to_json, to_markdown, to_text, write_left_out

NUM = 80  # cases per center
PREVALENCE = {"A": 0.85, "B": 0.3}
GENERATOR = np.random.default_rng(5)
POSITIVE = {center: GENERATOR.random(NUM) < share for center, share in PREVALENCE.items()}


def part(truth_of, scores_of):
    """Cases of some centers, named after them, with positive cases and scores."""
    case_ids = [f"{center}{row:03d}" for center in truth_of for row in range(NUM)]
    scores = np.concatenate([scores_of[center] for center in truth_of])
    joined = Joined(
        case_ids=tuple(case_ids),
        patient_ids=tuple(case_ids),
        centers=tuple(case_id[0] for case_id in case_ids),
        flags=((),) * len(case_ids),
        without_row=(),
        biomarkers=(
            JoinedClass(
                biomarker=BinaryBiomarker(name="ER"),
                scores=np.stack([1 - scores, scores], axis=1),
                classes=np.concatenate(list(truth_of.values())).astype(np.intp),
                threshold=0.5,
                bayes=np.full(len(case_ids), np.nan),
            ),
        ),
    )
    masks = dict.fromkeys(case_ids, MaskScores(dice=0.8, hd95_mm=2.0))
    return Part(source="x", joined=joined, masks=masks, is_phantom=True)


def noise(seed):
    return np.random.default_rng(seed).normal(0, 0.05, NUM)


def biology(seed):
    return {c: 0.4 + 0.2 * truth + 3 * noise(seed) for c, truth in POSITIVE.items()}


RECOGNIZES = {center: share + noise(1) for center, share in PREVALENCE.items()}
KNOWS_NOTHING = {center: 0.5 + noise(2) for center in PREVALENCE}


def judged(left_out, pooled=None):
    parts = {center: part({center: POSITIVE[center]}, left_out) for center in PREVALENCE}
    beside = {} if pooled is None else {0: part(POSITIVE, pooled)}
    return judge_left_out(parts, beside, dataset="Dataset001_Test")


@pytest.fixture(scope="module")
def caught():
    """Models that know nothing, beside a pooled one that recognizes the center."""
    return judged(KNOWS_NOTHING, RECOGNIZES)


@pytest.fixture(scope="module")
def sound():
    """Models that see the biology, left out and pooled."""
    return judged(biology(6), biology(3))


def only(rows, center, metric="auc"):
    (row,) = [row for row in rows if row.center == center and row.metric == metric]
    return row


def test_a_center_is_judged_by_its_own_model_alone():
    scores = biology(3)
    row = only(judged(scores), "A")
    assert row.left_out.value == pytest.approx(roc_auc_score(POSITIVE["A"], scores["A"]))
    assert (row.n, row.n_events) == (NUM, POSITIVE["A"].sum())
    assert row.left_out.lower < row.left_out.value < row.left_out.upper
    assert row.pooled is None


def test_all_centers_together_compare_cases_of_one_center_only():
    rows = judged(RECOGNIZES)
    pairs = {c: truth.sum() * (~truth).sum() for c, truth in POSITIVE.items()}
    expected = sum(only(rows, c).left_out.value * pairs[c] for c in pairs) / sum(pairs.values())
    assert only(rows, None).left_out.value == pytest.approx(expected)


def test_a_model_that_recognizes_the_center_is_caught(caught):
    row = only(caught, None)
    truth, scores = (np.concatenate(list(each.values())) for each in (POSITIVE, RECOGNIZES))
    assert row.pooled_mixed.value == pytest.approx(roc_auc_score(truth, scores))
    assert row.pooled_mixed.value > 0.7
    assert row.has_shortcut
    assert abs(row.pooled.value - 0.5) < 0.15, "within a center there is nothing to recognize"


def test_a_model_that_sees_the_biology_is_not_accused(sound):
    row = only(sound, None)
    assert not row.has_shortcut
    assert row.difference.lower < 0 < row.difference.upper


def test_a_pooled_model_stands_beside_on_the_cases_that_it_predicted():
    rows = judged(KNOWS_NOTHING, biology(3))
    assert only(rows, "B").difference.upper < 0
    assert only(rows, "B", "dice").difference.value == pytest.approx(0)


def found(rows):
    probe = CenterProbe(
        centers=("A", "B"), num_patients=160, balanced_accuracy=0.9, lower=0.4, upper=0.6
    )
    return LeaveOneCenterOut(
        dataset="Dataset001_Test",
        preset="tiny_cpu",
        is_phantom=True,
        pooled="model",
        rows=rows,
        probes={"A": probe},
        verdicts={"A": "The images of A are like those of training."},
    )


def test_the_table_warns_and_says_what_features_tell(tmp_path, caught, sound):
    result = found(caught)
    for text in (to_text(result), to_markdown(result)):
        assert "SHORTCUT ER" in text
        assert "Features tell the center: balanced accuracy 0.90" in text
        assert "not patient data" in text
        assert f"{NUM} ({POSITIVE['A'].sum()} positive)" in text
    assert "SHORTCUT" not in to_text(found(sound))
    write_left_out(result, tmp_path)
    content = json.loads((tmp_path / "leave_one_center_out.json").read_text())
    assert content == json.loads(json.dumps(left_out_to_json(result)))
    lines = (tmp_path / "leave_one_center_out.csv").read_text().splitlines()
    assert len(lines) == 1 + len(result.rows)
