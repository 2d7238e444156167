"""Which phases of an examination become which channels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnmtl.dataset_conversion._dicom_kinetics import (
    peak_phase,
    percent_enhancement,
    signal_enhancement_ratio,
)
from nnmtl.dataset_conversion._dicom_phases import Phases
from nnmtl.errors import NnmtlError

POLICIES = ("first-post", "nearest-90s", "peak", "all")
EXTRA_CHANNELS = ("pre", "subtraction", "pe", "ser")

_WANTED_S = 90

Voxels = npt.NDArray[np.generic]
ReadPhase = Callable[[int], Voxels]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The phases taken of one examination, and why, in a few words."""

    phases: tuple[int, ...]
    reason: str


def parse_policy(text: str) -> str:
    """A policy or an index, as the option has it.

    Raises:
        NnmtlError: if it is neither.
    """
    if text not in POLICIES and not text.isdecimal():
        raise NnmtlError(f"--phase: expected {', '.join(POLICIES)} or an index, got {text!r}.")
    return text


def choose_phases(policy: str, phases: Phases, read_phase: ReadPhase | None) -> Choice:
    """Chooses by the policy.

    Args:
        policy: `first-post`, the second phase; `nearest-90s`, the later phase that begins nearest
            to 90 s after the first; `peak`, see `peak_phase`; `all`; or an index from 0.
        phases: of the examination; the first one counts as before contrast.
        read_phase: the voxels of a phase; None leaves a choice by voxels open, with no phase.

    Raises:
        NnmtlError: if the examination has no such phase, or no times.
    """
    count = len(phases.slices)
    if policy == "all":
        return Choice(phases=tuple(range(count)), reason=f"all {count}")
    if policy.isdecimal():
        if int(policy) >= count:
            raise NnmtlError(f"expected a phase {policy}, got {count} phases; choose another")
        return Choice(phases=(int(policy),), reason="index")
    if count == 1:
        raise NnmtlError(
            "expected a dynamic series, got one phase; name another with --series, or take this "
            "one with --phase 0"
        )
    if policy == "first-post":
        return Choice(phases=(1,), reason="first after contrast")
    if policy == "nearest-90s":
        return _nearest(phases)
    if read_phase is None:
        return Choice(phases=(), reason="peak, decided from the voxels")
    peak = peak_phase([read_phase(index) for index in range(count)])
    return Choice(phases=(peak,), reason="peak enhancement")


def channel_names(choice: Choice, extras: Sequence[str]) -> tuple[str, ...]:
    """Names for dataset.json, in the order of `channels`."""
    main = ("post",) if len(choice.phases) < 2 else tuple(f"phase {i}" for i in choice.phases)
    return (*main, *extras)


def reference_phase(choice: Choice) -> int:
    """The phase that maps are computed from and other images are brought onto.

    It is the chosen one; of several, the first after contrast.
    """
    return 1 if len(choice.phases) > 1 else choice.phases[0]


def channels(
    choice: Choice, extras: Sequence[str], num_phases: int, read_phase: ReadPhase
) -> list[Voxels]:
    """The chosen phases, then the extra channels, computed from the first chosen one.

    Where a kinetic map is not defined it is 0.

    Raises:
        NnmtlError: if a map needs a phase that there is not.
    """
    images = [read_phase(index) for index in choice.phases]
    return images + [_extra(name, choice, num_phases, read_phase) for name in extras]


def _nearest(phases: Phases) -> Choice:
    if phases.times_s is None:
        raise NnmtlError(
            f"expected times of the phases for nearest-{_WANTED_S}s, got none; choose by index"
        )
    waits = {abs(time - _WANTED_S): index for index, time in enumerate(phases.times_s) if index}
    index = waits[min(waits)]
    return Choice(phases=(index,), reason=f"{phases.times_s[index]:g} s is nearest to {_WANTED_S}")


def _extra(name: str, choice: Choice, num_phases: int, read_phase: ReadPhase) -> Voxels:
    early = reference_phase(choice)
    if name == "pre":
        return read_phase(0)
    if early == 0 or (name == "ser" and early == num_phases - 1):
        raise NnmtlError(
            f"expected phases before and after contrast for {name}, got phase {early} of "
            f"{num_phases}; choose an earlier or later one"
        )
    maps: Mapping[str, Callable[[Voxels, Voxels], Voxels]] = {
        "subtraction": lambda pre, post: post.astype(np.float32) - pre.astype(np.float32),
        "pe": percent_enhancement,
        "ser": lambda pre, post: signal_enhancement_ratio(pre, post, read_phase(num_phases - 1)),
    }
    return np.nan_to_num(maps[name](read_phase(0), read_phase(early)))
