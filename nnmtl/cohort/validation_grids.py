"""Which cases lie in space unlike the others of their center."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from nnmtl.cohort.case_content import CaseContent
from nnmtl.cohort.peers import by_center, span, unusual
from nnmtl.cohort.validation import Finding, shown_names

# Resampled by more, half of the voxels are invented or thrown away; a header that was lost (1 mm on
# every axis) or is in another unit differs by more, too.
_SPACING_FACTOR = 2.0
_SHEAR = 1e-3  # ITK leaves a smaller one out, which moves no voxel of 1000 by its own width
_AXES = ("z", "y", "x")


def check_grids(cases: Sequence[CaseContent], *, is_reoriented: bool) -> list[Finding]:
    """Orientation, voxel size and right angles of every case.

    Args:
        cases: of training and of testing.
        is_reoriented: whether nnU-Net's reader turns every image to the same axes, so that it
            does not matter how they are stored.
    """
    findings = [] if is_reoriented else _check_orientations(cases)
    for center, members in by_center(cases).items():
        findings += _check_spacings(center, members)
    return findings + _check_shear(cases)


def _check_orientations(cases: Sequence[CaseContent]) -> list[Finding]:
    findings, usual_of_center = [], {}
    for center, members in by_center(cases).items():
        counts = Counter(case.orientation for case in members)
        usual = usual_of_center[center] = counts.most_common(1)[0][0]
        others = [case for case in members if case.orientation != usual]
        if others:
            codes = ", ".join(f"{code} {count}" for code, count in counts.most_common())
            findings.append(
                Finding(
                    level="warning",
                    message=f"orientation: the images of center {center!r} are stored in several "
                    f"({codes}; unlike the most: {shown_names([case.case_id for case in others])}) "
                    f"and nnU-Net would train on them as they are; {_REORIENT}.",
                    case_ids=tuple(case.case_id for case in others),
                )
            )
    if len(set(usual_of_center.values())) > 1:
        told = ", ".join(f"{center!r} {code}" for center, code in usual_of_center.items())
        findings.append(
            Finding(
                level="warning",
                message=f"orientation: the centers store their images differently ({told}), and "
                f"nnU-Net would train on them as they are; {_REORIENT}.",
            )
        )
    return findings


_REORIENT = 'set "overwrite_image_reader_writer": "SimpleITKIOWithReorient" in dataset.json'


def _check_spacings(center: str, cases: Sequence[CaseContent]) -> list[Finding]:
    """One sentence per axis, since several cases may come from another scanner."""
    findings = []
    for axis, name in enumerate(_AXES):
        spacings = [case.geometry.spacing_mm[axis] for case in cases]
        flags = unusual(spacings, factor=_SPACING_FACTOR)
        odd = [case for case, is_odd in zip(cases, flags, strict=True) if is_odd]
        if odd:
            found = [case.geometry.spacing_mm[axis] for case in odd]
            findings.append(
                Finding(
                    level="warning",
                    message=f"spacing: {len(odd)} of {len(cases)} cases of center {center!r} have "
                    f"voxels of {span(found)} mm along {name}, usual are "
                    f"{np.median(spacings):.3g} mm: {shown_names([case.case_id for case in odd])}; "
                    "check that their headers are right.",
                    case_ids=tuple(case.case_id for case in odd),
                )
            )
    return findings


def _check_shear(cases: Sequence[CaseContent]) -> list[Finding]:
    return [
        Finding(
            level="warning",
            message=f"affine: the axes of the case {case.case_id!r} are not at right angles "
            f"(cosine {case.shear:.2g}), which nnU-Net ignores; resample it onto a grid whose are.",
            case_ids=(case.case_id,),
        )
        for case in cases
        if case.shear > _SHEAR
    ]
