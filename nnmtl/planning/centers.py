"""A configuration for each center, around the one that all share."""

from collections.abc import Sequence
from dataclasses import replace

from nnmtl.cohort.group_geometry import Axes, GroupGeometry
from nnmtl.cohort.targets import UNKNOWN_CENTER
from nnmtl.planning.center_names import REFERENCE, configuration_name, refuse_equal_slugs
from nnmtl.planning.center_plan import CenterPlan, CohortPlan, RoiNeed, Window
from nnmtl.planning.center_reasons import (
    joining_decision,
    patch_decision,
    roi_decision,
    spacing_decision,
)
from nnmtl.planning.rules import roi_size_voxels, shrink_patch
from nnmtl.planning.spacing import BAND, clamped_spacing, spacing_alone
from nnmtl.planning.topology import Topology
from nnmtl.planning.view import (
    batch_size_within,
    covering_view,
    equal_view,
    size_mm,
    within_images,
)

MIN_CASES = 5  # the median of fewer is the chance of single examinations


def plan_centers(
    centers: Sequence[GroupGeometry],
    topology: Topology,
    *,
    roi_need: RoiNeed | None,
    band: float = BAND,
    roi_size: Sequence[int] | None = None,
) -> CohortPlan:
    """Plans every center; neither the order of centers nor that of cases matters.

    Args:
        centers: at least one.
        topology: of the shared grid.
        roi_need: None where no tumor was measured.
        band: how many times finer or coarser than the shared grid; 1 puts all on one grid.
        roi_size: of the shared region of interest where it is planned already.

    Raises:
        NnmtlError: if the names of two centers give one slug.
    """
    refuse_equal_slugs(center.name for center in centers)
    roi = None if roi_need is None else _reference_roi(topology, roi_need, roi_size)
    return CohortPlan(
        topology=topology,
        roi=roi,
        roi_need=roi_need,
        band=band,
        centers=tuple(
            plan_center(center, topology, roi=roi, roi_need=roi_need, band=band)
            for center in sorted(centers, key=lambda each: each.name)
        ),
    )


def _reference_roi(topology: Topology, need: RoiNeed, planned: Sequence[int] | None) -> Window:
    wanted = roi_size_voxels(
        need.extent_mm,
        spacing_mm=topology.spacing_mm,
        peritumoral_mm=need.margin_mm,
        divisor=topology.divisor,
        largest=[10**4] * len(topology.divisor),
    )
    roi = _within_memory(wanted, topology.spacing_mm, topology.divisor, need.max_voxels)
    if planned is None:
        return roi
    size = tuple(planned)
    return replace(roi, size=size, size_mm=size_mm(size, topology.spacing_mm))


def plan_center(
    center: GroupGeometry,
    topology: Topology,
    *,
    roi: Window | None,
    roi_need: RoiNeed | None,
    band: float = BAND,
) -> CenterPlan:
    """Plans one center around a grid that stands.

    Args:
        center: one of the cohort's, or a new one.
        topology: of the shared grid.
        roi: of the shared grid; None where no tumor was measured.
        roi_need: what it is to hold; None where no tumor was measured.
        band: how many times finer or coarser than the shared grid; 1 puts all on one grid.
    """
    alone = spacing_alone(center)
    spacing = clamped_spacing(alone, topology.spacing_mm, factor=band)
    is_known = center.num_cases >= MIN_CASES and center.name != UNKNOWN_CENTER
    if spacing == topology.spacing_mm or not is_known:
        return _joined(center, topology, roi, would_be=spacing)
    patch, full_patch = _patch(center, topology, spacing)
    decisions = [
        spacing_decision(alone, topology.spacing_mm, spacing, band=band),
        patch_decision(patch, topology, full_size=full_patch),
    ]
    own_roi = None
    if roi is not None and roi_need is not None:
        own_roi, full_roi = _roi(roi, topology, spacing, roi_need)
        decisions.append(
            roi_decision(own_roi, center, roi_need, full_size=full_roi, shared_size=roi.size)
        )
    return CenterPlan(
        geometry=center,
        configuration=configuration_name(center.name),
        spacing_mm=spacing,
        patch=patch,
        roi=own_roi,
        batch_size=batch_size_within(topology.batch_size, of=topology.patch_size, patch=patch.size),
        decisions=tuple(decisions),
    )


def _joined(
    center: GroupGeometry, topology: Topology, roi: Window | None, *, would_be: Axes
) -> CenterPlan:
    """A center without a configuration of its own."""
    return CenterPlan(
        geometry=center,
        configuration=REFERENCE,
        spacing_mm=topology.spacing_mm,
        patch=Window(
            size=topology.patch_size, size_mm=size_mm(topology.patch_size, topology.spacing_mm)
        ),
        roi=roi,
        batch_size=topology.batch_size,
        decisions=(
            joining_decision(center, topology.spacing_mm, would_be=would_be, min_cases=MIN_CASES),
        ),
    )


def _patch(
    center: GroupGeometry, topology: Topology, spacing: Axes
) -> tuple[Window, tuple[int, ...]]:
    """The patch, and what it would be for the field of view alone.

    Strides come first, since the network cannot run without; then memory; then the field of view.
    """
    wanted = equal_view(
        topology.patch_size, of_mm=topology.spacing_mm, at_mm=spacing, divisor=topology.divisor
    )
    inside = within_images(
        wanted,
        view_mm=center.field_of_view_mm,
        spacing_mm=spacing,
        divisor=topology.divisor,
        reference=topology.patch_size,
    )
    patch = _within_memory(inside, spacing, topology.divisor, topology.max_patch_voxels)
    if inside != wanted:
        patch = replace(patch, limited_by=("images", *patch.limited_by))
    return patch, wanted


def _roi(
    roi: Window, topology: Topology, spacing: Axes, need: RoiNeed
) -> tuple[Window, tuple[int, ...]]:
    """The region of interest, and what it would be for the field of view alone."""
    wanted = covering_view(
        roi.size, of_mm=topology.spacing_mm, at_mm=spacing, divisor=topology.divisor
    )
    return _within_memory(wanted, spacing, topology.divisor, need.max_voxels), wanted


def _within_memory(
    wanted: tuple[int, ...], spacing: Axes, divisor: tuple[int, ...], max_voxels: int
) -> Window:
    size = shrink_patch(wanted, divisor=divisor, max_voxels=max_voxels)
    return Window(
        size=size,
        size_mm=size_mm(size, spacing),
        limited_by=() if size == wanted else ("memory",),
    )
