"""Explains what a plan per center is, from a planned dataset or from a table of geometry alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnmtl.cohort.geometry_table import geometry_fingerprint
from nnmtl.cohort.group_geometry import CohortGeometry, cohort_geometry
from nnmtl.errors import NnmtlError
from nnmtl.nnunet.cohort_files import FINGERPRINT, read_json
from nnmtl.nnunet.folders import preprocessed_folder
from nnmtl.nnunet.topology import UnetBudget, plan_topology
from nnmtl.planning.center_plan import CohortPlan, RoiNeed
from nnmtl.planning.centers import plan_centers
from nnmtl.planning.explanation import PooledPlan, explain
from nnmtl.planning.preset import Preset, load_preset, plans_name
from nnmtl.planning.rules import VIEW_MM
from nnmtl.planning.spacing import reference_spacing, reference_view_mm, spacing_alone


def explain_dataset(name: str, *, preset_name: str) -> str:
    """The plan per center of a dataset that has been planned, beside the plan that it has.

    Raises:
        NnmtlError: if fingerprint or plans are not there, or the plans have no 3D configuration.
    """
    folder = preprocessed_folder(name)
    preset = load_preset(preset_name)
    for path in (folder / FINGERPRINT, folder / f"{plans_name(preset_name)}.json"):
        if not path.is_file():
            raise NnmtlError(
                f"--explain: expected {path}, but it does not exist. Run nnMTL_plan_and_preprocess "
                f"-d {name} --preset {preset_name} first."
            )
    geometry = cohort_geometry(read_json(folder / FINGERPRINT), where=str(folder / FINGERPRINT))
    path = folder / f"{plans_name(preset_name)}.json"
    pooled = _written_plan(read_json(path), path)
    num_classes = len(read_json(folder / "dataset.json")["labels"])
    plan = plan_cohort(geometry, preset, num_classes=num_classes)
    return (
        explain(plan, geometry, pooled)
        + f"\n{path} has one grid for all centers, above called nnU-Net's pooled one. Training "
        "uses that; what differs per center is shown, not yet used.\n"
    )


def explain_table(path: Path, *, preset_name: str) -> str:
    """The plan per center of a geometry table, beside nnU-Net's pooled plan of the same cases.

    Raises:
        NnmtlError: for a table that cannot be read, or images of one slice.
    """
    geometry = cohort_geometry(geometry_fingerprint(path), where=str(path))
    preset = load_preset(preset_name)
    plan = plan_cohort(geometry, preset)
    spacing = spacing_alone(geometry.overall)
    budget = _budget(preset, geometry, num_classes=2)
    pooled = plan_topology(spacing, geometry.overall.field_of_view_mm, budget)
    return explain(plan, geometry, PooledPlan(spacing_mm=spacing, patch_size=pooled.patch_size))


def plan_cohort(geometry: CohortGeometry, preset: Preset, *, num_classes: int = 2) -> CohortPlan:
    """The shared configuration and each center's.

    Args:
        geometry: of the cohort.
        preset: what is not derived from the dataset.
        num_classes: labels of the segmentation, background among them.

    Raises:
        NnmtlError: if there are no 3D images, two centers share a slug, or the preset's U-Net is
            a residual one.
    """
    if not geometry.centers or min(geometry.overall.shape) < 2:
        raise NnmtlError(
            "plan per center: expected 3D images in at least one center, got "
            f"{len(geometry.centers)} centers with images of {list(geometry.overall.shape)} "
            "voxels; 2D images have one grid for all centers."
        )
    topology = plan_topology(
        reference_spacing(geometry.centers),
        reference_view_mm(geometry.centers),
        _budget(preset, geometry, num_classes=num_classes),
    )
    return plan_centers(geometry.centers, topology, roi_need=_roi_need(preset, geometry))


def _budget(preset: Preset, geometry: CohortGeometry, *, num_classes: int) -> UnetBudget:
    if preset.unet.get("residual"):
        raise NnmtlError(
            f"--preset {preset.name}: expected a preset with a plain U-Net, whose memory is known "
            "without building it, but this one is residual; explain another preset."
        )
    keys = ("base_features", "max_features", "max_stages", "max_patch_voxels", "batch_size")
    asked = {key: preset.unet[key] for key in keys if key in preset.unet}
    return UnetBudget(num_classes=num_classes, num_cases=geometry.overall.num_cases, **asked)


def _roi_need(preset: Preset, geometry: CohortGeometry) -> RoiNeed | None:
    if geometry.overall.tumor_extent_mm is None:
        return None
    outer = [region["outer_mm"] or 0.0 for region in preset.architecture["regions"]]
    return RoiNeed(
        extent_mm=geometry.overall.tumor_extent_mm,
        margin_mm=max(VIEW_MM, *outer),
        max_voxels=preset.training["max_roi_voxels"],
    )


def _written_plan(plans: Mapping[str, Any], path: Path) -> PooledPlan:
    """The 3D grid of a plans file, its axes put back as in the images."""
    if "3d_fullres" not in plans["configurations"]:
        raise NnmtlError(
            f"{path}: expected the configuration 3d_fullres, got "
            f"{sorted(plans['configurations'])}; 2D images have one grid for all centers."
        )
    configuration = plans["configurations"]["3d_fullres"]
    back = plans["transpose_backward"]
    return PooledPlan(
        spacing_mm=tuple(configuration["spacing"][axis] for axis in back),
        patch_size=tuple(configuration["patch_size"][axis] for axis in back),
    )
