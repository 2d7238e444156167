"""With a single center the shared grid is nnU-Net's own, whatever the cohort."""

import json
import random

import numpy as np
import pytest
import torch
from nnunetv2.experiment_planning.experiment_planners import default_experiment_planner
from nnunetv2.preprocessing.resampling.default_resampling import compute_new_shape

from nnmtl.cohort.case_geometry import CaseGeometry
from nnmtl.cohort.declaration import Declaration
from nnmtl.cohort.fingerprint import cohort_fingerprint
from nnmtl.cohort.group_geometry import cohort_geometry
from nnmtl.cohort.targets import TargetTable
from nnmtl.nnunet.cohort_plan import plan_cohort
from nnmtl.planning.preset import load_preset

PUBLISHED = ("liver_timdehaan1", "msd_lung_usamakhan843", "nih_fdgpetct")


def drawn_cohort(seed):
    """Spacings and shapes of 1 to 40 cases; every third cohort has few thick slices."""
    draw = random.Random(seed)
    spacing, shape = [draw.uniform(0.3, 8) for _ in range(3)], [draw.randint(16, 512)] * 3
    if seed % 3 == 0:
        spacing, shape = [draw.uniform(3, 8), 0.8, 0.8], [draw.randint(16, 60), 256, 320]
    cases = range(draw.randint(1, 40))
    spacings = [[mm * draw.choice([1, draw.uniform(0.8, 1.3)]) for mm in spacing] for _ in cases]
    shapes = [[max(16, round(n * draw.uniform(0.8, 1.2))) for n in shape] for _ in cases]
    return {"spacings": spacings, "shapes_after_crop": shapes}


def nnunets(fingerprint, num_classes, folder, monkeypatch):
    """What nnU-Net's own planner decides, put back into the order of the image axes."""
    # Trainings on a CPU leave 0 workers behind, which nnU-Net's planner hands to torch.
    monkeypatch.setenv("nnUNet_n_proc_DA", "1")
    num_cases = len(fingerprint["spacings"])
    dataset = {
        "channel_names": {"0": "MR"},
        "labels": {f"label {value}": value for value in range(num_classes)},
        "numTraining": num_cases,
        "file_ending": ".nii.gz",
        "dataset": {"case": {"images": [], "label": ""}},
    }
    (folder / "Dataset001_A").mkdir()
    facts = {**fingerprint, "median_relative_size_after_cropping": 1}
    (folder / "Dataset001_A" / "dataset.json").write_text(json.dumps(dataset))
    (folder / "Dataset001_A" / "dataset_fingerprint.json").write_text(json.dumps(facts))
    for name in ("nnUNet_raw", "nnUNet_preprocessed"):
        monkeypatch.setattr(default_experiment_planner, name, str(folder))
    planner = default_experiment_planner.ExperimentPlanner("Dataset001_A")
    spacing = planner.determine_fullres_target_spacing()
    forward, back = planner.determine_transpose()
    grids = zip(fingerprint["shapes_after_crop"], fingerprint["spacings"], strict=True)
    shape = np.median([compute_new_shape(shape, mm, spacing) for shape, mm in grids], 0)
    with torch.device("meta"):  # a network without memory, for its arithmetic alone
        plan = planner.get_plans_for_configuration(
            spacing[forward], shape[forward], "name", float(np.prod(shape) * num_cases), {}
        )
    return (
        tuple(spacing),
        tuple(int(plan["patch_size"][axis]) for axis in back),
        tuple(
            tuple(stride[axis] for axis in back)
            for stride in plan["architecture"]["arch_kwargs"]["strides"]
        ),
        plan["batch_size"],
    )


def ours(fingerprint, num_classes):
    grids = zip(fingerprint["shapes_after_crop"], fingerprint["spacings"], strict=True)
    geometries = {
        f"case{index:04d}": CaseGeometry(
            shape=tuple(shape),
            spacing_mm=tuple(spacing_mm),
            tumor_extent_mm=None,
            tumor_volume_ml=None,
        )
        for index, (shape, spacing_mm) in enumerate(grids)
    }
    case_ids = tuple(geometries)
    table = TargetTable(case_ids=case_ids, patient_ids=case_ids, centers=("A",) * len(case_ids))
    facts = cohort_fingerprint(table, geometries, Declaration(tumor_labels=(1,)))
    geometry = cohort_geometry(facts, where="facts")
    plan = plan_cohort(geometry, load_preset("spatial_mtl"), num_classes=num_classes)
    (center,) = plan.centers
    assert center.configuration == "3d_fullres"
    topology = plan.topology
    return topology.spacing_mm, topology.patch_size, topology.strides, topology.batch_size


def assert_equal_grids(found, expected):
    assert found[0] == pytest.approx(
        expected[0], rel=1e-12
    )  # quantiles are summed in another order
    assert found[1:] == expected[1:]


@pytest.mark.parametrize("seed", range(10))
def test_any_cohort_of_one_center(seed, tmp_path, monkeypatch):
    fingerprint = drawn_cohort(seed)
    expected = nnunets(fingerprint, 2, tmp_path, monkeypatch)
    assert_equal_grids(ours(fingerprint, 2), expected)


@pytest.mark.real_data
@pytest.mark.parametrize("folder", PUBLISHED)
def test_published_fingerprints(folder, real_data, tmp_path, monkeypatch):
    source = real_data / "nnunet_plans_oracles" / folder
    fingerprint = json.loads((source / "dataset_fingerprint.json").read_text())
    num_classes = len(json.loads((source / "dataset.json").read_text())["labels"])
    expected = nnunets(fingerprint, num_classes, tmp_path, monkeypatch)
    assert_equal_grids(ours(fingerprint, num_classes), expected)


@pytest.mark.parametrize("spacing", [[2.0, 1.0, 1.0], [1.0, 2.0, 1.0]])
def test_of_axes_alike_the_same_one_is_shortened(spacing, tmp_path, monkeypatch):
    fingerprint = {"spacings": [spacing] * 9, "shapes_after_crop": [[200, 200, 200]] * 9}
    expected = nnunets(fingerprint, 2, tmp_path, monkeypatch)
    assert len(set(expected[1])) > 1
    assert_equal_grids(ours(fingerprint, 2), expected)
