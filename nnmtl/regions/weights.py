"""Regions as shells of signed distance, and how much every voxel belongs to each of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnmtl.errors import NnmtlError
from nnmtl.regions.distance import signed_distance_mm

SOFTNESS_MM = 0.7  # about the accuracy of a hand-drawn boundary at 1 mm voxels
CORE_DEPTH_FRACTION = 0.4  # a rim takes at most this share of the depth, so a core always remains
REACH_MARGIN_MM = 8.0  # 5 softnesses (3.5 mm) and 3 standard deviations of a 1.5 mm jitter


@dataclass(frozen=True)
class Region:
    """The shell ``inner_mm <= distance < outer_mm`` around a tumor's surface; negative inside."""

    name: str
    inner_mm: float
    outer_mm: float

    def __post_init__(self) -> None:
        if not self.name or not self.inner_mm < self.outer_mm:
            message = (
                f"A region needs a name and inner_mm < outer_mm, but got {self.name!r} from "
                f"{self.inner_mm} to {self.outer_mm} mm; correct it in the plans."
            )
            raise NnmtlError(message)


CORE = Region("core", -math.inf, -2.5)
RIM = Region("rim", -2.5, 0.0)
PERITUMORAL = Region("peritumoral", 0.0, 5.0)
DISTANT = Region("distant", 5.0, 10.0)
DEFAULT_REGIONS = (CORE, RIM, PERITUMORAL)


def parse_region(entry: Mapping[str, object]) -> Region:
    """Region from JSON: ``{"name": "core", "inner_mm": null, "outer_mm": -2.5}``; null is infinite.

    Raises:
        NnmtlError: A key is missing or unknown, or a boundary is not a number.
    """
    expected = {"name", "inner_mm", "outer_mm"}
    if set(entry) != expected:
        message = f"A region needs exactly the keys {sorted(expected)}, but got {sorted(entry)}."
        raise NnmtlError(message)
    bounds = []
    for key, infinite in (("inner_mm", -math.inf), ("outer_mm", math.inf)):
        value = entry[key]
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            message = (
                f"Region {entry['name']!r} needs a number or null as {key}, but got {value!r}."
            )
            raise NnmtlError(message)
        bounds.append(infinite if value is None else float(value))
    return Region(str(entry["name"]), bounds[0], bounds[1])


def region_to_json(region: Region) -> dict[str, object]:
    """The inverse of ``parse_region``."""
    inner = region.inner_mm if math.isfinite(region.inner_mm) else None
    outer = region.outer_mm if math.isfinite(region.outer_mm) else None
    return {"name": region.name, "inner_mm": inner, "outer_mm": outer}


def region_reach_mm(regions: Sequence[Region], *, reference_mm: float = 0.0) -> float:
    """How far a signed distance must reach so that soft and jittered regions see no clipping."""
    finite = [region.outer_mm for region in regions if math.isfinite(region.outer_mm)]
    return max([*finite, reference_mm, 0.0]) + REACH_MARGIN_MM


def adapt_to_depth(distance_mm: Tensor, rim_mm: float = 2.5) -> Tensor:
    """Rim width in mm of each case: ``rim_mm``, or less where a small tumor would lose its core.

    Args:
        distance_mm: Signed distance, (B, *spatial).
        rim_mm: Depth of the innermost boundary in a large tumor.

    Returns:
        (B,) ``min(rim_mm, .4 * depth)``; 0 for an empty mask.
    """
    depth = (-distance_mm.flatten(1).amin(1)).clamp(min=0.0)
    return (CORE_DEPTH_FRACTION * depth).clamp(max=rim_mm)


def region_weights(
    distance_mm: Tensor,
    regions: Sequence[Region],
    *,
    body: Tensor | None = None,
    softness_mm: float = SOFTNESS_MM,
) -> Tensor:
    """Membership of every voxel in every region, from 0 to 1.

    A shell is the difference of two sigmoids of the distance to its boundaries, so adjacent shells
    add up exactly: core + rim is the soft tumor. In a small tumor all boundaries inside it move
    toward the surface in proportion.

    Args:
        distance_mm: Signed distance, (B, *spatial); a case that is +inf everywhere has no tumor.
        regions: The shells, in the order of the result.
        body: True in tissue, (B, *spatial); shells that reach outside the tumor are 0 elsewhere.
            The tumor itself always counts as body.
        softness_mm: Scale of the sigmoids; the weight falls from .73 to .27 over twice this width.

    Returns:
        (B, R, *spatial) float32; all 0 for a case without tumor.
    """
    distance = distance_mm.float()
    shrinkage = _inner_shrinkage(distance, regions)
    bounds = {bound for region in regions for bound in (region.inner_mm, region.outer_mm)}
    below = {bound: _share_below(distance, bound, shrinkage, softness_mm) for bound in bounds}
    has_tumor = distance < math.inf
    tissue = has_tumor if body is None else has_tumor & (body.bool() | (distance < 0))
    weights = []
    for region in regions:
        weight = (below[region.outer_mm] - below[region.inner_mm]).clamp(min=0.0)
        allowed = tissue if region.outer_mm > 0 else has_tumor
        weights.append(torch.where(allowed, weight, 0.0))
    return torch.stack(weights, dim=1)


def region_label_map(
    mask: NDArray[np.bool_],
    spacing_mm: Sequence[float],
    regions: Sequence[Region],
    *,
    body: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Hard map of the regions for an output file: 1 in the first region, 2 in the second, else 0.

    The boundaries are those of ``region_weights`` without softness; where regions overlap, the
    first one listed wins. Same shape as ``mask``; all 0 for an empty mask, or without regions.
    """
    if not regions:
        return np.zeros(mask.shape, dtype=np.uint8)
    bounded = all(math.isfinite(region.outer_mm) for region in regions)
    reach_mm = region_reach_mm(regions) if bounded else None
    distance = torch.from_numpy(signed_distance_mm(mask, spacing_mm, reach_mm=reach_mm))[None]
    body_tensor = None if body is None else torch.from_numpy(np.asarray(body, dtype=bool))[None]
    hard = region_weights(distance, regions, body=body_tensor, softness_mm=0.0)[0].numpy() > 0
    label_map = np.zeros(hard.shape[1:], dtype=np.uint8)
    for number in range(len(regions), 0, -1):
        label_map[hard[number - 1]] = number
    return label_map


def reference_weights(
    distance_mm: Tensor, *, body: Tensor | None = None, reference_mm: float = 12.0
) -> Tensor:
    """Tissue far from the tumor that serves as intensity reference.

    Args:
        distance_mm: Signed distance, (B, *spatial), computed with a reach beyond ``reference_mm``.
        body: True in tissue, (B, *spatial); None takes every voxel.
        reference_mm: The tumor's surroundings are left out up to here.

    Returns:
        (B, *spatial) float32, 1 in the reference. A case without tumor has its whole body there.
    """
    far = distance_mm > reference_mm
    return (far if body is None else far & body.bool()).float()


def _inner_shrinkage(distance: Tensor, regions: Sequence[Region]) -> Tensor:
    """Factor (B, 1, ...) on all boundaries inside the tumor, 1 where it is deep enough."""
    bounds = [bound for region in regions for bound in (region.inner_mm, region.outer_mm)]
    deepest_mm = max((-bound for bound in bounds if -math.inf < bound < 0), default=0.0)
    if deepest_mm == 0.0:
        return distance.new_ones(())
    factor = adapt_to_depth(distance, deepest_mm) / deepest_mm
    return factor.view(-1, *[1] * (distance.ndim - 1))


def _share_below(distance: Tensor, bound: float, shrinkage: Tensor, softness_mm: float) -> Tensor:
    """How much of a voxel lies at distances below ``bound``: a sigmoid or, if hard, a step."""
    if math.isinf(bound):
        return torch.full_like(distance, float(bound > 0))
    bound_mm = bound * shrinkage if bound < 0 else torch.full_like(shrinkage, bound)
    if softness_mm == 0.0:
        return (distance < bound_mm).float()
    return torch.sigmoid((bound_mm - distance) / softness_mm)
