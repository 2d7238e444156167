"""Finds what was acquired in an examination, a dynamic one perhaps in several series."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from nnmtl.dataset_conversion._dicom_phases import Phases
from nnmtl.dataset_conversion._dicom_slice import Slice
from nnmtl.dataset_conversion._dicom_stack import (
    KINDS,
    Stack,
    has_same_view,
    make_stack,
    stacks_of_series,
)

_SAME_POSITION_MM = 0.01
_LONGEST_ACQUISITION_S = 3600  # series that lie further apart are no phases of one injection


def find_stacks(slices: Iterable[Slice]) -> list[Stack]:
    """The stacks of one examination, by number of series.

    Series of equal sequence, view and positions are the phases of one acquisition, if their times
    tell so; they become one stack.
    """
    by_series: dict[tuple[str, bool], list[Slice]] = defaultdict(list)
    for item in slices:
        by_series[(item.series.uid, item.is_gray)].append(item)
    stacks = [stack for series in by_series.values() for stack in stacks_of_series(series)]
    return sorted(_join_series(stacks), key=_sort_key)


def _sort_key(stack: Stack) -> tuple[int, str, str]:
    number = stack.first.series.number
    return int(number) if number.isdecimal() else 0, number, stack.first.series.uid


def _join_series(stacks: Sequence[Stack]) -> list[Stack]:
    """Joins stacks of several series that are the phases of one acquisition."""
    joined: list[Stack] = []
    for group in _grouped(stacks, _are_phases_of_one):
        together = make_stack([item for stack in group for item in stack.slices])
        joined += [together] if len(group) > 1 and _is_one_acquisition(together) else group
    return joined


def _grouped(
    stacks: Sequence[Stack], belong_together: Callable[[Stack, Stack], bool]
) -> list[list[Stack]]:
    groups: list[list[Stack]] = []
    for stack in stacks:
        for group in groups:
            if belong_together(group[0], stack):
                group.append(stack)
                break
        else:
            groups.append([stack])
    return groups


def _are_phases_of_one(one: Stack, other: Stack) -> bool:
    if one.phases is None or other.phases is None or one.is_derived or other.is_derived:
        return False
    return (
        is_same_kind(one, other)
        and one.first.frame_of_reference is not None
        and all(getattr(one.first, name) == getattr(other.first, name) for name in KINDS)
        and one.first.series.uid != other.first.series.uid
        and _has_same_positions(one.phases, other.phases)
    )


def is_same_kind(one: Stack, other: Stack) -> bool:
    """Whether sequence and view are the same, as far as the tags tell: an absent one may be any."""
    values = [(getattr(one.first, name), getattr(other.first, name)) for name in KINDS]
    values += zip(one.first.protocol, other.first.protocol, strict=True)
    is_same = all(
        first == second or first in (None, "") or second in (None, "") for first, second in values
    )
    return is_same and has_same_view(one.first, other.first)


def share_positions(one: Stack, other: Stack) -> bool:
    """Whether a slice of each lies at the same place, or at an unknown one."""
    planes = [[item.plane for item in stack.slices] for stack in (one, other)]
    if None in planes[0] or None in planes[1]:
        return True
    first, second = (np.array([p.position_mm for p in found if p]) for found in planes)
    gaps = np.abs(first[:, None] - second[None]).max(axis=-1)
    return bool(gaps.min() < _SAME_POSITION_MM)


def _is_one_acquisition(stack: Stack) -> bool:
    if stack.phases is None or stack.phases.times_s is None:
        return False
    return stack.phases.times_s[-1] < _LONGEST_ACQUISITION_S


def _has_same_positions(one: Phases, other: Phases) -> bool:
    first, second = (
        np.array([item.plane.position_mm for item in phases.slices[0] if item.plane])
        for phases in (one, other)
    )
    return first.shape == second.shape and np.allclose(first, second, atol=_SAME_POSITION_MM)
