"""Which images are empty, or have values unlike those of their center."""

from collections.abc import Sequence

import numpy as np

from nnmtl.cohort.case_content import CaseContent, ChannelContent
from nnmtl.cohort.peers import FEWEST_PEERS, by_center, span, unusual
from nnmtl.cohort.validation import Finding, Level, shown_names

# In an image of a million voxels that is a cube of 10: less than any organ.
_NEARLY_EMPTY = 0.001
# A decimal place: units, a lost rescale slope, or an image that was normalized. Scanners' gains
# differ by less.
_RANGE_FACTOR = 10.0
_FILLED_FACTOR = 10.0
# Interpolation leaves a few voxels below 0 at sharp edges.
_NEGATIVE = 0.01
_ALMOST_ALL = 0.9

_Images = list[tuple[CaseContent, ChannelContent]]


def check_intensities(cases: Sequence[CaseContent]) -> list[Finding]:
    """Every image by itself and against the same channel of its center."""
    findings = _check_copies(cases)
    for center, members in by_center(cases).items():
        for number in sorted({number for case in members for number in case.channels}):
            images = [(case, case.channels[number]) for case in members if number in case.channels]
            findings += _check_empty(number, images)
            filled = [(case, image) for case, image in images if image.filled_fraction > 0]
            findings += _check_range(center, number, filled)
            findings += _check_sign(center, number, filled)
    return findings


def _check_empty(number: int, images: _Images) -> list[Finding]:
    findings = []
    fractions = [image.filled_fraction for _, image in images]
    is_unusual = unusual(fractions, factor=_FILLED_FACTOR)
    usual = sorted(fractions)[len(fractions) // 2]
    for (case, image), is_odd in zip(images, is_unusual, strict=True):
        if image.filled_fraction == 0:
            findings.append(
                _finding(
                    "error",
                    case,
                    f"has one value in every voxel of channel {number}; export it again or, if it "
                    "was not acquired, store zeros and list it in missing_channels",
                )
            )
        elif image.filled_fraction < _NEARLY_EMPTY or (is_odd and image.filled_fraction < usual):
            findings.append(
                _finding(
                    "warning",
                    case,
                    f"is nearly empty in channel {number}: {image.filled_fraction:.2%} of the "
                    "voxels differ from the background; look whether it was exported whole",
                )
            )
    return findings


def _check_range(center: str, number: int, images: _Images) -> list[Finding]:
    """One sentence each for wider and narrower ones, since several may come from one export."""
    ranges = [image.high - image.low for _, image in images]
    flags = unusual(ranges, factor=_RANGE_FACTOR)
    usual = float(np.median(ranges)) if ranges else 0.0
    findings = []
    for is_wider in (True, False):
        odd = [
            (case, width / usual)
            for (case, _), width, is_odd in zip(images, ranges, flags, strict=True)
            if is_odd and (width > usual) == is_wider
        ]
        if odd:
            findings.append(
                _of_center(
                    center,
                    [case for case, _ in odd],
                    len(images),
                    f"the values of channel {number} span {span([ratio for _, ratio in odd])} "
                    f"times the usual {usual:.3g} (1st to 99th percentile)",
                    "look for another unit, a lost rescale slope, or images that were normalized",
                )
            )
    return findings


def _check_sign(center: str, number: int, images: _Images) -> list[Finding]:
    """A center's images have negative values, or have none."""
    has_negative = [image.negative_fraction > _NEGATIVE for _, image in images]
    share = sum(has_negative) / max(len(images), 1)
    if len(images) < FEWEST_PEERS or share in (0, 1) or _ALMOST_ALL > share > 1 - _ALMOST_ALL:
        return []
    is_usual = share >= _ALMOST_ALL
    odd = [case for (case, _), found in zip(images, has_negative, strict=True) if found != is_usual]
    told = "no negative values, unlike the others" if is_usual else "negative values, the others no"
    return [
        _of_center(
            center,
            odd,
            len(images),
            f"channel {number} has {told}",
            "look for a lost offset, or another processing",
        )
    ]


def _check_copies(cases: Sequence[CaseContent]) -> list[Finding]:
    """One sentence for each pair of channels, since a whole export may have them exchanged."""
    copied: dict[tuple[int, int], list[str]] = {}
    for case in cases:
        for pair in case.copies:
            copied.setdefault(pair, []).append(case.case_id)
    return [
        Finding(
            level="warning",
            message=f"intensity: the channels {one} and {other} of {shown_names(case_ids)} are one "
            "image; export the right one or, if it was not acquired, store zeros and list it in "
            "missing_channels.",
            case_ids=tuple(case_ids),
        )
        for (one, other), case_ids in sorted(copied.items())
    ]


def _of_center(
    center: str, odd: Sequence[CaseContent], num_images: int, told: str, advice: str
) -> Finding:
    case_ids = [case.case_id for case in odd]
    return Finding(
        level="warning",
        message=f"intensity: in {len(odd)} of {num_images} cases of center {center!r} {told}: "
        f"{shown_names(case_ids)}; {advice}.",
        case_ids=tuple(case_ids),
    )


def _finding(level: Level, case: CaseContent, told: str) -> Finding:
    return Finding(
        level=level,
        message=f"intensity: the case {case.case_id!r} {told}.",
        case_ids=(case.case_id,),
    )
