"""The plan of a cohort, the shared grid and each center's, from its geometry and a preset."""

from collections.abc import Sequence
from typing import Any

from nnmtl.cohort.group_geometry import CohortGeometry
from nnmtl.errors import NnmtlError
from nnmtl.nnunet.topology import UnetBudget, plan_topology, planned_topology
from nnmtl.planning.budget import DEFAULT_GB, Budget, within_budget
from nnmtl.planning.center_configuration import center_configurations, joining_reasons
from nnmtl.planning.center_names import REFERENCE, refuse_equal_slugs
from nnmtl.planning.center_plan import CohortPlan, RoiNeed
from nnmtl.planning.centers import plan_centers
from nnmtl.planning.preset import Preset
from nnmtl.planning.rules import VIEW_MM
from nnmtl.planning.spacing import BAND, BANDS, reference_spacing, reference_view_mm

NO_BUDGET = Budget()
_BALANCED = (
    "per axis the median over centers, each counting by the square root of its number of cases, so "
    "that no large center sets the grid for all"
)


def plan_cohort(
    geometry: CohortGeometry,
    preset: Preset,
    *,
    num_classes: int = 2,
    budget: Budget = NO_BUDGET,
) -> CohortPlan:
    """The shared configuration and each center's, without a dataset.

    With the policy `pooled`, which has none, it is what `per_center` would give.

    Args:
        geometry: of the cohort.
        preset: what is not derived from the dataset.
        num_classes: labels of the segmentation, background among them.
        budget: the machine.

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
    if preset.unet.get("residual"):
        raise NnmtlError(
            f"--preset {preset.name}: expected a preset with a plain U-Net, whose memory is known "
            "without building it, but this one is residual; explain another preset."
        )
    preset = within_budget(preset, budget).preset
    topology = plan_topology(
        reference_spacing(geometry.centers),
        reference_view_mm(geometry.centers),
        unet_budget(preset, geometry, num_classes=num_classes, memory_gb=budget.memory_gb),
    )
    need = _roi_need(preset, geometry)
    return plan_centers(geometry.centers, topology, roi_need=need, band=_band(preset))


def has_center_grids(geometry: CohortGeometry, preset: Preset) -> bool:
    """Whether the policy asks for more than nnU-Net's own plan, and there are centers to differ."""
    is_3d = min(geometry.overall.shape) >= 2
    return preset.training["spacing_policy"] in BANDS and len(geometry.centers) > 1 and is_3d


def balanced_fingerprint(geometry: CohortGeometry) -> dict[str, list[list[Any]]]:
    """What nnU-Net plans the shared grid from: one image in the middle of the centers.

    Raises:
        NnmtlError: if two centers share a slug.
    """
    refuse_equal_slugs(center.name for center in geometry.centers)
    spacing, view = reference_spacing(geometry.centers), reference_view_mm(geometry.centers)
    shape = [max(1, round(size / mm)) for size, mm in zip(view, spacing, strict=True)]
    return {"spacings": [list(spacing)], "shapes_after_crop": [shape]}


def add_centers(
    plans: dict[str, Any],
    geometry: CohortGeometry,
    preset: Preset,
    *,
    num_classes: int,
    memory_gb: float | None = None,
) -> CohortPlan:
    """Adds each center's configuration to plans whose shared one is complete.

    Args:
        plans: nnU-Net's, changed in place.
        geometry: of the cohort.
        preset: what is not derived from the dataset, narrowed to the machine.
        num_classes: labels of the segmentation, background among them.
        memory_gb: that the shared configuration was planned for; None for nnU-Net's own.
    """
    shared, back = plans["configurations"][REFERENCE], plans["transpose_backward"]
    budget = unet_budget(preset, geometry, num_classes=num_classes, memory_gb=memory_gb)
    is_residual = bool(preset.unet.get("residual"))
    plan = plan_centers(
        geometry.centers,
        planned_topology(shared, back, budget, has_known_memory=not is_residual),
        roi_need=_roi_need(preset, geometry),
        band=_band(preset),
        roi_size=in_array_order(shared["nnmtl"]["roi_size"], back),
    )
    shared["nnmtl"]["reasons"] |= {"spacing": _BALANCED, **joining_reasons(plan)}
    plans["configurations"].update(center_configurations(plan, plans["transpose_forward"]))
    return plan


def in_array_order(values: Sequence[Any], transpose_backward: Sequence[int]) -> tuple[Any, ...]:
    """Values per axis of the plans → per axis of the images' arrays."""
    return tuple(values[axis] for axis in transpose_backward)


def unet_budget(
    preset: Preset, geometry: CohortGeometry, *, num_classes: int, memory_gb: float | None = None
) -> UnetBudget:
    """The U-Net that a preset asks for, in so much memory; None for nnU-Net's own."""
    keys = ("base_features", "max_features", "max_stages", "max_patch_voxels", "batch_size")
    asked = {key: preset.unet[key] for key in keys if key in preset.unet}
    return UnetBudget(
        num_classes=num_classes,
        num_cases=geometry.overall.num_cases,
        memory_gb=memory_gb or DEFAULT_GB,
        **asked,
    )


def _band(preset: Preset) -> float:
    return BANDS.get(preset.training["spacing_policy"], BAND)


def _roi_need(preset: Preset, geometry: CohortGeometry) -> RoiNeed | None:
    if geometry.overall.tumor_extent_mm is None:
        return None
    outer = [region["outer_mm"] or 0.0 for region in preset.architecture["regions"]]
    return RoiNeed(
        extent_mm=geometry.overall.tumor_extent_mm,
        margin_mm=max(VIEW_MM, *outer),
        max_voxels=preset.training["max_roi_voxels"],
    )
