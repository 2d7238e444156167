"""What is planned per center, as frozen values."""

from dataclasses import dataclass
from typing import Literal

from nnmtl.cohort.group_geometry import Axes, GroupGeometry
from nnmtl.planning.topology import Topology


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One decision in words.

    Attributes:
        subject: what was decided.
        reason: why.
        otherwise: what it would have been by another rule.
    """

    subject: str
    reason: str
    otherwise: str


@dataclass(frozen=True, kw_only=True)
class RoiNeed:
    """What the heads' region of interest is to hold, in the array's axis order.

    Attributes:
        extent_mm: 95th percentile of the tumors' extent.
        margin_mm: tissue in view around them.
        max_voxels: memory budget.
    """

    extent_mm: Axes
    margin_mm: float
    max_voxels: int


@dataclass(frozen=True, kw_only=True)
class Window:
    """A patch or a region of interest.

    Attributes:
        size: voxels per axis.
        size_mm: the same in mm.
        limited_by: why it shows less than it should: the center's images are no larger, the memory
            budget is full; empty where it shows the reference's view within one step.
    """

    size: tuple[int, ...]
    size_mm: Axes
    limited_by: tuple[Literal["images", "memory"], ...] = ()


@dataclass(frozen=True, kw_only=True)
class CenterPlan:
    """The configuration of one center, in the array's axis order.

    Attributes:
        geometry: of its cases.
        configuration: the reference's name where the center joins it.
        spacing_mm: planned voxel size.
        patch: that segmentation trains on.
        roi: that the heads see; None where no tumor was measured.
        batch_size: patches per batch.
        decisions: what was decided and why.
    """

    geometry: GroupGeometry
    configuration: str
    spacing_mm: Axes
    patch: Window
    roi: Window | None
    batch_size: int
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, kw_only=True)
class CohortPlan:
    """The shared configuration and, sorted by name, each center's.

    Attributes:
        topology: what the shared weights fix.
        roi: of the shared configuration; None where no tumor was measured.
        roi_need: what it is to hold; None where no tumor was measured.
        band: how many times finer or coarser than the shared grid a center may be.
        centers: one per center.
    """

    topology: Topology
    roi: Window | None
    roi_need: RoiNeed | None
    band: float
    centers: tuple[CenterPlan, ...]
