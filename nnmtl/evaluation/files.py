"""`evaluation.json`, which is complete, and `evaluation.csv` with a row per metric."""

import json
import math
from pathlib import Path

from nnmtl.cohort.biomarker import CategoricalBiomarker
from nnmtl.cohort.cell import BINARY_CATEGORIES
from nnmtl.cohort.csv_file import write_csv
from nnmtl.evaluation.intervals import CONFIDENCE, NUM_RESAMPLES, SEED
from nnmtl.evaluation.join import NO_CLASS, JoinedBiomarker, JoinedNumber
from nnmtl.evaluation.results import CaseSegmentation, Evaluation, Metric, TaskResult
from nnmtl.whole_file import write_whole

SCHEMA = 1
JSON_NAME = "evaluation.json"
CSV_NAME = "evaluation.csv"
_ALL_CENTERS = "all"
_COLUMNS = ("task", "kind", "center", "analysis", "metric")
_NUMBERS = ("value", "lower", "upper", "n", "n_events", "reason")


def write_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Writes both files into an existing folder."""
    content = evaluation_to_json(evaluation)
    write_whole(folder / JSON_NAME, json.dumps(content, indent=1, allow_nan=False) + "\n")
    rows = [row for task in evaluation.tasks for row in _task_rows(task)]
    names = (*_COLUMNS, *_NUMBERS)
    columns = {name: [row[position] for row in rows] for position, name in enumerate(names)}
    write_csv(folder / CSV_NAME, columns)


def evaluation_to_json(evaluation: Evaluation) -> dict[str, object]:
    """The content of evaluation.json; nan becomes null, and the reason says why."""
    segmentations = {case.case_id: case for case in evaluation.segmentations}
    joined = evaluation.joined
    return {
        "schema": SCHEMA,
        "dataset": evaluation.dataset,
        "split": evaluation.split,
        "model": evaluation.model,
        "trained_on": evaluation.trained_on,
        "phantom": evaluation.is_phantom,
        "notes": list(evaluation.notes),
        "interval": {
            "confidence": CONFIDENCE,
            "method": "percentile bootstrap over patients",
            "resamples": NUM_RESAMPLES,
            "seed": SEED,
        },
        "tasks": [_task_to_json(task) for task in evaluation.tasks],
        "cases": {
            case_id: {
                "patient_id": joined.patient_ids[row],
                "center": joined.centers[row],
                "flags": list(joined.flags[row]),
                "segmentation": _segmentation_to_json(segmentations.get(case_id)),
                "biomarkers": {
                    entry.biomarker.name: {
                        "target": target_to_json(entry, row),
                        "answer": answer_to_json(entry, row),
                    }
                    for entry in joined.biomarkers
                },
            }
            for row, case_id in enumerate(joined.case_ids)
        },
    }


def target_to_json(entry: JoinedBiomarker, row: int) -> object:
    """The class, the value or the two ends of an interval; None where the case is left out."""
    if isinstance(entry, JoinedNumber):
        if not entry.has_truth[row]:
            return None
        lower, upper = float(entry.lower[row]), float(entry.upper[row])
        return lower if lower == upper else [lower, upper]
    number = int(entry.classes[row])
    return None if number == NO_CLASS else class_names(entry)[number]


def answer_to_json(entry: JoinedBiomarker, row: int) -> object:
    """The value, the probability of positive or that of each category; None without answer."""
    if not entry.has_answer[row]:
        return None
    scores = [float(score) for score in entry.scores[row]]
    if isinstance(entry.biomarker, CategoricalBiomarker):
        return dict(zip(entry.biomarker.categories, scores, strict=True))
    return scores[-1]


def class_names(entry: JoinedBiomarker) -> tuple[str, ...]:
    """The names of a biomarker's classes, `0` and `1` for a binary one."""
    if isinstance(entry.biomarker, CategoricalBiomarker):
        return entry.biomarker.categories
    return BINARY_CATEGORIES


def _task_to_json(task: TaskResult) -> dict[str, object]:
    content: dict[str, object] = {
        "task": task.task,
        "kind": task.kind,
        "center": task.center,
        "num_cases": task.num_cases,
        "num_patients": task.num_patients,
        "num_without_truth": task.num_without_truth,
        "num_without_answer": task.num_without_answer,
        "metrics": {metric.name: _metric_to_json(metric) for metric in task.metrics},
    }
    if task.intention_to_diagnose is not None:
        content["intention_to_diagnose"] = {
            metric.name: _metric_to_json(metric) for metric in task.intention_to_diagnose
        }
    return content


def _metric_to_json(metric: Metric) -> dict[str, object]:
    return {
        "value": _number_or_null(metric.value),
        "lower": _number_or_null(metric.lower),
        "upper": _number_or_null(metric.upper),
        "n": metric.n,
        "n_events": metric.n_events,
        "reason": metric.reason,
    }


def _segmentation_to_json(case: CaseSegmentation | None) -> dict[str, float] | None:
    if case is None:
        return None
    return {
        "dice": case.dice,
        "hd95_mm": case.hd95_mm,
        "true_volume_ml": case.true_volume_ml,
        "predicted_volume_ml": case.predicted_volume_ml,
    }


def _number_or_null(number: float) -> float | None:
    return None if math.isnan(number) else number


def _task_rows(task: TaskResult) -> list[tuple[str, ...]]:
    analyses = [("answered", task.metrics)]
    if task.intention_to_diagnose is not None:
        analyses.append(("intention_to_diagnose", task.intention_to_diagnose))
    center = _ALL_CENTERS if task.center is None else task.center
    return [
        (task.task, task.kind, center, analysis, metric.name, *_numbers(metric))
        for analysis, metrics in analyses
        for metric in metrics
    ]


def _numbers(metric: Metric) -> tuple[str, ...]:
    events = "" if metric.n_events is None else str(metric.n_events)
    # Six digits are far below any interval's width.
    numbers = [f"{number:.6g}" for number in (metric.value, metric.lower, metric.upper)]
    return (*numbers, str(metric.n), events, metric.reason or "")
