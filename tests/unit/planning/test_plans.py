"""Plans are plain JSON that may be edited by hand: it comes back whole, or is refused by name."""

import json

import pytest

from nnmtl.errors import NnmtlError
from nnmtl.planning.architecture import (
    HeadPlan,
    RegionPlan,
    architecture_to_json,
    parse_architecture,
)
from nnmtl.planning.training import parse_training, training_to_json


@pytest.fixture
def architecture(make_plan):
    return make_plan(
        spacing_mm=(2.0, 1.0, 1.0),
        tumor_labels=(1, 2),
        regions=(
            RegionPlan(name="core", inner_mm=None, outer_mm=-2.5),
            RegionPlan(name="rim", inner_mm=-2.5, outer_mm=0.0),
        ),
        covariates=("age",),
        heads=(
            HeadPlan(name="ER", kind="binary", num_outputs=1),
            HeadPlan(name="Ki67", kind="continuous", num_outputs=1, range=(0, 100)),
        ),
        dropout=0.1,
        jitter_mm=0.5,
    )


@pytest.fixture
def architecture_json(architecture):
    return json.loads(json.dumps(architecture_to_json(architecture)))


@pytest.fixture
def training(make_training):
    return make_training(
        roi_sampling="uniform",
        ema_decay=0.999,
        linear_start=True,
        loss_weights={"ER": 1.0},
        label_smoothing=0.05,
        reasons={"roi_size": "because"},
    )


@pytest.fixture
def training_json(training):
    return json.loads(json.dumps(training_to_json(training)))


def test_the_architecture_survives_json(architecture, architecture_json):
    assert parse_architecture(architecture_json) == architecture


def test_the_training_survives_json(training, training_json):
    assert parse_training(training_json) == training


@pytest.mark.parametrize("section", ["regions", "heads"])
def test_an_unknown_key_of_a_region_or_head_is_named(section, architecture_json):
    value = architecture_json
    value[section][0]["colour"] = "red"
    with pytest.raises(NnmtlError, match=rf'\["{section}"\].*unknown are \[\'colour\'\]'):
        parse_architecture(value)


def test_an_unknown_key_of_the_architecture_is_named(architecture_json):
    with pytest.raises(NnmtlError, match=r"multitask.*unknown are \['depth'\]"):
        parse_architecture({**architecture_json, "depth": 3})


def test_a_missing_key_of_the_architecture_is_named(architecture_json):
    value = architecture_json
    del value["width"]
    with pytest.raises(NnmtlError, match=r"missing are \['width'\]"):
        parse_architecture(value)


def test_unknown_and_missing_keys_of_the_training_are_named(training_json):
    value = training_json
    value["epoch"] = value.pop("epochs")
    with pytest.raises(NnmtlError, match=r"unknown are \['epoch'\], missing are \['epochs'\]"):
        parse_training(value)


@pytest.mark.parametrize("change", [{}, {"token_mixer": True}], ids=["two regions", "a mixer"])
def test_a_global_mean_is_not_offered_as_that_of_a_region(change, architecture_json):
    value = {**architecture_json, "pooling": "global", **change}
    if change:
        value["regions"] = [{"name": "context", "inner_mm": None, "outer_mm": None}]
    with pytest.raises(NnmtlError, match="expected one region that is open on both sides"):
        parse_architecture(value)
