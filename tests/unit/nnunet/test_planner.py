"""What our plan adds to nnU-Net's, and the splits that are written beside it."""

import copy
import json
import math
import os

import numpy as np
import pytest

from nnmtl.cohort.biomarker import BinaryBiomarker, CategoricalBiomarker, ContinuousBiomarker
from nnmtl.cohort.declaration import Declaration
from nnmtl.cohort.targets import ClassTarget, TargetTable
from nnmtl.errors import NnmtlError
from nnmtl.nnunet.multitask_plan import NETWORK, add_multitask
from nnmtl.nnunet.planner import _apply_unet_overrides, _at_least_one_worker
from nnmtl.nnunet.safe_loading import check_plans
from nnmtl.nnunet.split_files import write_center_splits, write_splits
from nnmtl.planning.architecture import parse_architecture
from nnmtl.planning.preset import load_preset, preset_names
from nnmtl.planning.rules import ROI_MARGIN_MM
from nnmtl.planning.training import parse_training

PLAIN_UNET = "dynamic_network_architectures.architectures.unet.PlainConvUNet"
DECLARATION = Declaration(
    tumor_labels=(1, 2),
    biomarkers=(
        BinaryBiomarker(name="ER"),
        CategoricalBiomarker(name="HER2_3", categories=("zero", "low", "positive"), ordered=True),
        ContinuousBiomarker(name="Ki67", unit="%", range=(0, 100)),
        ContinuousBiomarker(name="size", unit="mm", range=(0, 200)),
    ),
    covariates=("age",),
)
PRESETS = [f"{name}:ER" if name == "single_task" else name for name in preset_names()]
FACTS = {"overall": {"num_cases": 500}, "centers": {"A": {"num_patients": 500}}}
CONFIGURATION = {
    "spacing": [2.0, 1.0, 1.0],
    "patch_size": [64, 128, 128],
    "batch_size": 2,
    "architecture": {
        "network_class_name": PLAIN_UNET,
        "arch_kwargs": {
            "n_stages": 6,
            "features_per_stage": [32, 64, 128, 256, 320, 320],
            "kernel_sizes": [[3, 3, 3]] * 6,
            "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2]],
            "n_conv_per_stage": [2] * 6,
            "n_conv_per_stage_decoder": [2] * 5,
        },
    },
}


def planned(preset="spatial_mtl", declaration=DECLARATION, extent_mm=(30.0, 40.0, 35.0)):
    configuration = copy.deepcopy(CONFIGURATION)
    loaded = load_preset(preset)
    _apply_unet_overrides(configuration, loaded.unet)
    add_multitask(configuration, loaded, declaration, FACTS, list(extent_mm))
    return configuration


@pytest.mark.parametrize("preset", PRESETS)
def test_what_is_planned_can_be_read_back_from_the_file(preset):
    configuration = json.loads(json.dumps(planned(preset)))
    architecture = parse_architecture(configuration["architecture"]["arch_kwargs"]["multitask"])
    training = parse_training(configuration["nnmtl"])
    check_plans({"configurations": {"3d_fullres": configuration}}, "plans.json")
    assert configuration["architecture"]["network_class_name"] == NETWORK
    assert configuration["architecture"]["arch_kwargs"]["unet_class_name"] == PLAIN_UNET
    assert architecture.tumor_labels == (1, 2)
    assert architecture.covariates == ("age",)
    assert training.preset == preset
    assert set(training.loss_weights) == {head.name for head in architecture.heads}


@pytest.mark.parametrize("preset", PRESETS)
def test_the_taps_exist_and_the_region_of_interest_fits_the_strides(preset):
    configuration = planned(preset)
    kwargs = configuration["architecture"]["arch_kwargs"]
    assert max(kwargs["multitask"]["taps"]) < kwargs["n_stages"]
    divisor = np.prod(kwargs["strides"], axis=0)
    assert not np.any(np.array(configuration["nnmtl"]["roi_size"]) % divisor)
    assert not np.any(np.array(configuration["patch_size"]) % divisor)


def test_the_region_of_interest_covers_the_tumor_with_its_widest_shell():
    size = planned()["nnmtl"]["roi_size"]
    needed = np.array([30, 40, 35]) + 2 * (10 + ROI_MARGIN_MM)
    assert (np.array(size) * CONFIGURATION["spacing"] >= needed).all()


def test_a_region_of_interest_over_its_budget_is_reduced_and_the_reason_says_so():
    training = planned(extent_mm=(150.0, 150.0, 150.0))["nnmtl"]
    assert math.prod(training["roi_size"]) <= 500_000
    assert "reduced to" in training["reasons"]["roi_size"]


def test_every_kind_of_biomarker_gets_its_head():
    heads = planned()["architecture"]["arch_kwargs"]["multitask"]["heads"]
    assert [tuple(head.values()) for head in heads] == [
        ("ER", "binary", 1, None),
        ("HER2_3", "ordinal", 2, None),
        ("Ki67", "continuous", 1, [0, 100]),
        ("size", "continuous", 1, None),
    ]


def test_a_percentage_may_get_a_beta_head_and_other_numbers_do_not():
    changed = planned("beta_likelihood")
    heads = changed["architecture"]["arch_kwargs"]["multitask"]["heads"]
    assert [tuple(head.values()) for head in heads[2:]] == [
        ("Ki67", "beta", 2, [0, 100]),
        ("size", "continuous", 1, None),
    ]


def test_categories_without_an_order_get_an_output_each():
    biomarker = CategoricalBiomarker(name="histology", categories=("a", "b", "c"))
    declaration = Declaration(tumor_labels=(1,), biomarkers=(biomarker,))
    (head,) = planned(declaration=declaration)["architecture"]["arch_kwargs"]["multitask"]["heads"]
    assert (head["kind"], head["num_outputs"]) == ("categorical", 3)


def test_the_usual_hack_reads_the_deepest_stage_of_any_network():
    for preset, stages in (("bottleneck_head", 6), ("tiny_cpu+bottleneck_head", 4)):
        multitask = planned(preset)["architecture"]["arch_kwargs"]["multitask"]
        assert multitask["taps"] == [stages - 1]


def test_a_single_task_has_the_head_of_its_biomarker_alone():
    full, single = planned(), planned("single_task:HER2_3")
    heads, (head,) = (
        each["architecture"]["arch_kwargs"]["multitask"]["heads"] for each in (full, single)
    )
    assert head == heads[1]
    assert single["nnmtl"]["loss_weights"] == {"HER2_3": 1.0}
    assert single["nnmtl"]["roi_size"] == full["nnmtl"]["roi_size"]


@pytest.mark.parametrize("name", ["single_task", "single_task:PR"])
def test_a_single_task_that_is_not_declared_is_refused_and_those_declared_are_named(name):
    with pytest.raises(NnmtlError, match=rf"--preset {name}: .*ER, HER2_3, Ki67, size"):
        planned(name)


@pytest.mark.parametrize("name", ["type", "values", "training"])
def test_a_name_that_no_module_can_carry_is_refused_before_training(name):
    declaration = Declaration(tumor_labels=(1,), biomarkers=(BinaryBiomarker(name=name),))
    with pytest.raises(NnmtlError, match=f"'{name}' has a name that torch keeps.*rename it"):
        planned(declaration=declaration)


def test_without_biomarkers_nnunets_network_stays():
    configuration = planned(declaration=Declaration(tumor_labels=(1,)))
    assert configuration["architecture"]["network_class_name"] == PLAIN_UNET
    assert "multitask" not in configuration["architecture"]["arch_kwargs"]


def test_the_reason_for_the_epochs_tells_how_often_a_case_is_seen():
    training = planned()["nnmtl"]
    seen = training["epochs"] * training["iterations_per_epoch"] * training["roi_batch_size"] / 400
    assert f"about {seen:.0f} views of each of the 400" in training["reasons"]["epochs"]


def test_a_preset_narrows_the_unet_consistently():
    configuration = copy.deepcopy(CONFIGURATION)
    _apply_unet_overrides(
        configuration,
        {"max_stages": 4, "convs_encoder": 1, "convs_decoder": 1, "max_patch_voxels": 80000},
    )
    kwargs = configuration["architecture"]["arch_kwargs"]
    assert kwargs["n_stages"] == len(kwargs["strides"]) == len(kwargs["features_per_stage"]) == 4
    assert kwargs["n_conv_per_stage"] == [1] * 4
    assert kwargs["n_conv_per_stage_decoder"] == [1] * 3
    assert math.prod(configuration["patch_size"]) <= 80000
    assert configuration["batch_size"] == 2


def test_a_residual_plan_is_narrowed_by_its_blocks_and_gets_kernels_of_pretrained_encoders():
    configuration = copy.deepcopy(CONFIGURATION)
    kwargs = configuration["architecture"]["arch_kwargs"]
    kwargs["n_blocks_per_stage"] = kwargs.pop("n_conv_per_stage")
    kwargs["kernel_sizes"] = [[1, 3, 3], *[[3, 3, 3]] * 5]
    _apply_unet_overrides(configuration, {"max_stages": 4, "isotropic_kernels": True})
    assert kwargs["n_blocks_per_stage"] == [2] * 4
    assert kwargs["kernel_sizes"] == [[3, 3, 3]] * 4


def test_a_preset_without_overrides_leaves_nnunets_plan():
    configuration = copy.deepcopy(CONFIGURATION)
    _apply_unet_overrides(configuration, {})
    assert configuration == CONFIGURATION


@pytest.mark.parametrize("workers", [None, "0", "3"])
def test_the_number_of_workers_is_put_back(workers, monkeypatch):
    monkeypatch.delenv("nnUNet_n_proc_DA", raising=False)
    if workers is not None:
        monkeypatch.setenv("nnUNet_n_proc_DA", workers)
    before = variable()
    with _at_least_one_worker():
        assert int(variable()) == max(1, int(workers or 1))
    assert variable() == before


def variable():
    return os.environ.get("nnUNet_n_proc_DA")


@pytest.fixture
def table():
    """Sixty cases of thirty patients."""
    generator = np.random.default_rng(0)
    count = 60
    classes = np.eye(2, dtype=bool)[generator.integers(0, 2, count)]
    return TargetTable(
        case_ids=tuple(f"case_{number:03d}" for number in range(count)),
        patient_ids=tuple(f"p{number // 2:02d}" for number in range(count)),
        centers=tuple("AB"[number // 2 % 2] for number in range(count)),
        targets={"ER": ClassTarget(possible=classes, observed=np.ones(count, dtype=bool))},
    )


def test_splits_hold_every_case_once_and_keep_patients_together(table, tmp_path):
    write_splits(table, tmp_path)
    folds = json.loads((tmp_path / "splits_final.json").read_text())
    patient_of = dict(zip(table.case_ids, table.patient_ids, strict=True))
    assert len(folds) == 5
    assert sorted(case for fold in folds for case in fold["val"]) == list(table.case_ids)
    for fold in folds:
        assert sorted([*fold["train"], *fold["val"]]) == list(table.case_ids)
        train, validation = ({patient_of[case] for case in fold[part]} for part in ("train", "val"))
        assert not train & validation


def test_splits_that_are_there_are_kept(table, tmp_path):
    own = [{"train": ["case_002", "case_003"], "val": ["case_000", "case_001"]}]
    (tmp_path / "splits_final.json").write_text(json.dumps(own))
    write_splits(table, tmp_path)
    assert json.loads((tmp_path / "splits_final.json").read_text()) == own


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        ({"train": ["case_000"], "val": ["case_001"]}, r"patients \['p00'\] both"),
        ({"train": ["case_000"], "val": ["case_999"]}, r"unknown cases \['case_999'\]"),
    ],
)
def test_splits_that_share_a_patient_or_name_an_unknown_case_are_refused(
    table, tmp_path, fold, message
):
    (tmp_path / "splits_final.json").write_text(json.dumps([fold]))
    with pytest.raises(NnmtlError, match=message):
        write_splits(table, tmp_path)


def test_each_of_several_centers_is_held_out_by_a_split_of_its_own(tmp_path):
    table = TargetTable(
        case_ids=("c1", "c2", "c3"), patient_ids=("p1", "p2", "p3"), centers=("A", "B", "A")
    )
    write_center_splits(table, tmp_path)
    assert json.loads((tmp_path / "splits_leave_one_center_out.json").read_text()) == [
        {"center": "A", "train": ["c2"], "val": ["c1", "c3"]},
        {"center": "B", "train": ["c1", "c3"], "val": ["c2"]},
    ]


def test_one_center_has_no_split_that_leaves_it_out(tmp_path):
    table = TargetTable(case_ids=("c1",), patient_ids=("p1",), centers=("A",))
    write_center_splits(table, tmp_path)
    assert not list(tmp_path.iterdir())
