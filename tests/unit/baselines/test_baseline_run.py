"""A baseline from a raw dataset to a prediction folder that can be evaluated."""

import csv
import json
import math
import shutil

import numpy as np
import pytest

from nnmtl.errors import NnmtlError
from nnmtl.evaluation.raw_dataset import read_raw_dataset
from nnmtl.experiments.baseline_run import BaselineSettings, run_baseline
from nnmtl.experiments.evaluate_folder import evaluate_folder
from nnmtl.inference.predictions import read_predictions

EMPTY_CASE = "case_37"


def settings_of(dataset, output, **changed):
    settings = {
        "dataset": dataset,
        "splits": dataset.parent / "splits_final.json",
        "fold": 0,
        "features": "region",
        "model": "logistic",
        "output": output,
        "masks": dataset.parent / "predicted",
    }
    return BaselineSettings(**(settings | changed))


@pytest.fixture(scope="module")
def folder(dataset, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "region"
    run_baseline(settings_of(dataset, output))
    return output


@pytest.fixture
def copied(dataset, tmp_path):
    """A copy of the dataset, its masks and its splits, to be changed."""
    shutil.copytree(dataset.parent, tmp_path / "raw")
    return tmp_path / "raw" / dataset.name


def change_targets(dataset, change):
    """Rewrites targets.csv: `change` gets the rows, header apart, and returns them."""
    path = dataset / "targets.csv"
    header, *rows = csv.reader(path.read_text().splitlines())
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *change(rows)])


def test_the_folder_is_evaluated_like_a_networks(dataset, folder):
    evaluation = evaluate_folder(folder, read_raw_dataset(dataset))
    overall = {task.task: task for task in evaluation.tasks if task.center is None}
    assert evaluation.model == "baseline_region_logistic"
    assert evaluation.split == "Ts"
    assert overall["ER"].metric("auc").value > 0.9
    assert overall["Ki67"].metric("mae").value < 10
    assert overall["segmentation"].metric("dice").value == pytest.approx(7 / 8)


def test_an_empty_mask_is_answered_with_nan(folder):
    cases = {case.case_id: case for case in read_predictions(folder).cases}
    empty = cases.pop(EMPTY_CASE)
    assert empty.status == "empty_segmentation"
    assert empty.flags == ("EMPTY_SEG",)
    assert empty.tumor_volume_ml == 0
    assert all(prediction.is_missing for prediction in empty.biomarkers.values())
    assert len(empty.biomarkers["HER2"].answer) == 3
    assert all(case.status == "ok" for case in cases.values())
    assert not any(case.biomarkers["Ki67"].is_missing for case in cases.values())


def test_thresholds_and_medians_are_of_the_training_cases(dataset, folder):
    rows = list(csv.DictReader((dataset / "targets.csv").open()))[5:30]
    predictions = read_predictions(folder)
    assert predictions.folds == (0,)
    assert predictions.thresholds == {"ER": np.mean([int(row["ER"]) for row in rows])}
    assert predictions.training_median == {"Ki67": np.median([float(row["Ki67"]) for row in rows])}


@pytest.mark.parametrize(("features", "model"), [("region", "logistic"), ("volume", "svm")])
def test_held_out_targets_and_the_order_of_cases_change_nothing(
    dataset, copied, features, model, tmp_path
):
    def spoil(rows):
        """New targets for everyone outside the fold's training cases; rows in another order."""
        held_out = [*range(5), *range(30, 38)]
        moved = [rows[number][3:6] for number in np.roll(held_out, 3)]
        for number, cells in zip(held_out, moved, strict=True):
            rows[number][3:6] = ["1", cells[1], "99"]
        return rows[::-1]

    change_targets(copied, spoil)
    splits = copied.parent / "splits_final.json"
    (fold,) = json.loads(splits.read_text())
    splits.write_text(json.dumps([{part: ids[::-1] for part, ids in fold.items()}]))
    for source, output in ((dataset, "before"), (copied, "after")):
        run_baseline(
            settings_of(source, tmp_path / "runs" / output, features=features, model=model)
        )
    for name in ("biomarkers.json", "biomarkers.csv"):
        before, after = (
            (tmp_path / "runs" / run / name).read_bytes() for run in ("before", "after")
        )
        assert before == after


def test_a_training_target_does_change_the_answers(copied, folder, tmp_path):
    def spoil(rows):
        rows[10][3] = str(1 - int(rows[10][3]))
        return rows

    change_targets(copied, spoil)
    run_baseline(settings_of(copied, tmp_path / "out"))
    assert (tmp_path / "out" / "biomarkers.csv").read_text() != (
        folder / "biomarkers.csv"
    ).read_text()


def test_validation_cases_and_true_masks(dataset, tmp_path):
    output = tmp_path / "validation"
    run_baseline(settings_of(dataset, output, held_out="Tr", masks=None, features="volume"))
    predictions = read_predictions(output)
    assert predictions.model == "baseline_volume_logistic_true_masks"
    assert [case.case_id for case in predictions.cases] == [f"case_0{n}" for n in range(5)]
    assert predictions.cases[0].tumor_volume_ml > 0.5
    assert (output.parent / "features_volume.csv").is_file()


def test_training_cases_with_an_empty_mask_are_left_out(dataset, copied, tmp_path):
    """As if they were not in the fold, but for thresholds and medians."""
    empty = copied.parent / "predicted" / f"{EMPTY_CASE}.nii.gz"
    shutil.copy(empty, copied.parent / "predicted" / "case_10.nii.gz")
    splits = copied.parent / "splits_final.json"
    masks = copied.parent / "predicted"
    run_baseline(settings_of(copied, tmp_path / "empty", training_masks=masks))
    (fold,) = json.loads(splits.read_text())
    fold["train"].remove("case_10")
    splits.write_text(json.dumps([fold]))
    run_baseline(settings_of(copied, tmp_path / "without", training_masks=masks))
    tables = [(tmp_path / run / "biomarkers.csv").read_text() for run in ("empty", "without")]
    assert tables[0] == tables[1]


def test_clinical_covariates_answer_without_a_tumor(copied, tmp_path):
    def age_tells(rows):
        return [[*row[:6], 60 + 10 * int(row[3])] for row in rows]

    change_targets(copied, age_tells)
    run_baseline(settings_of(copied, tmp_path / "clinical", features="clinical"))
    cases = {case.case_id: case for case in read_predictions(tmp_path / "clinical").cases}
    assert cases[EMPTY_CASE].status == "ok"
    assert cases[EMPTY_CASE].flags == ("EMPTY_SEG",)
    assert not math.isnan(cases[EMPTY_CASE].biomarkers["ER"].answer[0])


def test_combined_features_are_those_of_the_regions_and_the_covariates(copied, tmp_path):
    def age_tells(rows):
        return [[*row[:6], 60 + 10 * int(row[3])] for row in rows]

    change_targets(copied, age_tells)
    answers = {}
    for features in ("region", "combined", "clinical"):
        run_baseline(settings_of(copied, tmp_path / features, features=features))
        cases = read_predictions(tmp_path / features).cases
        answers[features] = {case.case_id: case.biomarkers["ER"].answer[0] for case in cases}
    assert math.isnan(answers["combined"].pop(EMPTY_CASE))
    for case, answer in answers["combined"].items():
        assert answer not in (answers["region"][case], answers["clinical"][case])


def test_shuffled_training_is_named_so(dataset, tmp_path):
    shuffled = settings_of(dataset, tmp_path / "shuffled", features="volume", shuffle_seed=1)
    assert run_baseline(shuffled).model == "baseline_volume_logistic_shuffled"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"fold": 1}, "expected a fold from 0 to 0, got 1"),
        ({"features": "clinical"}, "expected clinical covariates"),
        ({"features": "combined"}, "expected clinical covariates"),
        ({"training_masks": "labelsTs"}, r"case_05.nii.gz: expected a file of the case"),
        ({"masks": "out"}, "expected an output folder apart from the label maps"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(copied, changed, message):
    path = copied / "dataset.json"
    content = json.loads(path.read_text())
    if "features" in changed:
        content["nnmtl"]["covariates"] = []
        path.write_text(json.dumps(content))
        change_targets(copied, lambda rows: [row[:6] for row in rows])
        text = (copied / "targets.csv").read_text()
        (copied / "targets.csv").write_text(text.replace(",age", ""))
    changed = {key: copied / v if "masks" in key else v for key, v in changed.items()}
    with pytest.raises(NnmtlError, match=message) as caught:
        run_baseline(settings_of(copied, copied / "out", **changed))
    assert "\n" not in str(caught.value)
