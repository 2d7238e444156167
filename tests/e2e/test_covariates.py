"""A clinical covariate from targets.csv to the answer for a new patient, known or not."""

import csv
import json
import math

import pytest
import torch

from nnmtl.cli import compare
from nnmtl.inference.predictions import read_predictions
from nnmtl.network import image_score

pytestmark = pytest.mark.e2e


@pytest.fixture
def with_age(workspace):
    """The tiny dataset with an age that tells Ki-67, unknown of some."""
    for folder in (workspace.raw, workspace.preprocessed):
        content = json.loads((folder / "dataset.json").read_text())
        content["nnmtl"]["covariates"] = ["age"]
        (folder / "dataset.json").write_text(json.dumps(content))
    path = workspace.preprocessed / "targets.csv"
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for number, row in enumerate(rows):
        row["age"] = "" if number % 9 == 0 else str(30 + 0.6 * float(row["Ki67"]))
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)

    def change(plans):
        configuration = plans["configurations"]["3d_fullres"]
        multitask = configuration["architecture"]["arch_kwargs"]["multitask"]
        multitask.update(covariates=["age"], intensity=False, descriptors=[])

    workspace.change_plans(change)
    ages = {row["case_id"]: float(row["age"] or "nan") for row in rows}
    split = json.loads((workspace.preprocessed / "splits_final.json").read_text())[0]
    return workspace, [ages[case] for case in split["train"] if not math.isnan(ages[case])]


def test_an_age_that_tells_the_target_is_learned_and_read_for_new_patients(
    with_age, tmp_path, monkeypatch
):
    workspace, training_ages = with_age
    monkeypatch.setattr(image_score, "FEWEST_PATIENTS", 10)  # of 21, not every one is drawn
    fold = workspace.train()
    checkpoint = torch.load(fold / "checkpoint_final.pth", weights_only=False)
    groups = checkpoint["nnmtl_state"]["head_optimizer"]["param_groups"]
    assert {group["linear_of"]: group["factor"] for group in groups}["Ki67"] == 0  # it was fitted
    weights = checkpoint["network_weights"]
    mean, sd = (float(weights[f"tower.standardize.{key}"][0]) for key in ("mean", "sd"))
    # Of random views of the fold's training cases: about theirs, and no other's.
    assert mean == pytest.approx(sum(training_ages) / len(training_ages), abs=5)
    assert 5 < sd < 25
    images = workspace.one_image()
    case_id = next(images.iterdir()).name.removesuffix("_0000.nii.gz")
    found = {}
    for age in ("35", "70", ""):
        table = tmp_path / "table.csv"
        table.write_text(f"case_id,age\n{case_id},{age}\n")
        output = tmp_path / f"age_{age}"
        workspace.predict(fold.parent, output, images=images, covariates=table)
        (case,) = read_predictions(output).cases
        assert ("MISSING_COVARIATE" in case.flags) == (age == "")
        found[age] = case.biomarkers["Ki67"].answer[0]
    assert found["70"] > found["35"] + 1
    without = workspace.predict(fold.parent, tmp_path / "without", images=images)
    (case,) = read_predictions(without).cases
    assert "MISSING_COVARIATE" in case.flags
    assert case.biomarkers["Ki67"].answer[0] == pytest.approx(found[""])


def test_a_comparison_tells_the_model_what_the_dataset_knows(with_age, tmp_path):
    workspace, _ = with_age
    path = workspace.raw / "targets.csv"
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for number, row in enumerate(rows):
        row["age"] = "" if number % 4 == 0 else "50"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    words = ["-d", workspace.name, "-o", str(tmp_path / "out"), "--presets", "tiny_cpu"]
    assert compare.main([*words, "-device", "cpu"]) == 0
    (folder,) = (tmp_path / "out").glob("*/predictions")
    found = {case.case_id: case.flags for case in read_predictions(folder).cases}
    unknown = {row["case_id"] for row in rows if not row["age"]} & set(found)
    assert 0 < len(unknown) < len(found)
    assert {case for case, flags in found.items() if "MISSING_COVARIATE" in flags} == unknown
