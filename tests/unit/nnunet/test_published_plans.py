"""From published fingerprints our plan is nnU-Net's own, and two are the published ones."""

import json
import shutil

import numpy as np
import pytest
import SimpleITK
import torch
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import (
    ExperimentPlanner,
)

from nnmtl.cohort.case_geometry import CaseGeometry
from nnmtl.cohort.declaration import Declaration, declaration_to_json
from nnmtl.cohort.fingerprint import cohort_fingerprint
from nnmtl.cohort.targets import TargetTable, write_targets
from nnmtl.nnunet.cohort_files import FINGERPRINT, TARGETS, write_json
from nnmtl.nnunet.planner import plan_experiment

pytestmark = pytest.mark.real_data

NAME = "Dataset001_A"
DECLARATION = Declaration(tumor_labels=(1,))
# What plans call themselves, their planner, their dataset and the folder of their arrays.
NAMES = {"dataset_name", "plans_name", "experiment_planner_used", "data_identifier"}
OURS = {"nnmtl"}


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """nnUNet_raw and nnUNet_preprocessed of the dataset, with a small image to choose a reader."""
    # Trainings on a CPU leave 0 workers behind, which nnU-Net's planner hands to torch.
    monkeypatch.setenv("nnUNet_n_proc_DA", "1")
    folders = []
    for variable in ("nnUNet_raw", "nnUNet_preprocessed"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
        folders.append(tmp_path / variable / NAME)
        folders[-1].mkdir(parents=True)
    image = SimpleITK.GetImageFromArray(np.zeros((4, 4, 4), np.float32))
    SimpleITK.WriteImage(image, str(folders[0] / "image.nii.gz"))
    return folders


def write_dataset(source, folders):
    """The published facts, with every case a patient of one center and no biomarkers."""
    raw, preprocessed = folders
    dataset = json.loads((source / "dataset.json").read_text())
    files = {"images": ["image.nii.gz"], "label": "image.nii.gz"}
    declared = {"nnmtl": declaration_to_json(DECLARATION), "dataset": {"case": files}}
    write_json(dataset | declared, raw / "dataset.json")
    shutil.copy(source / "dataset_fingerprint.json", preprocessed)
    published = json.loads((source / "dataset_fingerprint.json").read_text())
    grids = zip(published["shapes_after_crop"], published["spacings"], strict=True)
    geometries = {
        f"case{index:04d}": CaseGeometry(
            shape=tuple(shape),
            spacing_mm=tuple(spacing_mm),
            tumor_extent_mm=(30.0, 30.0, 30.0),  # not published; nnU-Net's plan has no use for it
            tumor_volume_ml=None,
        )
        for index, (shape, spacing_mm) in enumerate(grids)
    }
    ids = tuple(geometries)
    table = TargetTable(case_ids=ids, patient_ids=ids, centers=("A",) * len(ids))
    for folder in folders:
        write_targets(table, folder / TARGETS)
    write_json(cohort_fingerprint(table, geometries, DECLARATION), preprocessed / FINGERPRINT)


def plans_of(source, folders, preset):
    """nnU-Net's plans and ours, as they are in their files."""
    write_dataset(source, folders)
    with torch.device("meta"):  # networks without memory, for their arithmetic alone
        ExperimentPlanner(NAME).plan_experiment()
        name = plan_experiment(NAME, preset_name=preset)
    return [json.loads((folders[1] / f"{plan}.json").read_text()) for plan in ("nnUNetPlans", name)]


def without(plans, keys):
    """Plans without these keys, on every level."""
    if isinstance(plans, dict):
        return {key: without(value, keys) for key, value in plans.items() if key not in keys}
    return plans


@pytest.mark.parametrize(
    ("folder", "preset"),
    [
        ("msd_lung_usamakhan843", "spatial_mtl"),
        ("liver_timdehaan1", "spatial_mtl"),
        ("liver_timdehaan1", "spatial_mtl+per_center"),
        ("nih_fdgpetct", "spatial_mtl"),
    ],
)
def test_every_value_is_nnunets(folder, preset, real_data, folders):
    stock, ours = plans_of(real_data / "nnunet_plans_oracles" / folder, folders, preset)
    assert "nnmtl" in ours["configurations"]["3d_fullres"]
    assert without(ours, NAMES | OURS) == without(stock, NAMES)


@pytest.mark.parametrize(
    ("folder", "name"),
    [("msd_lung_usamakhan843", "nnUNetPlans.json"), ("liver_timdehaan1", "plans.json")],
)
def test_every_value_is_the_published_one(folder, name, real_data, folders):
    source = real_data / "nnunet_plans_oracles" / folder
    published = json.loads((source / name).read_text())
    ours = plans_of(source, folders, "spatial_mtl")[1]
    assert without(ours, NAMES | OURS) == without(published, NAMES)
