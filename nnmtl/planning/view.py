"""How many voxels: patches and regions of interest that show every center the same millimeters."""

import math
from collections.abc import Sequence

# A region that another grid covers exactly shall not take a step more for a rounding error.
_ROUNDING = 1e-6


def equal_view(
    size: Sequence[int],
    *,
    of_mm: Sequence[float],
    at_mm: Sequence[float],
    divisor: Sequence[int],
) -> tuple[int, ...]:
    """A patch with the field of view of another grid's, to the nearest step of the total stride.

    A network trained on 100 mm of surroundings in one center and 50 mm in another would be given
    two tasks. Each axis keeps two steps where the other grid has them: below that the deepest stage
    sees almost nothing.

    Args:
        size: voxels of the patch on the other grid.
        of_mm: voxel size of the other grid.
        at_mm: voxel size of this grid.
        divisor: product of the strides per axis.
    """
    steps = [
        max(round(voxels * of / at / step), least)
        for voxels, of, at, step, least in zip(
            size, of_mm, at_mm, divisor, _least_steps(size, divisor), strict=True
        )
    ]
    return _whole_steps(steps, divisor)


def covering_view(
    size: Sequence[int],
    *,
    of_mm: Sequence[float],
    at_mm: Sequence[float],
    divisor: Sequence[int],
) -> tuple[int, ...]:
    """A region of interest that covers another grid's, with less than one step more.

    Rounded up, unlike a patch: a tumor that fits there shall fit here. Arguments as `equal_view`.
    """
    steps = [
        math.ceil(voxels * of / at / step - _ROUNDING)
        for voxels, of, at, step in zip(size, of_mm, at_mm, divisor, strict=True)
    ]
    return _whole_steps(steps, divisor)


def within_images(
    patch: Sequence[int],
    *,
    view_mm: Sequence[float],
    spacing_mm: Sequence[float],
    divisor: Sequence[int],
    reference: Sequence[int],
) -> tuple[int, ...]:
    """A patch no larger than the images, since the rest of it would be padding.

    Args:
        patch: voxels per axis.
        view_mm: median field of view of the images.
        spacing_mm: planned voxel size.
        divisor: product of the strides per axis.
        reference: the shared patch, which sets the least number of steps, see `equal_view`.
    """
    steps = [
        min(voxels // step, max(math.ceil(view / mm / step - _ROUNDING), least))
        for voxels, view, mm, step, least in zip(
            patch, view_mm, spacing_mm, divisor, _least_steps(reference, divisor), strict=True
        )
    ]
    return _whole_steps(steps, divisor)


def batch_size_within(batch_size: int, *, of: Sequence[int], patch: Sequence[int]) -> int:
    """Patches per batch so that it holds no more voxels than the shared patch's batch; at least 2.

    Never more than there: a center with small images gets no other noise of the gradient.
    """
    return max(2, min(batch_size, batch_size * math.prod(of) // math.prod(patch)))


def size_mm(size: Sequence[int], spacing_mm: Sequence[float]) -> tuple[float, ...]:
    """Edge lengths in mm of so many voxels."""
    return tuple(voxels * mm for voxels, mm in zip(size, spacing_mm, strict=True))


def _least_steps(reference: Sequence[int], divisor: Sequence[int]) -> list[int]:
    return [min(2, size // step) for size, step in zip(reference, divisor, strict=True)]


def _whole_steps(steps: Sequence[int], divisor: Sequence[int]) -> tuple[int, ...]:
    return tuple(max(1, count) * step for count, step in zip(steps, divisor, strict=True))
