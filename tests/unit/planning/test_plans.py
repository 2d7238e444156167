"""Plans are plain JSON that may be edited by hand: it comes back whole, or is refused by name."""

import json

import pytest

from nnmtl.errors import NnmtlError
from nnmtl.planning.architecture import (
    ArchitecturePlan,
    HeadPlan,
    RegionPlan,
    architecture_to_json,
    parse_architecture,
)
from nnmtl.planning.training import TrainingPlan, parse_training, training_to_json

ARCHITECTURE = ArchitecturePlan(
    spacing_mm=(2.0, 1.0, 1.0),
    tumor_labels=(1, 2),
    regions=(
        RegionPlan(name="core", inner_mm=None, outer_mm=-2.5),
        RegionPlan(name="rim", inner_mm=-2.5, outer_mm=0.0),
    ),
    taps=(0, 1),
    region_masking="pool",
    shared_encoder=True,
    pooling="regions",
    attention="multi_scale",
    token_mixer=False,
    self_attention=False,
    intensity=True,
    num_centers=1,
    descriptors=("log_volume",),
    covariates=("age",),
    heads=(
        HeadPlan(name="ER", kind="binary", num_outputs=1),
        HeadPlan(name="Ki67", kind="continuous", num_outputs=1, range=(0, 100)),
    ),
    width=8,
    dropout=0.1,
    region_dropout=0.0,
    softness_mm=0.7,
    jitter_mm=0.5,
)
TRAINING = TrainingPlan(
    preset="spatial_mtl",
    spacing_policy="pooled",
    roi_size=(16, 32, 32),
    roi_batch_size=8,
    roi_sampling="uniform",
    epochs=40,
    iterations_per_epoch=250,
    validation_iterations=50,
    warmup_fraction=0.3,
    true_mask_until=0.6,
    unet_optimizer="sgd",
    heads_optimizer="adamw",
    lr_unet=0.01,
    freeze_encoder=False,
    lr_heads=0.001,
    weight_decay_heads=0.03,
    roi_segmentation_weight=0.0,
    encoder_gradient=0.3,
    loss_weights={"ER": 1.0},
    task_weighting="fixed",
    label_smoothing=0.05,
    ema_decay=0.999,
    linear_start=True,
    mirror_in_prediction=False,
    reasons={"roi_size": "because"},
)


def architecture_json():
    return json.loads(json.dumps(architecture_to_json(ARCHITECTURE)))


def training_json():
    return json.loads(json.dumps(training_to_json(TRAINING)))


def test_the_architecture_survives_json():
    assert parse_architecture(architecture_json()) == ARCHITECTURE


def test_the_training_survives_json():
    assert parse_training(training_json()) == TRAINING


@pytest.mark.parametrize("section", ["regions", "heads"])
def test_an_unknown_key_of_a_region_or_head_is_named(section):
    value = architecture_json()
    value[section][0]["colour"] = "red"
    with pytest.raises(NnmtlError, match=rf'\["{section}"\].*unknown are \[\'colour\'\]'):
        parse_architecture(value)


def test_an_unknown_key_of_the_architecture_is_named():
    with pytest.raises(NnmtlError, match=r"multitask.*unknown are \['depth'\]"):
        parse_architecture({**architecture_json(), "depth": 3})


def test_a_missing_key_of_the_architecture_is_named():
    value = architecture_json()
    del value["width"]
    with pytest.raises(NnmtlError, match=r"missing are \['width'\]"):
        parse_architecture(value)


def test_unknown_and_missing_keys_of_the_training_are_named():
    value = training_json()
    value["epoch"] = value.pop("epochs")
    with pytest.raises(NnmtlError, match=r"unknown are \['epoch'\], missing are \['epochs'\]"):
        parse_training(value)


@pytest.mark.parametrize("change", [{}, {"token_mixer": True}], ids=["two regions", "a mixer"])
def test_a_global_mean_is_not_offered_as_that_of_a_region(change):
    value = {**architecture_json(), "pooling": "global", **change}
    if change:
        value["regions"] = [{"name": "context", "inner_mm": None, "outer_mm": None}]
    with pytest.raises(NnmtlError, match="expected one region that is open on both sides"):
        parse_architecture(value)
