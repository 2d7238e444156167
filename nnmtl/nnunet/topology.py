"""Strides, patch and batch of a grid by nnU-Net's planning, without a dataset and a network."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nnunetv2.experiment_planning.experiment_planners.network_topology import (
    get_pool_and_conv_props,
)

from nnmtl.planning.rules import shrink_patch, total_stride
from nnmtl.planning.topology import Topology, feature_map_size

# nnU-Net's constants for the plain 3D U-Net: so many feature map values of 2 patches take 8 GB.
REFERENCE_VALUES = 560_000_000
REFERENCE_GB = 8.0
REFERENCE_BATCH = 2
MIN_EDGE = 4  # voxels of the deepest feature map
FIRST_PATCH_VOXELS = 256**3  # the first guess, larger than what fits
MAX_DATASET_SHARE = 0.05  # a batch sees at most this share of the dataset's voxels
_UNLIMITED = 999_999


@dataclass(frozen=True, kw_only=True)
class UnetBudget:
    """The U-Net that a grid is planned for.

    Attributes:
        num_classes: outputs of the segmentation, background among them.
        num_cases: of the dataset.
        base_features: channels of the first stage; each further stage has twice as many.
        max_features: channels at most.
        max_stages: further stages of nnU-Net's are left out; None keeps all.
        max_patch_voxels: a smaller budget than the memory's; None for the memory's.
        batch_size: patches per batch; None as many as fit.
        memory_gb: what two patches may take on a GPU.
    """

    num_classes: int = 2
    num_cases: int
    base_features: int = 32
    max_features: int = 320
    max_stages: int | None = None
    max_patch_voxels: int | None = None
    batch_size: int | None = None
    memory_gb: float = REFERENCE_GB


def plan_topology(
    spacing_mm: Sequence[float], view_mm: Sequence[float], budget: UnetBudget
) -> Topology:
    """What nnU-Net's `ExperimentPlanner` plans for images of this field of view on this grid.

    Args:
        spacing_mm: voxel size per axis, three of them.
        view_mm: median field of view of the images.
        budget: memory and width.
    """
    # nnU-Net plans with the coarsest axis first; it decides between equally large axes.
    coarsest = list(spacing_mm).index(max(spacing_mm))
    order = [coarsest, *(axis for axis in range(3) if axis != coarsest)]
    spacing = [spacing_mm[axis] for axis in order]
    # A median of whole voxels ends in .0 or .5, and nnU-Net's padding is exact for those only.
    shape = [max(1.0, round(2 * view_mm[axis] / spacing_mm[axis]) / 2) for axis in order]
    patch, strides = _fitting_patch(spacing, shape, budget)
    back = [order.index(axis) for axis in range(3)]
    return _narrowed(
        spacing_mm,
        patch=[patch[axis] for axis in back],
        strides=[[stride[axis] for axis in back] for stride in strides],
        dataset_voxels=math.prod(shape) * budget.num_cases,
        budget=budget,
    )


def planned_topology(
    configuration: Mapping[str, Any],
    transpose_backward: Sequence[int],
    budget: UnetBudget,
    *,
    has_known_memory: bool = True,
) -> Topology:
    """The topology of a configuration that nnU-Net has planned, in the array's axis order.

    Args:
        configuration: of the plans.
        transpose_backward: from the plans' axes to the array's.
        budget: that it was planned for.
        has_known_memory: False of a residual U-Net: no patch may then exceed the planned one.
    """

    def back(values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(values[axis] for axis in transpose_backward)

    patch = back([int(size) for size in configuration["patch_size"]])
    strides = tuple(back(s) for s in configuration["architecture"]["arch_kwargs"]["strides"])
    max_voxels, told = math.prod(patch), "those of the shared patch, which fits"
    if budget.max_patch_voxels is not None:
        max_voxels, told = max(max_voxels, budget.max_patch_voxels), "the preset's limit"
    elif has_known_memory:
        most = REFERENCE_VALUES * budget.memory_gb / REFERENCE_GB
        share = most / _values(patch, strides, budget)
        max_voxels = max(max_voxels, int(share * max_voxels))
        told = f"of which two take {budget.memory_gb:g} GB"
    return Topology(
        spacing_mm=back([float(mm) for mm in configuration["spacing"]]),
        strides=strides,
        patch_size=patch,
        batch_size=int(configuration["batch_size"]),
        max_patch_voxels=max_voxels,
        budget=told,
    )


def _fitting_patch(
    spacing: Sequence[float], shape: Sequence[float], budget: UnetBudget
) -> tuple[list[int], list[list[int]]]:
    """The largest patch that fits, in proportion to the images; with its strides."""
    most = REFERENCE_VALUES * budget.memory_gb / REFERENCE_GB
    patch, strides, divisor = _pool(spacing, _first_patch(spacing, shape))
    while _values(patch, strides, budget) > most:
        shares = [size / whole for size, whole in zip(patch, shape, strict=True)]
        # of equal shares the last, as numpy's argsort, which nnU-Net uses, finds it
        axis = max(range(3), key=lambda each: (shares[each], each))
        smaller = list(patch)
        smaller[axis] -= divisor[axis]
        patch[axis] -= _pool(spacing, smaller)[2][axis]
        patch, strides, divisor = _pool(spacing, patch)
    return patch, strides


def _first_patch(spacing: Sequence[float], shape: Sequence[float]) -> list[float]:
    edge_mm = (FIRST_PATCH_VOXELS * math.prod(spacing)) ** (1 / 3)
    return [min(round(edge_mm / mm), size) for mm, size in zip(spacing, shape, strict=True)]


def _pool(
    spacing: Sequence[float], patch: Sequence[float]
) -> tuple[list[int], list[list[int]], list[int]]:
    _, strides, _, padded, divisor = get_pool_and_conv_props(spacing, patch, MIN_EDGE, _UNLIMITED)
    return (
        [int(size) for size in padded],
        [list(stride) for stride in strides],
        [int(step) for step in divisor],
    )


def _values(patch: Sequence[int], strides: Sequence[Sequence[int]], budget: UnetBudget) -> int:
    features = [
        min(budget.max_features, budget.base_features * 2**stage) for stage in range(len(strides))
    ]
    return feature_map_size(patch, strides, features=features, num_classes=budget.num_classes)


def _narrowed(
    spacing_mm: Sequence[float],
    *,
    patch: Sequence[int],
    strides: Sequence[Sequence[int]],
    dataset_voxels: float,
    budget: UnetBudget,
) -> Topology:
    """The batch for the patch, then what a preset asks for less."""
    most = REFERENCE_VALUES * budget.memory_gb / REFERENCE_GB
    share = most / _values(patch, strides, budget)
    covered = round(dataset_voxels * MAX_DATASET_SHARE / math.prod(patch))
    batch = max(min(round(share * REFERENCE_BATCH), covered), REFERENCE_BATCH)
    max_voxels = int(share * math.prod(patch))
    told = f"of which two take {budget.memory_gb:g} GB"
    kept = strides[: budget.max_stages]
    if budget.max_patch_voxels is not None:
        patch = shrink_patch(patch, divisor=total_stride(kept), max_voxels=budget.max_patch_voxels)
        max_voxels = max(min(max_voxels, budget.max_patch_voxels), math.prod(patch))
        told = "the preset's limit"
    return Topology(
        spacing_mm=tuple(spacing_mm),
        strides=tuple(tuple(stride) for stride in kept),
        patch_size=tuple(patch),
        batch_size=budget.batch_size or batch,
        max_patch_voxels=max_voxels,
        budget=told,
    )
