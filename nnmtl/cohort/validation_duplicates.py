"""Which images stand under two case ids."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from nnmtl.cohort.case_content import CaseContent
from nnmtl.cohort.image_fingerprint import similarities
from nnmtl.cohort.validation import Finding, Level

# Copies that were resampled, rounded or windowed keep .95 to 1; images of different people, also
# of one protocol, stay under .8 (docs/reference/check_dataset.md).
SAME_PICTURE = 0.95
_AT_ONCE = 1000  # rows of the table of similarities that are in memory

_Pair = tuple[int, int]


def check_duplicates(cases: Sequence[CaseContent]) -> list[Finding]:
    """Images that are equal voxel by voxel, or one picture stored in another way.

    An error where testing would be on a training image, or one image belongs to two patients.
    A picture that only looks the same is a warning among training cases.

    Args:
        cases: of training and of testing.
    """
    exact = _equal_voxels(cases)
    alike = {pair: found for pair, found in _same_pictures(cases).items() if pair not in exact}
    return [
        *(
            _finding(cases[one], cases[other], f"have equal voxels {where}", is_sure=True)
            for (one, other), where in sorted(exact.items())
        ),
        *(
            _finding(
                cases[one],
                cases[other],
                f"show one picture in channel {number} (similarity {similarity:.3f})",
                is_sure=False,
            )
            for (one, other), (number, similarity) in sorted(alike.items())
        ),
    ]


def _equal_voxels(cases: Sequence[CaseContent]) -> dict[_Pair, str]:
    """Pairs of cases with an equal image, and in which channels it is."""
    holders = defaultdict(list)
    for row, case in enumerate(cases):
        for number, image in sorted(case.channels.items()):
            if image.filled_fraction > 0:  # constant images are all alike
                holders[image.voxel_hash].append((row, number))
    shared: dict[_Pair, list[_Pair]] = defaultdict(list)
    for held in holders.values():
        for (one, number), (other, other_number) in combinations(held, 2):
            if one != other:
                shared[one, other].append((number, other_number))
    return {pair: _told(numbers) for pair, numbers in shared.items()}


def _told(numbers: Sequence[_Pair]) -> str:
    same = [str(one) for one, other in numbers if one == other]
    if same:
        return f"in channel {', '.join(same)}"
    one, other = numbers[0]
    return f"in channel {one} of one and {other} of the other"


def _same_pictures(cases: Sequence[CaseContent]) -> dict[_Pair, tuple[int, float]]:
    """Pairs of cases with one picture, the channel in which it is, and the similarity."""
    found: dict[_Pair, tuple[int, float]] = {}
    for number in sorted({number for case in cases for number in case.channels}):
        for pair, similarity in _similar_pairs(cases, number):
            if pair not in found or found[pair][1] < similarity:
                found[pair] = number, similarity
    return found


def _similar_pairs(cases: Sequence[CaseContent], number: int) -> Iterator[tuple[_Pair, float]]:
    rows, fingerprints = [], []
    for row, case in enumerate(cases):
        image = case.channels.get(number)
        if image is not None and image.fingerprint is not None:
            rows.append(row)
            fingerprints.append(image.fingerprint)
    if not rows:
        return
    stacked = np.stack(fingerprints)
    for start in range(0, len(rows), _AT_ONCE):
        table = similarities(stacked[start : start + _AT_ONCE], stacked)
        for at, other in np.argwhere(table > SAME_PICTURE).tolist():
            if start + at < other:
                yield (rows[start + at], rows[other]), float(table[at, other])


def _finding(one: CaseContent, other: CaseContent, told: str, *, is_sure: bool) -> Finding:
    return Finding(
        level=_level(one, other, is_sure=is_sure),
        message=f"duplicates: {_named(one)} and {_named(other)} {told}; {_advice(one, other)}.",
        case_ids=(one.case_id, other.case_id),
    )


def _level(one: CaseContent, other: CaseContent, *, is_sure: bool) -> Level:
    if one.split != other.split:
        return "error"
    if one.patient_id != other.patient_id and one.split == "Tr":
        return "error" if is_sure else "warning"
    return "warning"


def _named(case: CaseContent) -> str:
    kind = "test" if case.split == "Ts" else "training"
    return f"the {kind} case {case.case_id!r} (patient {case.patient_id!r}, {case.center!r})"


def _advice(one: CaseContent, other: CaseContent) -> str:
    if one.split != other.split:
        return "remove one, or testing is not on new patients"
    if one.patient_id == other.patient_id:
        return "remove one, or give the right image to each"
    return (
        "give both the same patient_id and remove one, or the right image to each, since folds "
        "would hold out an image that they train on"
    )
