"""A comparison that really trains: resumable, and what is finished is not done again."""

import json

import pytest

from nnmtl.cli import compare
from nnmtl.experiments import compare_baselines, compare_jobs, compare_preparation

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
