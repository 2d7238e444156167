"""From a fingerprint to decisions: one function per rule, its reason in the docstring."""

import math
from collections.abc import Iterable, Sequence

# In view around the tumor also where no region reaches as far: intensities are relative to tissue.
VIEW_MM = 10.0
FEWEST_TO_ALIGN = 25  # patients of a center, of which a fold trains on 20
ROI_MARGIN_MM = 3.0  # tolerance for a predicted tumor center that is off


def roi_size_voxels(
    extent_p95_mm: Sequence[float],
    *,
    spacing_mm: Sequence[float],
    peritumoral_mm: float,
    divisor: Sequence[int],
    largest: Sequence[int],
) -> tuple[int, ...]:
    """Voxels per axis of the region of interest that the heads see.

    Large enough for the 95th percentile of the tumors with the peritumoral shell on both sides,
    so that few tumors are truncated; a multiple of the network's total stride, so that every stage
    divides evenly; at most `largest`, which bounds memory and time.

    Args:
        extent_p95_mm: 95th percentile of the tumor's extent per axis.
        spacing_mm: planned voxel size per axis.
        peritumoral_mm: width of the outermost shell.
        divisor: product of the strides per axis.
        largest: upper bound in voxels per axis.
    """
    size = []
    for extent, spacing, step, bound in zip(
        extent_p95_mm, spacing_mm, divisor, largest, strict=True
    ):
        wanted = (extent + 2 * (peritumoral_mm + ROI_MARGIN_MM)) / spacing
        steps = max(1, min(math.ceil(wanted / step), bound // step))
        size.append(steps * step)
    return tuple(size)


def aligned_centers(num_patients: Iterable[int]) -> int:
    """How many centers the measurements of an image are aligned between.

    Those whose mean can be told from their share of a fold's training patients; a smaller center
    is aligned as the centers that its images are like.

    Args:
        num_patients: of each center.
    """
    return max(1, sum(number >= FEWEST_TO_ALIGN for number in num_patients))


def tap_stages(
    strides: Sequence[Sequence[int]],
    *,
    spacing_mm: Sequence[float],
    roi_size: Sequence[int],
    thinnest_mm: float,
) -> tuple[int, ...]:
    """Encoder stages that the heads read, from full resolution down.

    A stage whose voxel is more than four times the thinnest region, or whose map of the region of
    interest is smaller than 3 voxels, cannot tell the regions apart: it carries none of them.

    Args:
        strides: per stage and axis, as in nnU-Net's plans.
        spacing_mm: planned voxel size per axis.
        roi_size: region of interest in voxels.
        thinnest_mm: width of the thinnest region.
    """
    taps = []
    total = [1] * len(spacing_mm)
    for stage, stride in enumerate(strides):
        total = [whole * step for whole, step in zip(total, stride, strict=True)]
        voxel_mm = min(whole * mm for whole, mm in zip(total, spacing_mm, strict=True))
        edge = min(size // whole for size, whole in zip(roi_size, total, strict=True))
        if stage == 0 or (voxel_mm <= 4 * thinnest_mm and edge >= 3):
            taps.append(stage)
    return tuple(taps)


def total_stride(strides: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Product of the strides per axis."""
    return tuple(math.prod(axis) for axis in zip(*strides, strict=True))


def shrink_patch(
    patch_size: Sequence[int], *, divisor: Sequence[int], max_voxels: int
) -> tuple[int, ...]:
    """Shrinks a patch to a voxel budget in steps of the total stride, keeping its shape about.

    Each step goes to the axis that has kept the largest share of its size, so that the field of
    view stays in proportion. An axis keeps at least two steps: below that the deepest stage sees
    almost nothing.
    """
    patch = [size // step * step for size, step in zip(patch_size, divisor, strict=True)]
    while math.prod(patch) > max_voxels:
        shrinkable = [axis for axis, step in enumerate(divisor) if patch[axis] > 2 * step]
        if not shrinkable:
            break
        axis = max(shrinkable, key=lambda each: (patch[each] / patch_size[each], patch[each]))
        patch[axis] -= divisor[axis]
    return tuple(patch)


def planned_epochs(num_train: int, *, roi_batch_size: int, iterations_per_epoch: int) -> int:
    """Epochs so that the heads see every training case about 250 times, within 40 and 1000.

    Fewer leave the heads unfinished; nnU-Net's 1000 epochs on a small table only overfit them.
    """
    passes = 250 * num_train / (roi_batch_size * iterations_per_epoch)
    return int(min(1000, max(40, math.ceil(passes))))
