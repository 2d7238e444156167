"""A comparison that really trains: resumable, and what is finished is not done again."""

import csv
import json
from dataclasses import replace

import pytest

from nnmtl.cli import compare, evaluate
from nnmtl.experiments import compare_baselines, compare_jobs, compare_preparation
from nnmtl.inference.predictions import read_predictions
from nnmtl.nnunet.planner import plan_experiment

pytestmark = pytest.mark.e2e


def refuse(*_, **__):
    pytest.fail("this was done before")


@pytest.mark.parametrize("split", ["Ts", "Tr"])
def test_a_preset_is_trained_predicted_and_compared_once(workspace, tmp_path, monkeypatch, split):
    words = ["-d", workspace.name, "-o", str(tmp_path / "out"), "--presets", "tiny_cpu"]
    words += ["--split", split, "-device", "cpu"]
    words += ["--baselines", "region_logistic", "volume_svm_true_masks"]
    assert compare.main(words) == 0
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert {row["task"] for row in content["rows"]} == {
        "segmentation", "ER", "PR", "HER2", "HER2_3", "Ki67", "all binary",
    }  # fmt: skip
    splits = json.loads((workspace.preprocessed / "splits_final.json").read_text())
    assert content["num_cases"] == {"Ts": 6, "Tr": len(splits[0]["val"])}[split]
    assert list(content["entries"]) == ["tiny_cpu", "region_logistic", "volume_svm_true_masks"]
    (dice,) = [row for row in content["rows"] if row["metric"] == "dice"]
    network, predicted, true = (entry["value"] for entry in dice["cells"])
    assert (predicted, true) == (network, 1), "the masks that the baselines measure in"
    seen = list((tmp_path / "out").glob("*/predictions/features/*.npy"))
    assert len(seen) == {"Ts": 6, "Tr": 0}[split]
    for name in ("prepare", "train", "predict_folder"):
        monkeypatch.setattr(compare_jobs, name, refuse)
    monkeypatch.setattr(compare_baselines, "run_baseline", refuse)
    assert compare.main(words) == 0
    assert json.loads((tmp_path / "out" / "comparison.json").read_text()) == content


def test_a_second_preset_uses_the_arrays_of_the_first(workspace, monkeypatch):
    monkeypatch.setattr(compare_preparation, "preprocess", refuse)
    compare_preparation.prepare(workspace.name, "tiny_cpu+core_only")
    plans = json.loads((workspace.preprocessed / "nnMTLPlans_tiny_cpu+core_only.json").read_text())
    configuration = plans["configurations"]["3d_fullres"]
    assert configuration["data_identifier"] == "nnMTLPlans_tiny_cpu_3d_fullres"


@pytest.fixture
def single_tasks(workspace):
    """The tiny dataset with two biomarkers, and small plans of a model for each."""
    for folder in (workspace.raw, workspace.preprocessed):
        keep_biomarkers(folder, ["ER", "Ki67"])
    for name in ("ER", "Ki67"):
        plans = plan_experiment(workspace.name, preset_name=f"tiny_cpu+single_task:{name}")
        single = replace(workspace, plans=plans)
        single.shrink_plans()
        single.change_plans(shorten)
    return workspace


def keep_biomarkers(folder, names):
    path = folder / "dataset.json"
    content = json.loads(path.read_text())
    declared = content["nnmtl"]["biomarkers"]
    dropped = {each["name"] for each in declared} - set(names)
    content["nnmtl"]["biomarkers"] = [each for each in declared if each["name"] in names]
    path.write_text(json.dumps(content))
    rows = list(csv.DictReader((folder / "targets.csv").open()))
    columns = [column for column in rows[0] if column not in dropped]
    with (folder / "targets.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def shorten(plans):
    configuration = plans["configurations"]["3d_fullres"]
    configuration["data_identifier"] = "nnMTLPlans_tiny_cpu_3d_fullres"
    configuration["nnmtl"].update(epochs=1, iterations_per_epoch=2, warmup_fraction=0.0)


def test_models_of_one_task_each_are_one_entry(trained, single_tasks, tmp_path):
    (multi_task,) = trained.results.glob("*/fold_0/validation")
    words = ["-d", single_tasks.name, "-o", str(tmp_path / "out"), "--split", "Tr"]
    words += ["--predictions", f"multi_task={multi_task}", "--presets", "tiny_cpu+single_task"]
    assert compare.main([*words, "-device", "cpu"]) == 0
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert list(content["entries"]) == ["multi_task", "tiny_cpu+single_task"]
    assert {row["task"] for row in content["rows"]} >= {"segmentation", "ER", "Ki67"}
    for row in content["rows"]:
        assert not any(cell["reason"] == "this entry does not predict it" for cell in row["cells"])
    (model,) = single_tasks.results.glob("*single_task-Ki67*")
    (head,) = read_predictions(model / "fold_0" / "validation").biomarkers
    assert head.name == "Ki67"
    output = single_tasks.predict(model, tmp_path / "Ki67", images=single_tasks.one_image())
    assert evaluate.main(["-p", str(output), "-d", single_tasks.name]) == 0
    notes = json.loads((output / "evaluation" / "evaluation.json").read_text())["notes"]
    assert "Declared, but not what this model predicts: ER." in notes
