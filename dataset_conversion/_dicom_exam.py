"""Chooses the stack of an examination that becomes the image, and the segments that are tumor."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnmtl.dataset_conversion._dicom_acquisition import (
    find_stacks,
    is_same_kind,
    share_positions,
)
from nnmtl.dataset_conversion._dicom_masks import Mask, find_masks
from nnmtl.dataset_conversion._dicom_phases import Phases
from nnmtl.dataset_conversion._dicom_scan import Exam
from nnmtl.dataset_conversion._dicom_stack import Stack
from nnmtl.errors import NnmtlError


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is made of an examination.

    Attributes:
        stacks: all that were found, by number of series.
        chosen: the one that becomes the image; None if the case is refused.
        masks: segmentations in its frame of reference.
        problem: why it is refused, as a clause; empty if it is not.
    """

    stacks: tuple[Stack, ...]
    chosen: Stack | None
    masks: tuple[Mask, ...]
    problem: str

    @property
    def phases(self) -> Phases:
        """Of the chosen stack."""
        assert self.chosen is not None
        assert self.chosen.phases is not None
        return self.chosen.phases


def select(
    exam: Exam, *, series: str | None, tumor: str | None, mask_files: Sequence[Path] | None
) -> Selection:
    """The stack with most phases, among those that `series` names or that may be dynamic at all.

    Args:
        exam: the examination.
        series: see `is_candidate`.
        tumor: see `find_masks`.
        mask_files: likewise.
    """
    stacks = tuple(find_stacks(exam.slices))
    try:
        chosen = _choose(stacks, series)
        frame_of_reference = chosen.first.frame_of_reference
        masks = find_masks(exam, frame_of_reference, tumor=tumor, files=mask_files)
    except NnmtlError as error:
        return Selection(stacks=stacks, chosen=None, masks=(), problem=str(error))
    return Selection(stacks=stacks, chosen=chosen, masks=masks, problem="")


def _choose(stacks: Sequence[Stack], series: str | None) -> Stack:
    candidates = [stack for stack in stacks if is_candidate(stack, series)]
    if not candidates:
        told = f"that --series {series!r} finds" if series else "of images, not derived ones"
        raise NnmtlError(f"expected a series {told}, got none among {len(stacks)}; name another")
    _check_one_visit(candidates)
    best = max(stack.num_phases for stack in candidates)
    chosen = [stack for stack in candidates if stack.num_phases == best]
    num_slices = max(len(stack.slices) for stack in chosen) if best else 0
    for stack in candidates:
        if stack.problem and len(stack.slices) >= num_slices:
            raise NnmtlError(f"series {stack.first.series.number}: {stack.problem}")
    if len(chosen) > 1:
        numbers = [stack.first.series.number or "?" for stack in chosen]
        todo = "name one with --series"
        if len(set(numbers)) < len(numbers):
            todo = (
                "name one by its description with --series, or export each with its own "
                "SeriesNumber, and each visit with its own StudyInstanceUID"
            )
        raise NnmtlError(
            f"expected one series with most phases, got {len(chosen)} with {best} (numbers "
            f"{', '.join(numbers)}); {todo}"
        )
    _check_complete(chosen[0], candidates)
    return chosen[0]


def _check_one_visit(candidates: Sequence[Stack]) -> None:
    """Refuses images of several days, of which all but one would be left out in silence."""
    days = {item.series.study_day for stack in candidates for item in stack.slices} - {""}
    if len(days) > 1:
        raise NnmtlError(
            f"expected one visit in an examination, got images of {len(days)} days (StudyDate) "
            "under one StudyInstanceUID; export each visit with its own, or name a series of one "
            "visit with --series"
        )


def _check_complete(chosen: Stack, candidates: Sequence[Stack]) -> None:
    """Refuses a choice that leaves out what may be a phase of it."""
    for other in candidates:
        if other is not chosen and is_same_kind(chosen, other) and share_positions(chosen, other):
            raise NnmtlError(
                f"series {other.first.series.number or '?'} looks like a further phase of series "
                f"{chosen.first.series.number or '?'}, but its slices or times do not fit; name "
                "one with --series"
            )


def is_candidate(stack: Stack, series: str | None) -> bool:
    """Whether a stack may be what is wanted.

    Args:
        stack: of an examination.
        series: a series number, or a regular expression found in the description or in the
            ImageType; None takes all that are images, see `Stack.no_image`.
    """
    if series is None:
        return not stack.no_image
    if series.isdecimal():
        return series in {item.series.number for item in stack.slices}
    told = f"{stack.first.series.description} {stack.kind}"
    return bool(re.search(series, told, flags=re.IGNORECASE))
