"""A run that was interrupted while it predicted its validation cases can still finish."""

import json

import pytest

from nnmtl.errors import NnmtlError

pytestmark = pytest.mark.e2e


def test_validation_cases_that_were_left_are_predicted_without_training_again(workspace):
    fold = workspace.train(seed=0)
    final = fold / "checkpoint_final.pth"
    trained = final.stat().st_mtime_ns, (fold / "task_history.jsonl").read_text()
    workspace.train(seed=0, continue_training=True, predict_validation=True)
    assert (final.stat().st_mtime_ns, (fold / "task_history.jsonl").read_text()) == trained
    content = json.loads((fold / "validation" / "biomarkers.json").read_text())
    splits = json.loads((workspace.preprocessed / "splits_final.json").read_text())
    assert sorted(content["cases"]) == sorted(splits[0]["val"])
    with pytest.raises(NnmtlError, match="this training has finished"):
        workspace.train(seed=0, continue_training=True, predict_validation=True)


def test_a_model_folder_tells_its_centers(workspace):
    fold = workspace.train(seed=0)
    facts = json.loads((workspace.preprocessed / "nnmtl_fingerprint.json").read_text())
    assert json.loads((fold.parent / "nnmtl_centers.json").read_text()) == sorted(facts["centers"])
