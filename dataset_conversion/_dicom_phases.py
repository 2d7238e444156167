"""Splits the slices of a dynamic series into phases by the tag that fits their positions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnmtl.dataset_conversion._dicom_geometry import Levels, find_levels
from nnmtl.dataset_conversion._dicom_slice import Slice
from nnmtl.errors import NnmtlError

_DAY_S = 86_400
_OF_ACQUISITION = (
    *("TemporalPositionIdentifier", "TemporalPositionTimeOffset"),
    *("TriggerTime", "AcquisitionTime"),
)
_TAGS = (*_OF_ACQUISITION, "ContentTime", "AcquisitionNumber", "InstanceNumber")
_TIMES = ("TemporalPositionTimeOffset", "TriggerTime", "AcquisitionTime", "ContentTime")
# From series to series numbers begin anew. Two reconstructions share the time of acquisition, so
# that of the content tells phases apart only where there is no other.
_TAGS_ACROSS_SERIES = ("TriggerTime", "AcquisitionTime")
_SUBSTITUTES_ACROSS_SERIES = ("ContentTime", "SeriesTime")

Ranks = npt.NDArray[np.intp]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Phases:
    """The phases of an examination, in time.

    Attributes:
        slices: per phase, its slices along the normal.
        tag: that told the phases apart; empty if there is one phase.
        times_s: per phase, the seconds since the first one; None if no tag tells.
        times_tag: that told the times; empty if none did.
    """

    slices: tuple[tuple[Slice, ...], ...]
    tag: str
    times_s: tuple[float, ...] | None
    times_tag: str


def split_phases(slices: Sequence[Slice]) -> Phases:
    """Finds the tag by which every phase has every position exactly once.

    Of one series the first such tag is taken among TemporalPositionIdentifier,
    TemporalPositionTimeOffset, TriggerTime, AcquisitionTime, ContentTime, AcquisitionNumber and
    InstanceNumber. Of several series it is TriggerTime or AcquisitionTime, and ContentTime or
    SeriesTime only where AcquisitionTime is absent.

    Raises:
        NnmtlError: if the slices make no grid, no tag fits, or two tags of the acquisition
            contradict each other; without telling whose slices they are.
    """
    levels, num_phases = find_levels(slices)
    if num_phases == 1:
        ordered = _phases_in_order(slices, levels, np.zeros_like(levels))
        return Phases(slices=ordered, tag="", times_s=(0.0,), times_tag="")
    fitting = _fitting_tags(slices, levels)
    if not fitting:
        raise NnmtlError(
            f"expected a tag that tells the {num_phases} slices at each of "
            f"{levels.max() + 1} positions apart, got none among {', '.join(_TAGS)}; export each "
            "phase with its time"
        )
    tag, ranks = next(iter(fitting.items()))
    _check_whole(slices, tag, num_phases)
    for other in _OF_ACQUISITION:
        if other in fitting and (fitting[other] != ranks).any():
            raise NnmtlError(
                f"expected one order of phases, got another by {other} than by {tag}; export the "
                "series again"
            )
    agreeing = [name for name, its_ranks in fitting.items() if (its_ranks == ranks).all()]
    times_tag = next((name for name in (tag, *_TIMES) if name in agreeing and _is_time(name)), "")
    return Phases(
        slices=_phases_in_order(slices, levels, ranks),
        tag=tag,
        times_s=_times_s(slices, times_tag, ranks) if times_tag else None,
        times_tag=times_tag,
    )


def _check_whole(slices: Sequence[Slice], tag: str, num_phases: int) -> None:
    """Refuses phases that the numbers of TemporalPositionIdentifier tell are not all."""
    if tag != _TAGS[0]:
        return
    numbers = np.unique([item.order[tag] for item in slices])
    told = max((item.num_phases or 0 for item in slices), default=0)
    if len(numbers) == num_phases and (np.diff(numbers) > 1).any():
        raise NnmtlError(
            f"expected consecutive numbers in {tag}, got {num_phases} phases from {numbers[0]:g} "
            f"to {numbers[-1]:g}: phases are missing; export the series again"
        )
    if told > num_phases:
        raise NnmtlError(
            f"expected {told} phases as NumberOfTemporalPositions says, got {num_phases}; export "
            "the series again"
        )


def _fitting_tags(slices: Sequence[Slice], levels: Levels) -> dict[str, Ranks]:
    """Per tag that fits, the phase of each slice."""
    tags: tuple[str, ...] = _TAGS
    if len({item.series.uid for item in slices}) > 1:
        tags = _TAGS_ACROSS_SERIES
        if _numbers(slices, "AcquisitionTime") is None:
            tags = (*tags, *_SUBSTITUTES_ACROSS_SERIES)
    fitting = {}
    for tag in tags:
        numbers = _numbers(slices, tag)
        ranks = None if numbers is None else _ranks(numbers, levels, may_alternate=tag == _TAGS[-1])
        if ranks is not None:
            fitting[tag] = ranks
    return fitting


def _ranks(numbers: Numbers, levels: Levels, *, may_alternate: bool) -> Ranks | None:
    """The phase of each slice: its rank among those at its position; None if this cannot be.

    A phase must end before the next one begins. A number that counts the files may also go
    through all phases of one position, then of the next.
    """
    order = np.lexsort((numbers, levels))
    table = numbers[order].reshape(levels.max() + 1, -1)
    follows = (table.max(axis=0)[:-1] < table.min(axis=0)[1:]).all()
    in_file_order = levels[np.argsort(numbers)].reshape(table.shape)
    alternates = (in_file_order == in_file_order[:, :1]).all() and (np.diff(table) > 0).all()
    if not (follows or (may_alternate and alternates)):
        return None
    ranks = np.empty_like(levels)
    ranks[order] = np.tile(np.arange(table.shape[1]), table.shape[0])
    return ranks


def _numbers(slices: Sequence[Slice], tag: str) -> Numbers | None:
    """The tag's number of each slice, times of day on one clock; None if a slice has none."""
    found = [item.order.get(tag) for item in slices]
    numbers = np.array([number for number in found if number is not None])
    if len(numbers) < len(slices):
        return None
    if tag in ("AcquisitionTime", "ContentTime", "SeriesTime"):
        days = [item.order.get(tag.replace("Time", "Date")) for item in slices]
        if None not in days:
            return numbers + _DAY_S * (np.array(days, dtype=float) - min(filter(None, days)))
        if np.ptp(numbers) > _DAY_S / 2:  # past midnight
            return np.where(numbers < _DAY_S / 2, numbers + _DAY_S, numbers)
    return numbers


def _is_time(tag: str) -> bool:
    return tag in (*_TIMES, "SeriesTime")


def _times_s(slices: Sequence[Slice], tag: str, ranks: Ranks) -> tuple[float, ...]:
    numbers = _numbers(slices, tag)
    assert numbers is not None
    starts = [numbers[ranks == phase].min() for phase in range(ranks.max() + 1)]
    return tuple(round(float(start - starts[0]), 3) for start in starts)


def _phases_in_order(
    slices: Sequence[Slice], levels: Levels, ranks: Ranks
) -> tuple[tuple[Slice, ...], ...]:
    order = np.lexsort((levels, ranks))
    in_order = [slices[index] for index in order]
    size = int(levels.max()) + 1
    return tuple(tuple(in_order[start : start + size]) for start in range(0, len(in_order), size))
