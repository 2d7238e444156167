"""From a trained model to predictions and their evaluation, and what the files then hold."""

import csv
import json
import math

import numpy as np
import pytest
import SimpleITK
import torch

from nnmtl.evaluation.files import write_evaluation
from nnmtl.evaluation.raw_dataset import read_raw_dataset
from nnmtl.experiments.evaluate_folder import evaluate_folder
from nnmtl.inference.predictions import read_predictions

pytestmark = pytest.mark.e2e

GEOMETRY = ("GetSize", "GetSpacing", "GetOrigin", "GetDirection")


@pytest.fixture(scope="module")
def predicted(trained, tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        trained.enter(monkeypatch)
        (folder,) = trained.results.iterdir()
        return trained.predict(folder, tmp_path_factory.mktemp("predicted"), center="A")


def test_training_leaves_checkpoint_history_and_settings(trained):
    (fold,) = trained.results.glob("*/fold_0")
    assert fold.parent.name == "nnMTLTrainer__nnMTLPlans_tiny_cpu_seed0__3d_fullres"
    rows = [json.loads(line) for line in (fold / "task_history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [0, 1]
    losses = {"segmentation", "ER", "PR", "HER2", "HER2_3", "Ki67"}
    for row in rows:
        assert set(row["train"]) == losses
        assert all(math.isfinite(value) for value in row["train"].values())
        assert set(row["validation"]) == {"dice", *losses - {"segmentation"}}
    assert (fold / "checkpoint_final.pth").is_file()
    assert not (fold / "checkpoint_latest.pth").exists()
    assert json.loads((fold / "nnmtl_run.json").read_text())["seed"] == 0


def test_validation_cases_are_predicted_out_of_fold(trained):
    (fold,) = trained.results.glob("*/fold_0")
    split = json.loads((trained.preprocessed / "splits_final.json").read_text())[0]
    predictions = read_predictions(fold / "validation")
    assert [case.case_id for case in predictions.cases] == sorted(split["val"])
    assert {case.center for case in predictions.cases} == {"A", "B"}


def test_every_case_and_biomarker_is_predicted(trained, predicted):
    predictions = read_predictions(predicted)
    images = [path.name[:-12] for path in (trained.raw / "imagesTs").iterdir()]
    assert [case.case_id for case in predictions.cases] == sorted(images)
    assert predictions.trained_on == "phantom"
    assert predictions.folds == (0,)
    assert set(predictions.thresholds) == {"ER", "PR", "HER2"}
    assert set(predictions.training_median) == {"Ki67"}
    for case in predictions.cases:
        assert case.center == "A"
        assert "PHANTOM_MODEL" in case.flags
        assert (case.status == "ok") == (case.tumor_volume_ml > 0)
        for biomarker in case.biomarkers.values():
            assert biomarker.is_missing == (case.status != "ok")
    assert any(case.status == "ok" for case in predictions.cases), "else this tests too little"


def test_the_table_has_a_row_per_case_and_the_agreed_columns(predicted):
    with (predicted / "biomarkers.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 6
    columns = ["case_id", "center", "flags", "tumor_volume_ml"]
    columns += ["ER", "ER_fold_sd", "PR", "PR_fold_sd", "HER2", "HER2_fold_sd", "HER2_3_zero"]
    columns += ["HER2_3_low", "HER2_3_positive", "HER2_3_fold_sd", "Ki67", "Ki67_fold_sd"]
    assert list(rows[0]) == columns


def test_masks_and_region_maps_lie_on_the_image(trained, predicted):
    for image_path in (trained.raw / "imagesTs").iterdir():
        image = SimpleITK.ReadImage(str(image_path))
        name = image_path.name.replace("_0000", "")
        mask = SimpleITK.ReadImage(str(predicted / name))
        regions = SimpleITK.ReadImage(str(predicted / "regions" / name))
        for method in GEOMETRY:
            expected = getattr(image, method)()
            assert getattr(mask, method)() == pytest.approx(expected)
            assert getattr(regions, method)() == pytest.approx(expected)
        tumor = SimpleITK.GetArrayFromImage(mask) == 1
        shells = SimpleITK.GetArrayFromImage(regions)
        assert set(np.unique(shells)) <= {0, 1, 2, 3, 4}
        assert not np.isin(shells[tumor], [0, 3, 4]).any(), "core and rim lie inside the tumor"
        assert not np.isin(shells[~tumor], [1, 2]).any(), "and further shells outside"


def test_predictions_can_be_evaluated(trained, predicted, tmp_path):
    raw = read_raw_dataset(trained.raw)
    write_evaluation(evaluate_folder(predicted, raw, split="Ts"), tmp_path)
    evaluation = json.loads((tmp_path / "evaluation.json").read_text())
    assert {task["task"] for task in evaluation["tasks"]} == {
        "segmentation", "ER", "PR", "HER2", "HER2_3", "Ki67",
    }  # fmt: skip


def test_a_checkpoint_is_nnunets_with_one_key_more(trained):
    (fold,) = trained.results.glob("*/fold_0")
    checkpoint = torch.load(fold / "checkpoint_final.pth", weights_only=False)
    assert set(checkpoint) == {
        "network_weights", "optimizer_state", "grad_scaler_state", "logging", "_best_ema",
        "current_epoch", "init_args", "trainer_name", "inference_allowed_mirroring_axes",
        "nnmtl_state",
    }  # fmt: skip
    assert checkpoint["trainer_name"] == "nnMTLTrainer"
    assert checkpoint["nnmtl_state"]["linear_started"]
