"""Leaving a center out, really trained: nothing is learned from it, and nothing is done twice."""

import json

import numpy as np
import pytest

from nnmtl.cli import leave_one_center_out
from nnmtl.experiments import compare_jobs, compare_preparation

pytestmark = pytest.mark.e2e


def refuse(*_, **__):
    pytest.fail("this was done before")


@pytest.mark.usefixtures("small_plans")
def test_a_center_is_left_out_of_everything_and_judged_once(workspace, tmp_path, monkeypatch):
    # 14 cases are too few of each class for folds, and enough to see what is done with them.
    monkeypatch.setattr(compare_preparation, "check_raw_dataset", lambda _: [])
    out = tmp_path / "out"
    words = ["-d", str(workspace.raw.name), "-o", str(out), "--preset", "tiny_cpu"]
    words += ["--spacing_policy", "per_center"]
    words += ["--centers", "A", "-device", "cpu"]
    assert leave_one_center_out.main(words) == 0
    name = f"{workspace.name}_without_a"
    learned = out / "nnUNet_preprocessed" / name
    assert not list(learned.rglob("*PHANTOM_A*"))
    assert "PHANTOM_A" not in (learned / "targets.csv").read_text()
    facts = json.loads((learned / "nnmtl_fingerprint.json").read_text())
    assert list(facts["centers"]) == ["B"]
    (model,) = (out / "nnUNet_results" / name).iterdir()
    configured = json.loads((model / "centers" / "a.json").read_text())
    assert configured["images"]["num_cases"] == 13
    assert configured["configuration"]["spacing"] == pytest.approx((2.0, 1.0, 1.0))
    plans = json.loads((model / "plans.json").read_text())["configurations"]["3d_fullres"]
    assert plans["nnmtl"]["spacing_policy"] == "per_center"
    assert plans["spacing"] == pytest.approx((1.5, 0.8, 0.8))
    content = json.loads((out / "leave_one_center_out.json").read_text())
    (dice,) = [row for row in content["rows"] if row["metric"] == "dice"]
    assert (dice["center"], dice["n"]) == ("A", 13)
    probe = content["probes"]["A"]
    assert probe["centers"] == ["A", "B"]
    assert np.isfinite(probe["balanced_accuracy"])
    assert content["verdicts"]["A"] == configured["verdict"]
    for stage in ("prepare", "train", "predict_folder"):
        monkeypatch.setattr(compare_jobs, stage, refuse)
    monkeypatch.setenv("nnUNet_raw", str(workspace.raw.parent))  # as in a new shell
    assert leave_one_center_out.main(words) == 0
    assert json.loads((out / "leave_one_center_out.json").read_text()) == content
