"""Judges a folder of predictions against the raw dataset that they are for."""

import logging
from pathlib import Path

import numpy as np

from nnmtl.cohort.biomarker import Biomarker
from nnmtl.errors import NnmtlError
from nnmtl.evaluation.answers import Answers
from nnmtl.evaluation.evaluate import evaluate
from nnmtl.evaluation.join import Joined, join
from nnmtl.evaluation.label_maps import judge_segmentation
from nnmtl.evaluation.raw_dataset import (
    RawDataset,
    cases_with_label,
    find_split,
    missing_cases,
    read_posteriors,
)
from nnmtl.evaluation.results import CaseSegmentation, Evaluation, Split
from nnmtl.evaluation.weighted import FloatArray
from nnmtl.inference.case_prediction import STATUS_OK, CasePrediction
from nnmtl.inference.predictions import PredictionSet, read_predictions

_logger = logging.getLogger(__name__)


def evaluate_folder(folder: Path, raw: RawDataset, *, split: Split | None = None) -> Evaluation:
    """Reads predictions, label maps and targets, and judges every task.

    Args:
        folder: what nnMTL_predict wrote.
        raw: the dataset with the truth.
        split: of the predicted cases; None finds the one that holds them all.

    Raises:
        NnmtlError: if a predicted case is not of the split, or predictions are incomplete.
    """
    predictions = read_predictions(folder)
    case_ids = [case.case_id for case in predictions.cases]
    if not case_ids:
        raise NnmtlError(f"{folder}: expected predicted cases, got none; predict some.")
    split = split or find_split(raw, case_ids)
    _check_cases(raw, case_ids, split)
    joined = join(
        answers_of(predictions), raw.targets(), raw.declaration, bayes=read_posteriors(raw)
    )
    segmentations = _judge_segmentations(folder, raw, predictions, split)
    return Evaluation(
        dataset=raw.folder.name,
        split=split,
        model=predictions.model,
        trained_on=predictions.trained_on,
        is_phantom=predictions.trained_on == "phantom" or raw.is_synthetic,
        notes=tuple(_notes(raw, predictions, joined, segmentations, split)),
        joined=joined,
        segmentations=segmentations,
        tasks=evaluate(joined, segmentations),
    )


def answers_of(predictions: PredictionSet) -> Answers:
    """The predictions as arrays."""
    cases = predictions.cases
    return Answers(
        case_ids=tuple(case.case_id for case in cases),
        centers=tuple(case.center for case in cases),
        flags=tuple(case.flags for case in cases),
        biomarkers=predictions.biomarkers,
        scores={entry.name: _scores(cases, entry) for entry in predictions.biomarkers},
        thresholds=predictions.thresholds,
        training_median=predictions.training_median,
        at_least={
            entry.name: found
            for entry in predictions.biomarkers
            if (found := _at_least(cases, entry)).size
        },
    )


def _scores(cases: tuple[CasePrediction, ...], biomarker: Biomarker) -> FloatArray:
    answers = np.array([case.biomarkers[biomarker.name].answer for case in cases], dtype=float)
    if biomarker.kind == "binary":
        return np.concatenate([1 - answers, answers], axis=1)
    return answers


def _at_least(cases: tuple[CasePrediction, ...], biomarker: Biomarker) -> FloatArray:
    """(N, C), nan where a case has no answer; (N, 0) where no case tells any."""
    told = [case.biomarkers[biomarker.name].at_least for case in cases]
    count = max(map(len, told))
    return np.array([each or (np.nan,) * count for each in told], dtype=float).reshape(
        len(told), count
    )


def _check_cases(raw: RawDataset, case_ids: list[str], split: Split) -> None:
    lost = missing_cases(raw, case_ids, split)
    if lost:
        raise NnmtlError(
            f"{raw.folder}: expected all predicted cases in images{split}, but {len(lost)} are "
            f"not, such as {lost[0]!r}; leave out --split or name the other one."
        )


def _judge_segmentations(
    folder: Path, raw: RawDataset, predictions: PredictionSet, split: Split
) -> tuple[CaseSegmentation, ...]:
    judged = [
        judge_segmentation(raw, case.case_id, truth_path, _predicted_path(folder, raw, case))
        for case in predictions.cases
        if (truth_path := raw.label_path(case.case_id, split)).is_file()
    ]
    return tuple(case for case in judged if case is not None)


def _predicted_path(folder: Path, raw: RawDataset, case: CasePrediction) -> Path | None:
    """The predicted label map; only a case that failed may be without one."""
    path = folder / f"{case.case_id}{raw.file_ending}"
    if path.is_file():
        return path
    if case.status == STATUS_OK:
        raise NnmtlError(
            f"{path}: expected the label map of a predicted case, but there is none; "
            "put it there or predict again."
        )
    return None


def _notes(
    raw: RawDataset,
    predictions: PredictionSet,
    joined: Joined,
    segmentations: tuple[CaseSegmentation, ...],
    split: Split,
) -> list[str]:
    notes = []
    predicted = {case.case_id for case in predictions.cases}
    skipped = [case_id for case_id in cases_with_label(raw, split) if case_id not in predicted]
    if skipped:
        notes.append(f"{len(skipped)} cases of labels{split} have no prediction and do not count.")
    if joined.without_row:
        notes.append(f"{len(joined.without_row)} predicted cases have no row in targets.csv.")
    if len(segmentations) < len(predicted):
        missing = len(predicted) - len(segmentations)
        notes.append(f"{missing} predicted cases have no true label map and are left out of Dice.")
    declared = {biomarker.name for biomarker in raw.declaration.biomarkers}
    undeclared = [entry.name for entry in predictions.biomarkers if entry.name not in declared]
    if undeclared:
        notes.append(f"Predicted but not declared in this dataset: {', '.join(undeclared)}.")
    unanswered = declared - {entry.name for entry in predictions.biomarkers}
    if unanswered and predictions.biomarkers:
        notes.append(
            f"Declared, but not what this model predicts: {', '.join(sorted(unanswered))}."
        )
    for note in notes:
        _logger.warning("%s", note)
    return notes
