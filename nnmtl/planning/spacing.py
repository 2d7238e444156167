"""Which voxel size: of the grid that all centers share, and of each center near it."""

import math
from collections.abc import Sequence
from types import MappingProxyType
from typing import Literal

from nnmtl.cohort.group_geometry import Axes, GroupGeometry

# nnU-Net's augmentation zooms by .7 to 1.4: what a center keeps of its own voxel size within this
# factor of the shared one, the network meets in training anyway.
BAND = 1.4
SAME_GRID = 0.01  # relative: scanners write one grid as 0.7031 and as 0.703125 mm
ANISOTROPY = 3  # nnU-Net's ANISO_THRESHOLD

SpacingPolicy = Literal["pooled", "strict", "per_center", "native"]
# How many times finer or coarser than the shared grid a center may be. `pooled` has no shared grid
# of centers: it is nnU-Net's own plan, one grid from the median over all cases.
BANDS = MappingProxyType({"strict": 1.0, "per_center": BAND, "native": math.inf})
POLICIES = ("pooled", *BANDS)


def spacing_alone(group: GroupGeometry) -> Axes:
    """The voxel size that nnU-Net plans for these cases on their own.

    The median per axis. Where one axis is over 3 times coarser than the others and has under a
    third of their voxels, its 10th percentile, though no finer than the others: at the median
    every finer case would lose some of its few slices. (Isensee et al. 2021; nnU-Net 2.8,
    `ExperimentPlanner.determine_fullres_target_spacing`.)
    """
    spacing = list(group.spacing_mm)
    worst = spacing.index(max(spacing))
    others = [axis for axis in range(len(spacing)) if axis != worst]
    coarsest_other = max(spacing[axis] for axis in others)
    is_coarse = spacing[worst] > ANISOTROPY * coarsest_other
    if is_coarse and group.shape[worst] * ANISOTROPY < min(group.shape[axis] for axis in others):
        fine = group.fine_spacing_mm[worst]
        spacing[worst] = fine if fine >= coarsest_other else coarsest_other + 1e-5
    return tuple(spacing)


def balanced_median(values: Sequence[float], num_cases: Sequence[int]) -> float:
    """Median over centers, each counting by the square root of its number of cases.

    Counting cases, one large center would set the grid for all; counting centers, one with five
    cases would weigh as much as one with a thousand. The square root is also the share in which
    centers are to be mixed in training, so that this is the middle of what a network sees. Where
    two centers split the weight it is midway in proportion, as a change of voxel size is a factor.

    Args:
        values: per center, positive.
        num_cases: per center.
    """
    ranked = sorted(zip(values, num_cases, strict=True))
    weights = [math.sqrt(count) for _, count in ranked]
    half = math.fsum(weights) / 2
    for rank, (value, _) in enumerate(ranked):
        reached = math.fsum(weights[: rank + 1])
        if math.isclose(reached, half) and value < ranked[rank + 1][0]:
            return math.sqrt(value * ranked[rank + 1][0])
        if reached >= half:
            return value
    raise ValueError("expected at least one center, got none")


def reference_spacing(centers: Sequence[GroupGeometry]) -> Axes:
    """The voxel size shared by all: per axis the balanced median of the centers' own."""
    return _balanced([spacing_alone(center) for center in centers], centers)


def reference_view_mm(centers: Sequence[GroupGeometry]) -> Axes:
    """The field of view that the shared patch is planned for: per axis the balanced median."""
    return _balanced([center.field_of_view_mm for center in centers], centers)


def _balanced(values: Sequence[Axes], centers: Sequence[GroupGeometry]) -> Axes:
    counts = [center.num_cases for center in centers]
    return tuple(balanced_median(axis, counts) for axis in zip(*values, strict=True))


def allowed_spacing(shared: float, factor: float) -> tuple[float, float]:
    """The finest and the coarsest voxel size in mm within a factor of the shared one."""
    return shared / factor, shared * factor


def clamped_spacing(alone: Sequence[float], reference: Sequence[float], *, factor: float) -> Axes:
    """A center's own voxel size, per axis at most `factor` finer or coarser than the shared one.

    Native voxels keep what the scanner saw; yet the weights are shared and know no millimeters, so
    the same lesion must not look like two. Within 1 % it is the shared grid itself.

    Args:
        alone: what the center would have on its own, in mm.
        reference: the shared voxel size in mm.
        factor: half-width of the band; 1 puts all centers on one grid.
    """
    planned = []
    for own, shared in zip(alone, reference, strict=True):
        finest, coarsest = allowed_spacing(shared, factor)
        inside = min(max(own, finest), coarsest)
        planned.append(shared if abs(inside / shared - 1) <= SAME_GRID else inside)
    return tuple(planned)
