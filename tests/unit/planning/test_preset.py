"""Every shipped preset is complete and says what it is."""

import json
from dataclasses import fields
from importlib import resources

import pytest

from nnmtl.cohort.biomarker import BinaryBiomarker
from nnmtl.cohort.declaration import Declaration
from nnmtl.errors import NnmtlError
from nnmtl.planning.architecture import ArchitecturePlan, RegionPlan
from nnmtl.planning.preset import (
    DEFAULT_PRESET,
    load_preset,
    planned_biomarkers,
    plans_name,
    preset_names,
    single_task_presets,
)
from nnmtl.planning.spacing import POLICIES
from nnmtl.planning.training import TrainingPlan

DERIVED_ARCHITECTURE = {"spacing_mm", "tumor_labels", "covariates", "num_centers"}
DERIVED_TRAINING = {"preset", "roi_size", "loss_weights", "reasons"}
PLANNING_ONLY = {"max_roi_voxels", "head_weight", "continuous_likelihood"}


def names(plan):
    return {field.name for field in fields(plan)}


def test_the_default_is_shipped():
    assert DEFAULT_PRESET in preset_names()


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_loads_and_names_itself(name):
    preset = load_preset(name)
    assert preset.name == name
    assert len(preset.about) > 20


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_decides_all_that_the_dataset_does_not(name):
    preset = load_preset(name)
    architecture, training = set(preset.architecture), set(preset.training)
    derived = names(ArchitecturePlan) - DERIVED_ARCHITECTURE
    assert architecture - PLANNING_ONLY | {"taps"} == derived
    assert training - PLANNING_ONLY == names(TrainingPlan) - DERIVED_TRAINING
    assert (architecture | training) >= PLANNING_ONLY
    assert preset.architecture["continuous_likelihood"] in ("normal", "beta")


@pytest.mark.parametrize("name", preset_names())
def test_the_regions_of_a_preset_have_different_names_and_some_width(name):
    regions = [RegionPlan(**region) for region in load_preset(name).architecture["regions"]]
    assert len({region.name for region in regions}) == len(regions) > 0
    for region in regions:
        if region.inner_mm is not None and region.outer_mm is not None:
            assert region.inner_mm < region.outer_mm


@pytest.mark.parametrize("name", preset_names())
def test_shares_and_factors_of_a_preset_lie_between_0_and_1(name):
    training = load_preset(name).training
    assert 0 <= training["warmup_fraction"] <= training["true_mask_until"] <= 1
    for key in ("encoder_gradient", "label_smoothing", "ema_decay"):
        assert 0 <= training[key] <= 1


def test_an_unknown_preset_is_refused_and_the_known_ones_are_named():
    with pytest.raises(NnmtlError, match=r"spatial_mtl.*'spatial'"):
        load_preset("spatial")


def test_a_preset_with_another_key_is_refused(monkeypatch, tmp_path):
    content = json.loads(resources.files("nnmtl.plans").joinpath("tiny_cpu.json").read_text())
    (tmp_path / "odd.json").write_text(json.dumps({**content, "depth": 3}))
    monkeypatch.setattr(resources, "files", lambda _: tmp_path)
    with pytest.raises(NnmtlError, match=r"odd\.json: .*unknown are \['depth'\]"):
        load_preset("odd")


def test_the_default_preset_gives_the_short_name_of_the_plans():
    assert plans_name(DEFAULT_PRESET) == "nnMTLPlans"
    assert plans_name("tiny_cpu") == "nnMTLPlans_tiny_cpu"


SYSTEMS = {
    "spatial_mtl", "tiny_cpu", "tiny_cpu_short", "hybrid_transformer", "foundation",
    "foundation_frozen", "bottleneck_head",
}  # fmt: skip
ABLATIONS = sorted(set(preset_names()) - SYSTEMS - set(POLICIES))


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_changes_the_architecture_and_nothing_else(name):
    ablation, full = load_preset(name), load_preset("spatial_mtl")
    assert ablation.training == full.training
    assert ablation.unet == full.unet
    assert ablation.architecture != full.architecture


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_can_be_added_to_the_laptops_preset(name):
    added, laptop = load_preset(f"tiny_cpu+{name}"), load_preset("tiny_cpu")
    assert added.training == laptop.training
    changed = {
        key for key, value in added.architecture.items() if laptop.architecture[key] != value
    }
    full = load_preset("spatial_mtl").architecture
    assert changed == {
        key for key, value in load_preset(name).architecture.items() if full.get(key) != value
    }
    assert plans_name(added.name) == f"nnMTLPlans_tiny_cpu+{name}"


@pytest.mark.parametrize("policy", POLICIES)
def test_a_spacing_policy_is_a_preset_that_changes_nothing_else(policy):
    added, laptop = load_preset(f"tiny_cpu+{policy}"), load_preset("tiny_cpu")
    assert added.training == laptop.training | {"spacing_policy": policy}
    assert (added.unet, added.architecture) == (laptop.unet, laptop.architecture)


def test_a_complete_preset_cannot_be_added_to_another():
    with pytest.raises(NnmtlError, match=r"after '\+' .* 'spatial_mtl' is complete"):
        load_preset("tiny_cpu+spatial_mtl")


def test_a_single_task_stands_for_one_preset_per_declared_biomarker():
    biomarkers = [BinaryBiomarker(name="ER"), BinaryBiomarker(name="Ki-67")]
    preset = load_preset("tiny_cpu+single_task")
    names = single_task_presets(preset, biomarkers)
    assert names == ["tiny_cpu+single_task:ER", "tiny_cpu+single_task:Ki-67"]
    for name, biomarker in zip(names, biomarkers, strict=True):
        declaration = Declaration(tumor_labels=(1,), biomarkers=tuple(biomarkers))
        assert planned_biomarkers(load_preset(name), declaration) == (biomarker,)
        assert single_task_presets(load_preset(name), biomarkers) == [name]
    assert plans_name(names[1]) == "nnMTLPlans_tiny_cpu+single_task-Ki-67", "no colon in a file"


def test_a_biomarker_behind_a_preset_of_all_is_refused():
    with pytest.raises(NnmtlError, match=r"such as single_task:ER, got 'tiny_cpu:ER'"):
        load_preset("tiny_cpu:ER")


def test_a_biomarker_that_would_split_the_name_of_a_model_folder_is_refused():
    with pytest.raises(NnmtlError, match="without '__' in its name, got 'E__R'"):
        load_preset("single_task:E__R")
