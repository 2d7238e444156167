"""Bright spots on thin shells around the tumor: where vessels that reach it pass through.

A vessel that leaves the tumor is a line; cut by a thin shell around the tumor it is a spot. So the
number of spots on a shell is the number of vessels there, however long each of them is.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from nnmtl.network.detail import HEIGHTS, SPOT_MM
from nnmtl.network.filters import BRIGHT_MM, FilterBank, maximum
from nnmtl.planning.architecture import RegionPlan

THICKNESS_MM = 2.0
PER_REGION = 2 * len(BRIGHT_MM) * len(HEIGHTS)


def thin_shells(region: RegionPlan) -> list[tuple[float, float]]:
    """Distances in mm between which each shell of a region lies, counted back from its outer edge.

    None for a region inside the tumor, and for one that does not end.
    """
    if region.inner_mm is None or region.inner_mm < 0 or region.outer_mm is None:
        return []
    number = int((region.outer_mm - region.inner_mm) / THICKNESS_MM)
    outer = [region.outer_mm - THICKNESS_MM * step for step in range(number)]
    return [(edge - THICKNESS_MM, edge) for edge in outer]


def count_spots(
    bank: FilterBank,
    distance: Tensor,
    body: Tensor,
    regions: Sequence[RegionPlan],
    spacing_mm: Sequence[float],
) -> Tensor:
    """Per region with thin shells log(1 + mean number of spots on a shell), by source and height.

    Args:
        bank: one channel, filtered.
        distance: (*spatial) signed distance to the tumor's surface in mm, negative inside.
        body: (*spatial) True in the body.
        regions: of the plan; those without thin shells are left out.
        spacing_mm: voxel size in the order of the axes.

    Returns:
        (number of regions with thin shells * PER_REGION,).
    """
    sources = (*bank.bright, *bank.smooth_bright)
    counts = [distance.new_zeros(0)]
    for shells in filter(None, map(thin_shells, regions)):
        on_shells = [(distance >= low) & (distance < high) & body for low, high in shells]
        for source in sources:
            found = [_count(source, on_shell, spacing_mm) for on_shell in on_shells]
            counts.append(torch.log1p(torch.stack(found).mean(0)))
    return torch.cat(counts)


def _count(source: Tensor, on_shell: Tensor, spacing_mm: Sequence[float]) -> Tensor:
    """Number of spots above each height: voxels that none on the shell nearby is brighter than."""
    seen = torch.where(on_shell, source, -1.0)
    peak = (seen == maximum(seen, SPOT_MM, spacing_mm)) & on_shell
    return (source[peak, None] > source.new_tensor(HEIGHTS)).float().sum(0)
