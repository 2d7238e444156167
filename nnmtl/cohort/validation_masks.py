"""Which masks do not look like a tumor in a body."""

from collections.abc import Collection, Sequence

from nnmtl.cohort.case_content import SPECK_VOXELS, CaseContent, MaskContent
from nnmtl.cohort.peers import by_center
from nnmtl.cohort.validation import Finding, shown_names

# The body is found by a threshold, so that a part of a tumor under the skin may seem outside.
_OUTSIDE = 0.5
# Many lesions are seldom more; a mask that was thresholded or resampled badly has hundreds.
_MANY_PARTS = 10
_PARTS_FACTOR = 4


def check_masks(cases: Sequence[CaseContent], *, known_labels: Collection[int]) -> list[Finding]:
    """Every mask by itself, and its parts against those of its center.

    Empty masks and labels of training cases are `check_labels`' affair.

    Args:
        cases: of training and of testing.
        known_labels: all values that dataset.json declares.
    """
    findings = _check_test_labels(cases, known_labels)
    for members in by_center(cases).values():
        findings += _check_each(members)
        findings += _check_border(members)
    return findings


def _check_test_labels(
    cases: Sequence[CaseContent], known_labels: Collection[int]
) -> list[Finding]:
    findings = []
    for case in cases:
        unknown = sorted(set(case.mask.labels) - set(known_labels)) if case.mask else []
        if unknown and case.split == "Ts":
            findings.append(
                Finding(
                    level="error",
                    message=f"labels: the label map of the test case {case.case_id!r} holds "
                    f"{unknown}, but dataset.json declares {sorted(known_labels)}; correct one of "
                    "them.",
                    case_ids=(case.case_id,),
                )
            )
    return findings


def _check_each(cases: Sequence[CaseContent]) -> list[Finding]:
    numbers = sorted(case.geometry.num_lesions or 0 for case in cases)
    many = max(_MANY_PARTS, _PARTS_FACTOR * numbers[len(numbers) // 2])
    findings = []
    for case in cases:
        if case.mask is not None and case.mask.num_voxels:
            told = _tell(case.mask, case.geometry.num_lesions or 0, many)
            findings += [
                Finding(
                    level="warning",
                    message=f"masks: the tumor of the case {case.case_id!r} {sentence}.",
                    case_ids=(case.case_id,),
                )
                for sentence in told
            ]
    return findings


def _tell(mask: MaskContent, num_parts: int, many: int) -> list[str]:
    told = []
    if mask.num_voxels < SPECK_VOXELS:
        told.append(
            f"has {mask.num_voxels} voxels, which resampling may lose; look whether the mask is "
            "whole"
        )
    if mask.outside_fraction > _OUTSIDE:
        told.append(
            f"lies to {mask.outside_fraction:.0%} outside the body; look whether the mask is "
            "flipped, moved, or of another case"
        )
    if num_parts > many:
        told.append(
            f"has {num_parts} parts, {mask.num_specks} of them under {SPECK_VOXELS} voxels; look "
            "whether the mask was resampled or thresholded wrongly, and remove specks"
        )
    return told


def _check_border(cases: Sequence[CaseContent]) -> list[Finding]:
    """One sentence for all cases of a center, since it may be so by design."""
    case_ids = [
        case.case_id for case in cases if case.mask is not None and case.mask.touches_border
    ]
    if not case_ids:
        return []
    return [
        Finding(
            level="note",
            message=f"masks: in {len(case_ids)} of {len(cases)} cases of center "
            f"{cases[0].center!r} the tumor touches the image's border, so that a part of it may "
            f"be missing: {shown_names(case_ids)}; look whether the images were cut too small.",
            case_ids=tuple(case_ids),
        )
    ]
