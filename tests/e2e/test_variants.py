"""Other configurations, folds and cases than the usual ones."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK
import torch

from nnmtl.errors import NnmtlError
from nnmtl.inference.predictions import read_predictions
from nnmtl.network import image_score
from nnmtl.nnunet.planner import plan_experiment
from nnmtl.planning.preset import load_preset

pytestmark = pytest.mark.e2e

IGNORE = 2


def losses(fold):
    rows = [json.loads(line) for line in (fold / "task_history.jsonl").read_text().splitlines()]
    assert len(rows) == 2
    return [value for row in rows for value in row["train"].values()]


def test_a_2d_configuration_is_trained_and_predicts(workspace, tmp_path):
    workspace.preprocess("2d")
    fold = workspace.train(configuration="2d")
    assert all(math.isfinite(loss) for loss in losses(fold))
    output = workspace.predict(fold.parent, tmp_path / "out", images=workspace.one_image())
    (case,) = read_predictions(output).cases
    assert (case.status == "ok") == (case.tumor_volume_ml > 0)
    assert (output / f"{case.case_id}.nii.gz").is_file()


def test_all_training_cases_can_be_one_fold(workspace, tmp_path):
    fold = workspace.train(fold="all")
    assert fold.name == "fold_all"
    assert all(math.isfinite(loss) for loss in losses(fold))
    output = workspace.predict(fold.parent, tmp_path / "out", images=workspace.one_image())
    assert len(read_predictions(output).cases) == 1


@pytest.mark.parametrize("configuration", ["3d_lowres", "3d_cascade_fullres", "nonsense"])
def test_other_configurations_are_refused(workspace, configuration):
    def add(plans):
        if configuration != "nonsense":
            plans["configurations"][configuration] = {"inherits_from": "3d_fullres"}

    workspace.change_plans(add)
    with pytest.raises(NnmtlError, match=configuration):
        workspace.train(configuration=configuration)
    assert not workspace.results.exists()


@pytest.mark.parametrize(
    "preset", ["bottleneck_head", "core_only_input", "no_shared_encoder", "hybrid_transformer"]
)
def test_a_preset_added_to_the_small_one_is_trained_and_predicts(workspace, tmp_path, preset):
    added = load_preset(preset)

    def change(plans):
        configuration = plans["configurations"]["3d_fullres"]
        multitask = configuration["architecture"]["arch_kwargs"]["multitask"]
        changes = {k: v for k, v in added.architecture.items() if k in multitask and k != "heads"}
        multitask.update(changes)
        weighting = added.training["task_weighting"]
        configuration["nnmtl"].update(task_weighting=weighting, linear_start=False)

    workspace.change_plans(change)
    fold = workspace.train()
    assert all(math.isfinite(loss) for loss in losses(fold))
    weights = torch.load(fold / "checkpoint_final.pth", weights_only=False)["network_weights"]
    learned = weights["tower.heads.ER.log_variance"].item() != 0
    assert learned == (preset == "hybrid_transformer")
    output = workspace.predict(fold.parent, tmp_path / "out", images=workspace.one_image())
    (case,) = read_predictions(output).cases
    assert (case.status == "ok") == (case.tumor_volume_ml > 0)


def test_a_beta_head_is_trained_and_tells_how_likely_each_cutoff_is_reached(
    workspace, tmp_path, monkeypatch
):
    monkeypatch.setattr(image_score, "FEWEST_PATIENTS", 10)  # of 21, not every one is drawn
    plan = plan_experiment(workspace.name, preset_name="tiny_cpu+beta_likelihood")
    workspace = replace(workspace, plans=plan)
    workspace.shrink_plans()
    workspace.change_plans(use_arrays_of_tiny_cpu)
    fold = workspace.train()
    assert all(math.isfinite(loss) for loss in losses(fold))
    precision = weights(fold)["tower.heads.Ki67.linear.bias"][1]
    assert abs(precision) > 0.05, "the linear start has set it; training alone is not that fast"
    output = workspace.predict(fold.parent, tmp_path / "out", images=workspace.one_image())
    predictions = read_predictions(output)
    (case,) = predictions.cases
    assert case.status == "ok", "else this tests too little"
    at_least = case.biomarkers["Ki67"].at_least
    assert len(at_least) == len(predictions.biomarkers[-1].cutoffs) > 1
    assert 1 >= at_least[0] > at_least[-1] >= 0
    assert 0 < predictions.training_median["Ki67"] < 100


def test_a_pretrained_residual_encoder_can_be_frozen(workspace):
    plan = plan_experiment(workspace.name, preset_name="tiny_cpu+foundation")
    workspace = replace(workspace, plans=plan)
    workspace.shrink_plans()
    workspace.change_plans(use_arrays_of_tiny_cpu)
    first = workspace.train()
    kept = first.parent.rename(first.parent.with_name("pretrained")) / first.name
    workspace.change_plans(lambda plans: section(plans).update(freeze_encoder=True))
    second = workspace.train(pretrained_weights=kept / "checkpoint_final.pth")
    before, after = (weights(fold) for fold in (kept, second))
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in before if name.startswith("encoder.")} <= same
    assert "decoder.seg_layers.2.weight" not in same, "the finest output is trained"
    network = json.loads((second.parent / "plans.json").read_text())["configurations"]
    name = network["3d_fullres"]["architecture"]["arch_kwargs"]["unet_class_name"]
    assert name.endswith("ResidualEncoderUNet")


def test_the_usual_hack_has_one_optimizer_and_the_alarm_rings_while_nothing_varies(workspace):
    plan = plan_experiment(workspace.name, preset_name="tiny_cpu+bottleneck_head")
    workspace = replace(workspace, plans=plan)
    workspace.shrink_plans()
    workspace.change_plans(use_arrays_of_tiny_cpu)
    asked = {"roi_batch_size": 2, "warmup_fraction": 0.0, "true_mask_until": 0.0}
    workspace.change_plans(lambda plans: section(plans).update(asked))
    fold = workspace.train()
    checkpoint = torch.load(fold / "checkpoint_final.pth", weights_only=False)
    assert checkpoint["nnmtl_state"]["head_optimizer"] is None
    trained = checkpoint["optimizer_state"]["param_groups"]
    assert [group["momentum"] for group in trained] == [0.99]
    assert checkpoint["network_weights"]["tower.heads.ER.learned.weight"].any(), "it starts at 0"
    rows = [json.loads(line) for line in (fold / "task_history.jsonl").read_text().splitlines()]
    assert rows[0]["lr"]["heads"] == rows[0]["lr"]["unet"]
    rings = {alarm.partition(":")[0] for alarm in rows[-1]["alarms"]}
    assert "ER" in rings, "it has hardly learned yet"


def section(plans):
    return plans["configurations"]["3d_fullres"]["nnmtl"]


def use_arrays_of_tiny_cpu(plans):
    plans["configurations"]["3d_fullres"]["data_identifier"] = "nnMTLPlans_tiny_cpu_3d_fullres"


def weights(fold):
    return torch.load(fold / "checkpoint_final.pth", weights_only=False)["network_weights"]


@pytest.fixture
def without_masks(workspace):
    """The dataset where one training and one validation case were never outlined."""
    split = json.loads((workspace.preprocessed / "splits_final.json").read_text())[0]
    cases = [split["train"][0], split["val"][0]]
    labels = workspace.raw / "labelsTr"
    linked = labels.resolve()
    labels.unlink()
    shutil.copytree(linked, labels)
    for case in cases:
        image = SimpleITK.ReadImage(str(labels / f"{case}.nii.gz"))
        ignored = SimpleITK.GetImageFromArray(
            np.full_like(SimpleITK.GetArrayFromImage(image), IGNORE)
        )
        ignored.CopyInformation(image)
        SimpleITK.WriteImage(ignored, str(labels / f"{case}.nii.gz"))
    dataset_json = json.loads((workspace.raw / "dataset.json").read_text())
    dataset_json["labels"]["ignore"] = IGNORE
    (workspace.raw / "dataset.json").write_text(json.dumps(dataset_json))
    workspace.plan()
    workspace.preprocess()
    return workspace, cases


def test_a_case_without_mask_trains_the_heads(without_masks):
    """Alone it teaches the segmentation nothing but that nnU-Net's padding is background."""
    workspace, (case, _) = without_masks
    keep_only(workspace, case)
    fold = workspace.train()
    rows = [json.loads(line) for line in (fold / "task_history.jsonl").read_text().splitlines()]
    for row in rows:
        assert all(math.isfinite(value) for value in row["train"].values())
    checkpoint = torch.load(fold / "checkpoint_final.pth", weights_only=False)
    weights = checkpoint["network_weights"]
    assert weights["tower.heads.ER.learned.weight"].any(), "it starts at zero"
    broken = [name for name, value in weights.items() if value.isnan().any() and value.ndim]
    assert broken == []


def keep_only(workspace, case):
    """Trains on this case alone."""
    path = workspace.preprocessed / "splits_final.json"
    splits = json.loads(path.read_text())
    splits[0]["train"] = [case]
    path.write_text(json.dumps(splits))


def test_training_with_some_cases_without_mask_ends_with_predictions(without_masks):
    workspace, (_, case) = without_masks
    fold = workspace.train(predict_validation=True)
    assert all(math.isfinite(loss) for loss in losses(fold))
    predictions = read_predictions(fold / "validation")
    assert case in [each.case_id for each in predictions.cases]
