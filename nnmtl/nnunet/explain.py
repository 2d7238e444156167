"""Explains what a plan per center is, from a planned dataset or from a table of geometry alone."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nnmtl.cohort.geometry_table import geometry_fingerprint
from nnmtl.cohort.group_geometry import CohortGeometry, cohort_geometry
from nnmtl.errors import NnmtlError
from nnmtl.nnunet.cohort_files import FINGERPRINT, read_json
from nnmtl.nnunet.cohort_plan import has_center_grids, in_array_order, plan_cohort, unet_budget
from nnmtl.nnunet.folders import preprocessed_folder
from nnmtl.nnunet.topology import plan_topology
from nnmtl.planning.budget import Budget, within_budget
from nnmtl.planning.center_plan import CohortPlan
from nnmtl.planning.center_reasons import by_voxels
from nnmtl.planning.explanation import PooledPlan, explain, explain_budget
from nnmtl.planning.preset import Preset, load_preset, plans_name
from nnmtl.planning.spacing import spacing_alone

NO_BUDGET = Budget()


def explain_dataset(name: str, *, preset_name: str, budget: Budget = NO_BUDGET) -> str:
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
    num_classes = len(read_json(folder / "dataset.json")["labels"])
    written = _written_plan(read_json(path), path)
    told, has_own = preset, has_center_grids(geometry, preset)
    if not has_own:  # then what each center would have is of interest
        told = replace(preset, training=preset.training | {"spacing_policy": "per_center"})
    plan = plan_cohort(geometry, told, num_classes=num_classes, budget=budget)
    limits = _explain_budget(plan, geometry, preset, budget, num_classes=num_classes)
    if has_own:
        pooled = _pooled_plan(geometry, preset, budget, num_classes=num_classes)
        return explain(plan, geometry, pooled) + limits + _told_written(plan, written, path)
    return (
        explain(plan, geometry, written)
        + limits
        + f"\n{path} has one grid for all centers, above called nnU-Net's pooled one. Training "
        "uses that; plan with --spacing_policy per_center for what differs per center.\n"
    )


def explain_table(path: Path, *, preset_name: str, budget: Budget = NO_BUDGET) -> str:
    """The plan per center of a geometry table, beside nnU-Net's pooled plan of the same cases.

    Raises:
        NnmtlError: for a table that cannot be read, or images of one slice.
    """
    geometry = cohort_geometry(geometry_fingerprint(path), where=str(path))
    preset = load_preset(preset_name)
    plan = plan_cohort(geometry, preset, budget=budget)
    pooled = _pooled_plan(geometry, preset, budget, num_classes=2)
    limits = _explain_budget(plan, geometry, preset, budget, num_classes=2)
    return explain(plan, geometry, pooled) + limits


def _pooled_plan(
    geometry: CohortGeometry, preset: Preset, budget: Budget, *, num_classes: int
) -> PooledPlan:
    spacing = spacing_alone(geometry.overall)
    unet = unet_budget(
        within_budget(preset, budget).preset,
        geometry,
        num_classes=num_classes,
        memory_gb=budget.memory_gb,
    )
    pooled = plan_topology(spacing, geometry.overall.field_of_view_mm, unet)
    return PooledPlan(spacing_mm=spacing, patch_size=pooled.patch_size)


def _told_written(plan: CohortPlan, written: PooledPlan, path: Path) -> str:
    """Whether the plans file has what is explained: it may have been planned otherwise."""
    if written.patch_size == plan.topology.patch_size:
        return f"\n{path} has these configurations.\n"
    return (
        f"\n{path} has others, with a shared patch of {by_voxels(written.patch_size)} voxels; "
        "plan with these options for the above.\n"
    )


def _explain_budget(
    plan: CohortPlan,
    geometry: CohortGeometry,
    preset: Preset,
    budget: Budget,
    *,
    num_classes: int,
) -> str:
    """What the machine changed, and what the plan would be on nnU-Net's usual one."""
    decisions = within_budget(preset, budget).decisions
    if not decisions:
        return ""
    usual = plan_cohort(geometry, preset, num_classes=num_classes)
    return "\n" + explain_budget(decisions, plan, usual)


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
        spacing_mm=in_array_order(configuration["spacing"], back),
        patch_size=in_array_order(configuration["patch_size"], back),
    )
