"""Chooses further series of an examination that become channels beside the dynamic one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nnmtl.dataset_conversion._dicom_exam import is_candidate
from nnmtl.dataset_conversion._dicom_geometry import grid_of
from nnmtl.dataset_conversion._dicom_stack import ECHO_PLANAR, Stack
from nnmtl.errors import NnmtlError


@dataclass(frozen=True, kw_only=True)
class WantedSequence:
    """A channel by name, and how its series is found: see `is_candidate`."""

    name: str
    series: str


def parse_sequences(texts: Sequence[str], taken: Sequence[str]) -> tuple[WantedSequence, ...]:
    """The sequences of the options `--sequence NAME=S`.

    Args:
        texts: of the options.
        taken: names that other channels have.

    Raises:
        NnmtlError: if one is not of this form, or two channels have one name.
    """
    wanted = []
    for text in texts:
        name, _, series = text.partition("=")
        if not re.fullmatch(r"[A-Za-z0-9-]+", name) or not series:
            raise NnmtlError(
                f"--sequence: expected NAME=SERIES, the name of letters, digits and '-', got "
                f"{text!r}."
            )
        try:
            re.compile(series)
        except re.error as error:
            raise NnmtlError(
                f"--sequence {name}: expected a regular expression, but {error}."
            ) from error
        wanted.append(WantedSequence(name=name, series=series))
    names = [*taken, *(sequence.name for sequence in wanted)]
    if len(set(names)) < len(names):
        raise NnmtlError(f"--sequence: expected names of their own, got {', '.join(names)}.")
    return tuple(wanted)


def choose_sequence(
    wanted: WantedSequence, stacks: Sequence[Stack], image: Stack, *, may_register: bool
) -> Stack | None:
    """The series of a sequence; None if the examination has none.

    Where images as acquired are found and others (derived, localizers, captures), the former count.

    Args:
        wanted: what to find.
        stacks: of the examination.
        image: the one that the others are resampled onto.
        may_register: whether a series in another frame of reference can be used.

    Raises:
        NnmtlError: if several are found, or one that cannot be used.
    """
    found = [s for s in stacks if s is not image and is_candidate(s, wanted.series)]
    found = [stack for stack in found if stack.no_image in ("", ECHO_PLANAR)] or found
    if not found:
        return None
    numbers = ", ".join(stack.first.series.number or "?" for stack in found)
    if len(found) > 1:
        raise NnmtlError(
            f"expected one series for the sequence {wanted.name}, got {len(found)} (numbers "
            f"{numbers}); name one more closely"
        )
    stack = found[0]
    if stack.phases is None:
        raise NnmtlError(f"series {numbers} for the sequence {wanted.name}: {stack.problem}")
    if stack.num_phases > 1:
        raise NnmtlError(
            f"expected one image for the sequence {wanted.name}, got series {numbers} with "
            f"{stack.num_phases} phases; name another, or make it the image with --series"
        )
    if stack.first.frame_of_reference != image.first.frame_of_reference and not may_register:
        raise NnmtlError(
            f"expected the sequence {wanted.name} in the image's frame of reference, got series "
            f"{numbers} in another: the patient may have moved; add --register"
        )
    grid_of(stack.phases.slices[0])
    return stack
