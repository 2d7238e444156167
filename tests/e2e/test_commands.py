"""The commands as a user types them, one after another, from nothing to an evaluation."""

import json

import pytest

from nnmtl.cli import check_dataset, convert, evaluate, plan_and_preprocess, predict, train

pytestmark = pytest.mark.e2e

CONVERT = "phantom -d 905 --train A=16,B=16 --test A=2,B=2 --biomarkers ER,Ki67 --seed 3"
MODEL = "nnMTLTrainer__nnMTLPlans_tiny_cpu_seed1__3d_fullres"


def test_the_commands_lead_from_a_source_to_an_evaluation(tmp_path, monkeypatch, capsys):
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (tmp_path / variable).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / variable))
    # The commands set these where they are not set.
    for variable in ("nnUNet_n_proc_DA", "nnUNet_def_n_proc", "nnUNet_extTrainer"):
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    raw = tmp_path / "nnUNet_raw" / "Dataset905_PHANTOM_easy"
    preprocessed = tmp_path / "nnUNet_preprocessed" / raw.name
    model = tmp_path / "nnUNet_results" / raw.name / MODEL
    output = tmp_path / "predictions"

    assert convert.main(CONVERT.split()) == 0
    assert f"{raw}\nnext: nnMTL_check_dataset -d 905" in capsys.readouterr().out
    assert {path.name for path in raw.iterdir()} == {
        "dataset.json", "targets.csv", "phantom_truth.csv",
        "imagesTr", "labelsTr", "imagesTs", "labelsTs",
    }  # fmt: skip

    assert check_dataset.main(["-d", "905"]) == 0
    report = capsys.readouterr().out
    assert "cases for training 32, for testing 4" in report
    assert "center B: 16" in report

    planning = ["-d", "905", "--preset", "tiny_cpu", "-np", "1"]
    assert plan_and_preprocess.main(planning) == 0
    assert "next: nnMTL_train 905 3d_fullres 0 -p nnMTLPlans_tiny_cpu" in capsys.readouterr().out
    assert {path.name for path in preprocessed.iterdir()} == {
        "dataset.json", "dataset_fingerprint.json", "nnmtl_fingerprint.json", "targets.csv",
        "splits_final.json", "splits_leave_one_center_out.json", "nnMTLPlans_tiny_cpu.json",
        "nnMTLPlans_tiny_cpu_3d_fullres", "gt_segmentations",
    }  # fmt: skip

    training = ["905", "3d_fullres", "0", "-p", "nnMTLPlans_tiny_cpu", "-device", "cpu"]
    assert train.main([*training, "--seed", "1", "--epochs", "2", "--iterations", "4"]) == 0
    assert f"next: nnMTL_predict -i IMAGES -o OUT -m {model}" in capsys.readouterr().out
    written = {path.name for path in model.iterdir()}
    assert {"plans.json", "dataset.json", "dataset_fingerprint.json", "fold_0"} <= written
    fold = {path.name for path in (model / "fold_0").iterdir()}
    assert {
        "checkpoint_final.pth", "nnmtl_run.json", "task_history.jsonl", "progress.png",
        "validation",
    } <= fold  # fmt: skip

    images = ["-i", str(raw / "imagesTs"), "-o", str(output)]
    assert predict.main([*images, "-m", str(model), "-device", "cpu"]) == 0
    assert capsys.readouterr().out.endswith("biomarkers.csv\n")
    cases = [f"PHANTOM_{center}_T000{number}" for center in "AB" for number in range(2)]
    assert {path.name for path in output.iterdir()} == {
        "biomarkers.json", "biomarkers.csv", "regions", *(f"{case}.nii.gz" for case in cases),
    }  # fmt: skip
    predictions = json.loads((output / "biomarkers.json").read_text())
    assert set(predictions) == {
        "schema", "trained_on", "model", "folds", "biomarkers", "thresholds", "training_median",
        "cases",
    }  # fmt: skip
    assert list(predictions["cases"]) == cases

    assert evaluate.main(["-p", str(output), "-d", "905"]) == 0
    assert (output / "evaluation" / "evaluation.html").is_file()
    evaluation = json.loads((output / "evaluation" / "evaluation.json").read_text())
    assert {task["task"] for task in evaluation["tasks"]} == {"segmentation", "ER", "Ki67"}
    assert evaluation["phantom"]
