"""Each decision for a center in words that a radiologist can check."""

from collections.abc import Sequence

from nnmtl.cohort.group_geometry import Axes, GroupGeometry
from nnmtl.cohort.targets import UNKNOWN_CENTER
from nnmtl.planning.center_plan import Decision, RoiNeed, Window
from nnmtl.planning.topology import Topology

AXES = ("z", "y", "x")
_LIMITS = {
    "images": "half of the center's images are no larger, and more would be padding",
    "memory": "more voxels would exceed the memory budget",
}


def joining_decision(
    center: GroupGeometry, shared: Axes, *, would_be: Axes, min_cases: int
) -> Decision:
    """Why a center has no configuration of its own.

    Args:
        center: that joins the reference.
        shared: voxel size of the reference.
        would_be: voxel size that the band alone would give it.
        min_cases: for a configuration of its own.
    """
    otherwise = f"voxels of {by(would_be)} mm"
    if center.name == UNKNOWN_CENTER:
        reason = "cases of an unknown center may come from several scanners"
    elif center.num_cases < min_cases:
        reason = f"{center.num_cases} cases are fewer than {min_cases}, too few to know its grid by"
    else:
        reason = f"what the band allows it are the shared voxels of {by(shared)} mm"
        otherwise = f"its native voxels of {by(center.spacing_mm)} mm"
    return Decision(subject="joins 3d_fullres", reason=reason, otherwise=otherwise)


def spacing_decision(alone: Axes, shared: Axes, planned: Axes, *, band: float) -> Decision:
    """Why a center has these voxels, axis by axis."""
    words = [
        f"{axis} {_why_spacing(*values, band=band)}"
        for axis, *values in zip(AXES, alone, shared, planned, strict=True)
    ]
    return Decision(
        subject=f"voxels of {by(planned)} mm",
        reason="; ".join(words),
        otherwise=f"alone {by(alone)} mm, on one grid for all {by(shared)} mm",
    )


def _why_spacing(alone: float, shared: float, planned: float, *, band: float) -> str:
    if planned == alone:
        return "as for this center alone"
    if planned == shared:
        return f"{alone:.2f} mm is the shared {shared:.2f} mm but for rounding"
    side = "coarser" if alone > shared else "finer"
    ratio = max(alone / shared, shared / alone)
    return f"{alone:.2f} mm is {ratio:.2f} times {side} than the shared grid, allowed is {band:g}"


def patch_decision(patch: Window, topology: Topology, *, full_size: Sequence[int]) -> Decision:
    """Why a center's patch has this size."""
    shared = [size * mm for size, mm in zip(topology.patch_size, topology.spacing_mm, strict=True)]
    return Decision(
        subject=f"patch of {by_voxels(patch.size)} voxels",
        reason=_why_window(patch, f"the shared patch's view of {by(shared, digits=0)} mm"),
        otherwise=_otherwise(patch, full_size, shared_size=topology.patch_size),
    )


def roi_decision(
    roi: Window,
    center: GroupGeometry,
    need: RoiNeed,
    *,
    full_size: Sequence[int],
    shared_size: Sequence[int],
) -> Decision:
    """Why a center's region of interest has this size, and whether its tumors fit."""
    reason = _why_window(roi, "the view that every center's heads have")
    if center.tumor_extent_mm is not None:
        around = 2 * need.margin_mm
        fits = all(
            extent + around <= view
            for extent, view in zip(center.tumor_extent_mm, roi.size_mm, strict=True)
        )
        tumors = f"95 % of its tumors, up to {by(center.tumor_extent_mm, digits=0)} mm,"
        reason += f"; {tumors} {'fit' if fits else 'do not fit'} with {need.margin_mm:g} mm around"
        if not fits:
            reason += ", the largest are cut at the edge"
    return Decision(
        subject=f"region of interest of {by_voxels(roi.size)} voxels",
        reason=reason,
        otherwise=_otherwise(roi, full_size, shared_size=shared_size),
    )


def _why_window(window: Window, view: str) -> str:
    if not window.limited_by:
        return f"{view}, in whole steps of the strides"
    limits = " and ".join(_LIMITS[limit] for limit in window.limited_by)
    return f"less than {view}: {limits}"


def _otherwise(window: Window, full_size: Sequence[int], *, shared_size: Sequence[int]) -> str:
    if window.limited_by:
        return f"{by_voxels(full_size)} voxels for the whole view"
    return f"{by_voxels(shared_size)} voxels, as on the shared grid"


def by(values: Sequence[float], *, digits: int = 2) -> str:
    """Numbers per axis, as `1.00 x 0.70 x 0.70`."""
    return " x ".join(f"{value:.{digits}f}" for value in values)


def by_voxels(size: Sequence[int]) -> str:
    """Voxels per axis, as `64 x 128 x 128`."""
    return by(size, digits=0)
