"""A plan in plain text: per center what was decided, why, and what it would have been otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass

from nnmtl.cohort.group_geometry import Axes, CohortGeometry
from nnmtl.planning.center_plan import CenterPlan, CohortPlan, Decision, Window
from nnmtl.planning.center_reasons import AXES, by, by_voxels
from nnmtl.planning.spacing import SAME_GRID, allowed_spacing
from nnmtl.planning.view import size_mm
from nnmtl.text_table import aligned


@dataclass(frozen=True, kw_only=True)
class PooledPlan:
    """nnU-Net's own plan, one grid from the median over all cases; in the array's axis order.

    Attributes:
        spacing_mm: its voxel size.
        patch_size: its patch in voxels.
    """

    spacing_mm: Axes
    patch_size: tuple[int, ...]


def explain(plan: CohortPlan, geometry: CohortGeometry, pooled: PooledPlan) -> str:
    """The whole plan, ending in a line feed.

    Args:
        plan: of these centers.
        geometry: that it was made from.
        pooled: to compare with.
    """
    blocks = [
        _heading(plan, geometry),
        _table(plan, pooled),
        _reference(plan, pooled),
        *(_center(center, plan, pooled) for center in plan.centers),
    ]
    return "\n\n".join(blocks) + "\n"


def explain_budget(decisions: Sequence[Decision], plan: CohortPlan, usual: CohortPlan) -> str:
    """What a machine's limits changed, ending in a line feed.

    Args:
        decisions: the limits.
        plan: within them.
        usual: without.
    """
    here, there = (
        f"patch of {by_voxels(each.topology.patch_size)} voxels, {each.topology.batch_size} per "
        f"batch, {len(each.topology.strides)} stages"
        for each in (plan, usual)
    )
    lines = ["Limits of the machine", f"  * {here}. Otherwise: {there}."]
    return "\n".join([*lines, *map(_told, decisions)]) + "\n"


def _heading(plan: CohortPlan, geometry: CohortGeometry) -> str:
    count = len(plan.centers)
    centers = "1 center" if count == 1 else f"{count} centers"
    return (
        f"Plan for {centers} with {geometry.overall.num_cases} cases. Axes stand in the order z, "
        "y, x of the\nimage arrays. Finer voxels are smaller ones. ROI: the region of interest "
        "around the tumor from\nwhich biomarkers are predicted."
    )


def _table(plan: CohortPlan, pooled: PooledPlan) -> str:
    head = ["center", "cases", "native mm", "planned mm", "planned / native"]
    head += ["against pooled", "patch", "patch mm", "ROI", "ROI mm"]
    rows = [head]
    for center in plan.centers:
        native, planned = center.geometry.spacing_mm, center.spacing_mm
        roi = ("-", "-") if center.roi is None else _cells(center.roi)
        row = [center.geometry.name, str(center.geometry.num_cases), by(native), by(planned)]
        row += [_factors(planned, native), _factors(planned, pooled.spacing_mm)]
        rows.append([*row, *_cells(center.patch), *roi])
    return "\n".join(aligned(rows))


def _cells(window: Window) -> tuple[str, str]:
    return by_voxels(window.size), by(window.size_mm, digits=0)


def _factors(planned: Axes, other: Axes) -> str:
    return by([mine / theirs for mine, theirs in zip(planned, other, strict=True)])


def _reference(plan: CohortPlan, pooled: PooledPlan) -> str:
    topology = plan.topology
    lines = [f"3d_fullres, the grid that all centers share: voxels of {by(topology.spacing_mm)} mm"]
    decisions = [
        Decision(
            subject=f"voxels of {by(topology.spacing_mm)} mm",
            reason="per axis the median over centers, each counting by the square root of its "
            "number of cases, so that no large center sets the grid for all",
            otherwise=f"{by(pooled.spacing_mm)} mm by nnU-Net's median over all cases",
        ),
        Decision(
            subject=f"patch of {by_voxels(topology.patch_size)} voxels "
            f"({by(size_mm(topology.patch_size, topology.spacing_mm), digits=0)} mm)",
            reason="nnU-Net's rule on this grid: in the proportions of the images, in multiples of "
            f"{by_voxels(topology.divisor)} for the strides, and at most "
            f"{topology.max_patch_voxels} voxels, {topology.budget}",
            otherwise=f"{by_voxels(pooled.patch_size)} voxels on the pooled grid "
            f"({by(size_mm(pooled.patch_size, pooled.spacing_mm), digits=0)} mm)",
        ),
        _roi(plan),
    ]
    return "\n".join([*lines, *map(_told, decisions)])


def _roi(plan: CohortPlan) -> Decision:
    if plan.roi is None or plan.roi_need is None:
        return Decision(
            subject="no region of interest",
            reason="no extent of a tumor is known",
            otherwise="the 95th percentile of the tumors' extents with a margin around",
        )
    need, limit = plan.roi_need, ""
    if plan.roi.limited_by:
        limit = f"; cut to the budget of {need.max_voxels} voxels, so that the largest do not fit"
    return Decision(
        subject=f"region of interest of {by_voxels(plan.roi.size)} voxels "
        f"({by(plan.roi.size_mm, digits=0)} mm)",
        reason=f"95 % of the tumors extend at most {by(need.extent_mm, digits=0)} mm, with "
        f"{need.margin_mm:g} mm around them and a tolerance{limit}",
        otherwise="nnU-Net has none: its patches show tumors whole, in part or not at all",
    )


def _center(center: CenterPlan, plan: CohortPlan, pooled: PooledPlan) -> str:
    facts = center.geometry
    own = "joins" if center.configuration == "3d_fullres" else "is planned as"
    lines = [f"{facts.name}: {facts.num_cases} cases, {own} {center.configuration}"]
    for index, axis in enumerate(AXES):
        native, planned = facts.spacing_mm[index], center.spacing_mm[index]
        finest, coarsest = allowed_spacing(plan.topology.spacing_mm[index], plan.band)
        lines.append(
            f"  {axis}  native {native:.2f} -> planned {planned:.2f} mm "
            f"({_against(planned, native)} native; allowed {finest:.2f} to {coarsest:.2f}), "
            f"{_against(planned, pooled.spacing_mm[index])} nnU-Net's pooled "
            f"{pooled.spacing_mm[index]:.2f} mm"
        )
    lines.append(f"  {_window('patch', center.patch)}, {center.batch_size} per batch")
    if center.roi is not None:
        lines.append(f"  {_window('ROI', center.roi)}")
    return "\n".join([*lines, *map(_told, center.decisions)])


def _window(name: str, window: Window) -> str:
    return f"{name} {by_voxels(window.size)} voxels = {by(window.size_mm, digits=0)} mm"


def _against(planned: float, other: float) -> str:
    """`2.00 times finer than`, or `as`."""
    if abs(planned / other - 1) <= SAME_GRID:
        return "as"
    side = "finer" if planned < other else "coarser"
    return f"{max(planned / other, other / planned):.2f} times {side} than"


def _told(decision: Decision) -> str:
    return f"  * {decision.subject}: {decision.reason}. Otherwise: {decision.otherwise}."
