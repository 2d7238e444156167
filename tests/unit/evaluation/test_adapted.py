"""Before and after an adaptation: each center's values are those of its own cases."""

import csv

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from nnmtl.cohort.biomarker import BinaryBiomarker
from nnmtl.evaluation.adapted import judge_adapted
from nnmtl.evaluation.compared import MaskScores, Part
from nnmtl.evaluation.join import Joined, JoinedClass
from nnmtl.report.adapted_table import adapted_to_text, write_adapted

NUM = 40
CENTERS = ("A", "New")
GENERATOR = np.random.default_rng(3)
POSITIVE = GENERATOR.random(2 * NUM) < 0.5
CENTER_OF = tuple(center for center in CENTERS for _ in range(NUM))
CASES = tuple(f"{center}{row:02d}" for row, center in enumerate(CENTER_OF))


def part(scores, dice):
    joined = Joined(
        case_ids=CASES,
        patient_ids=CASES,
        centers=CENTER_OF,
        flags=((),) * len(CASES),
        without_row=(),
        biomarkers=(
            JoinedClass(
                biomarker=BinaryBiomarker(name="ER"),
                scores=np.stack([1 - scores, scores], axis=1),
                classes=POSITIVE.astype(np.intp),
                threshold=0.5,
                bayes=np.full(len(CASES), np.nan),
            ),
        ),
    )
    masks = [MaskScores(dice=each, hd95_mm=5.0) for each in dice]
    return Part(
        source="x", joined=joined, masks=dict(zip(CASES, masks, strict=True)), is_phantom=True
    )


BEFORE = 0.5 + 0.2 * GENERATOR.normal(size=2 * NUM)
AFTER = BEFORE + 0.1 * POSITIVE


@pytest.fixture(scope="module")
def rows():
    dice = [0.8] * NUM + [0.5] * NUM
    return judge_adapted(
        part(BEFORE, dice), part(AFTER, [0.7] * (2 * NUM)), known=("A",), dataset="Dataset001_Test"
    )


def test_every_center_is_judged_on_its_cases_by_both(rows):
    for center, own in (("A", slice(0, NUM)), ("New", slice(NUM, None))):
        (auc,) = [row for row in rows if (row.center, row.metric) == (center, "auc")]
        before, after = (roc_auc_score(POSITIVE[own], each[own]) for each in (BEFORE, AFTER))
        assert (auc.before.value, auc.after.value) == pytest.approx((before, after))
        assert auc.difference.value == pytest.approx(after - before)
        assert (auc.n, auc.is_known) == (NUM, center == "A")
    dice = {row.center: row.difference.value for row in rows if row.metric == "dice"}
    assert dice == pytest.approx({"A": -0.1, "New": 0.2})


def test_known_centers_come_first_and_all_is_written(rows, tmp_path):
    path = write_adapted(rows, tmp_path)
    with path.open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [line["known"] for line in written] == ["yes"] * 3 + ["no"] * 3
    assert [line["metric"] for line in written[:3]] == ["dice", "hd95_mm", "auc"]
    assert [float(line["after"]) for line in written] == pytest.approx(
        [row.after.value for row in rows], rel=1e-5
    )
    text = adapted_to_text(rows, is_phantom=True)
    assert "New (new)" in text
    assert "phantom" in text.casefold()
