"""Judges every task on all cases and on each center."""

from collections.abc import Sequence

import numpy as np

from nnmtl.evaluation.discrimination import BoolArray
from nnmtl.evaluation.join import Joined, JoinedBiomarker, JoinedNumber
from nnmtl.evaluation.results import CaseSegmentation, Metric, TaskResult
from nnmtl.evaluation.task_metrics import (
    binary_metrics,
    categorical_metrics,
    continuous_metrics,
    segmentation_metrics,
)


def evaluate(joined: Joined, segmentations: Sequence[CaseSegmentation]) -> tuple[TaskResult, ...]:
    """Segmentation, then each biomarker; of each first all centers together, then one by one.

    Args:
        joined: N cases.
        segmentations: of those of them that have a true label map; none leaves the task out.
    """
    results = []
    centers = sorted(set(joined.centers))
    groups = [None, *centers] if len(centers) > 1 else [None]
    if segmentations:
        results += [_judge_segmentation(joined, segmentations, center) for center in groups]
    for biomarker in joined.biomarkers:
        results += [_judge_biomarker(joined, biomarker, center) for center in groups]
    return tuple(results)


def _judge_segmentation(
    joined: Joined, segmentations: Sequence[CaseSegmentation], center: str | None
) -> TaskResult:
    in_group = _in_group(joined, center)
    members = {case for case, is_in in zip(joined.case_ids, in_group, strict=True) if is_in}
    patient_of = dict(zip(joined.case_ids, joined.patient_ids, strict=True))
    cases = [case for case in segmentations if case.case_id in members]
    return TaskResult(
        task="segmentation",
        kind="segmentation",
        center=center,
        num_cases=len(members),
        num_patients=len({patient_of[case_id] for case_id in members}),
        num_without_truth=len(members) - len(cases),
        num_without_answer=sum(case.is_missed for case in cases),
        metrics=segmentation_metrics(cases, [patient_of[case.case_id] for case in cases]),
        intention_to_diagnose=None,
    )


def _judge_biomarker(joined: Joined, biomarker: JoinedBiomarker, center: str | None) -> TaskResult:
    in_group = _in_group(joined, center)
    has_truth = in_group & biomarker.has_truth
    is_missing = has_truth & ~biomarker.has_answer
    patient_ids = np.asarray(joined.patient_ids, dtype=str)
    metrics = _metrics(biomarker, has_truth & ~is_missing, patient_ids)
    return TaskResult(
        task=biomarker.biomarker.name,
        kind=biomarker.biomarker.kind,
        center=center,
        num_cases=int(in_group.sum()),
        num_patients=len(set(patient_ids[in_group])),
        num_without_truth=int((in_group & ~has_truth).sum()),
        num_without_answer=int(is_missing.sum()),
        metrics=metrics,
        intention_to_diagnose=_metrics(biomarker.filled(), has_truth, patient_ids)
        if is_missing.any()
        else metrics,
    )


def _metrics(
    biomarker: JoinedBiomarker, rows: BoolArray, patient_ids: np.ndarray
) -> tuple[Metric, ...]:
    patients = patient_ids[rows].tolist()
    selected = biomarker.select(rows)
    if isinstance(selected, JoinedNumber):
        return continuous_metrics(selected, patients)
    if selected.biomarker.kind == "binary":
        return binary_metrics(selected, patients)
    return categorical_metrics(selected, patients)


def _in_group(joined: Joined, center: str | None) -> BoolArray:
    if center is None:
        return np.ones(len(joined.case_ids), dtype=bool)
    return np.array([name == center for name in joined.centers], dtype=bool)
