"""The plans of an adapted model: the model's network and grids, a short careful schedule."""

import copy
import json

import pytest

from nnmtl.errors import NnmtlError
from nnmtl.planning.adaptation import EPOCHS, RATE, adapted_plans
from nnmtl.planning.preset import load_preset

CENTER = {"inherits_from": "3d_fullres", "spacing": [3.0, 1.0, 1.0], "nnmtl": {"center": "C"}}


def model_plans(**changes):
    training = dict(load_preset("spatial_mtl").training)
    section = {"preset": "spatial_mtl", "reasons": {"roi_size": "so"}, **training, "epochs": 200}
    shared = {
        "data_identifier": "nnMTLPlans_3d_fullres",
        "spacing": [2.0, 1.0, 1.0],
        "architecture": {"arch_kwargs": {"multitask": {"num_centers": 3}}},
        "nnmtl": {**section, **changes},
    }
    other = {"inherits_from": "3d_fullres", "spacing": [1.0, 1.0, 1.0]}
    return {
        "plans_name": "nnMTLPlans",
        "dataset_name": "Dataset001_Old",
        "configurations": {"3d_fullres": shared, "3d_lowres": other},
    }


def adapted(plans, centers=None, **options):
    options = {"configuration": "3d_fullres", "heads_only": False, **options}
    return adapted_plans(plans, centers or {}, dataset="Dataset002_New", **options)


def test_network_and_grid_stay_and_the_rates_fall():
    plans = model_plans()
    before = copy.deepcopy(plans)
    found = adapted(plans)
    assert plans == before
    shared, old = found["configurations"]["3d_fullres"], before["configurations"]["3d_fullres"]
    assert shared["architecture"] == old["architecture"]
    assert shared["spacing"] == old["spacing"]
    section, was = shared["nnmtl"], old["nnmtl"]
    assert section["lr_unet"] == pytest.approx(RATE * was["lr_unet"])
    assert section["lr_heads"] == pytest.approx(RATE * was["lr_heads"])
    assert section["epochs"] == EPOCHS * 200
    assert not section["linear_start"]
    changed = {key for key in section if section[key] != was[key]} - {"reasons"}
    assert changed <= set(section["reasons"]) | {"true_mask_until"}
    assert (found["dataset_name"], found["plans_name"]) == ("Dataset002_New", "nnMTLPlans_adapted")
    assert shared["data_identifier"] == "nnMTLPlans_adapted_3d_fullres"
    assert set(found["configurations"]) == {"3d_fullres"}
    assert json.loads(json.dumps(found)) == found


def test_heads_only_leaves_the_unet_without_a_rate_and_nothing_shared_to_weigh():
    plans = model_plans(task_weighting="upgrad", roi_segmentation_weight=0.5)
    section = adapted(plans, heads_only=True)["configurations"]["3d_fullres"]["nnmtl"]
    assert (section["lr_unet"], section["roi_segmentation_weight"]) == (0.0, 0.0)
    assert section["task_weighting"] == "fixed"


def test_heads_that_the_unets_optimizer_trains_are_not_trained_alone():
    with pytest.raises(NnmtlError, match="expected heads with an optimizer of their own"):
        adapted(model_plans(heads_optimizer="unet"), heads_only=True)


def test_centers_of_the_model_and_those_configured_later_keep_their_grids():
    plans = model_plans(spacing_policy="native")
    plans["configurations"]["3d_fullres_b"] = {**CENTER, "nnmtl": {"center": "B"}}
    found = adapted(plans, {"c": CENTER})["configurations"]
    assert set(found) == {"3d_fullres", "3d_fullres_b", "3d_fullres_c"}
    assert found["3d_fullres_c"] == CENTER
    assert found["3d_fullres"]["nnmtl"]["spacing_policy"] == "native"


def test_a_pooled_model_reads_the_grid_of_a_center_that_came_later():
    plans = model_plans(spacing_policy="pooled")
    for later, policy in (({}, "pooled"), ({"c": CENTER}, "per_center")):
        section = adapted(plans, later)["configurations"]["3d_fullres"]["nnmtl"]
        assert section["spacing_policy"] == policy
