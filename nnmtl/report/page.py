"""The page of an evaluation: one self-contained HTML file, without scripts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from nnmtl.cohort.biomarker import CategoricalBiomarker, ContinuousBiomarker
from nnmtl.evaluation.join import Joined, JoinedBiomarker, JoinedNumber
from nnmtl.evaluation.raw_dataset import RawDataset
from nnmtl.evaluation.results import CaseSegmentation, Evaluation, Metric, TaskResult
from nnmtl.report.biomarker_figures import draw_classes, draw_numbers
from nnmtl.report.case_picture import draw_slice, read_slice
from nnmtl.report.segmentation_figure import draw_dice
from nnmtl.report.style import png_uri, svg_uri
from nnmtl.report.wording import (
    interval_text,
    is_fraction,
    metric_name,
    number,
    primary_metric,
    value_text,
)
from nnmtl.whole_file import write_whole

PAGE_NAME = "evaluation.html"


@dataclass(frozen=True, kw_only=True)
class _Bar:
    """An interval on a scale of 0 to 1, in percent of its width."""

    left: float
    width: float
    value: float


def write_page(evaluation: Evaluation, raw: RawDataset, predictions: Path, path: Path) -> None:
    """Writes the page.

    Args:
        evaluation: what to show.
        raw: where the images are; cases without image are not drawn.
        predictions: the folder with the predicted label maps.
        path: of the HTML file.
    """
    environment = Environment(
        loader=PackageLoader("nnmtl.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "metric_name": metric_name,
        "value_text": value_text,
        "interval_text": interval_text,
    }
    overall = [task for task in evaluation.tasks if task.center is None]
    html = environment.get_template("evaluation.html").render(
        evaluation=evaluation,
        num_patients=len(set(evaluation.joined.patient_ids)),
        centers=sorted(set(evaluation.joined.centers)),
        tasks=overall,
        rows={task.task: _rows(task, evaluation.joined) for task in overall},
        units=_units(evaluation.joined),
        by_center=_by_center(evaluation),
        flags=_flag_counts(evaluation.joined),
        dice_figure=_dice_figure(evaluation),
        biomarker_figures=_biomarker_figures(evaluation, overall),
        cases=[
            _case(evaluation, raw, predictions, title, case)
            for title, case in notable_cases(evaluation.segmentations)
        ],
    )
    write_whole(path, html)


def notable_cases(
    segmentations: Sequence[CaseSegmentation],
) -> list[tuple[str, CaseSegmentation]]:
    """The cases of best, median and worst Dice, each once."""
    ranked = sorted(segmentations, key=lambda case: (-case.dice, case.case_id))
    if not ranked:
        return []
    last = len(ranked) - 1
    positions = {"Best": 0, "Median": last // 2, "Worst": last}
    titles: dict[int, str] = {}
    for title, position in positions.items():
        titles.setdefault(position, title)
    return [(f"{title} Dice", ranked[position]) for position, title in titles.items()]


def _rows(task: TaskResult, joined: Joined) -> list[tuple[Metric, _Bar | None, bool]]:
    """Metric, its bar, and whether it is the one that sums up the task."""
    return [
        (metric, _bar(metric), metric.name == primary_metric(task.kind))
        for metric in task.metrics
        # A class's AUC stands in its figure and the table would grow long.
        if not (metric.name.startswith("auc_") and metric.name not in _SUMMARY_AUCS)
        or metric.name.startswith("auc_at_")
    ]


_SUMMARY_AUCS = ("auc_bayes", "auc_macro", "auc_micro")


def _bar(metric: Metric) -> _Bar | None:
    if not is_fraction(metric) or metric.value != metric.value:
        return None
    has_interval = metric.lower == metric.lower
    lower, upper = (metric.lower, metric.upper) if has_interval else (metric.value,) * 2
    return _Bar(left=100 * lower, width=100 * (upper - lower), value=100 * metric.value)


def _units(joined: Joined) -> dict[str, str]:
    """The unit of each task that has one, else an empty text."""
    units = {"segmentation": ""}
    for entry in joined.biomarkers:
        declared = entry.biomarker
        units[declared.name] = declared.unit if isinstance(declared, ContinuousBiomarker) else ""
    return units


def _by_center(evaluation: Evaluation) -> list[tuple[str, list[tuple[TaskResult, Metric]]]]:
    """Per center the one metric of each task; empty with one center."""
    centers = sorted({task.center for task in evaluation.tasks if task.center is not None})
    return [
        (
            center,
            [
                (task, task.metric(primary_metric(task.kind)))
                for task in evaluation.tasks
                if task.center == center
            ],
        )
        for center in centers
    ]


def _flag_counts(joined: Joined) -> list[tuple[str, int]]:
    raised = [flag for flags in joined.flags for flag in flags]
    return [(flag, raised.count(flag)) for flag in sorted(set(raised))]


def _dice_figure(evaluation: Evaluation) -> str | None:
    if not evaluation.segmentations:
        return None
    drawn = draw_dice(evaluation.joined, evaluation.segmentations, is_phantom=evaluation.is_phantom)
    return svg_uri(drawn)


def _biomarker_figures(evaluation: Evaluation, overall: list[TaskResult]) -> dict[str, str]:
    """One figure per biomarker that some case has both target and answer of."""
    results = {task.task: task for task in overall}
    figures = {}
    for entry in evaluation.joined.biomarkers:
        judged = entry.select(entry.has_truth & entry.has_answer)
        if len(judged.scores) == 0:
            continue
        result = results[entry.biomarker.name]
        if isinstance(judged, JoinedNumber):
            drawn = draw_numbers(judged, result, is_phantom=evaluation.is_phantom)
        else:
            drawn = draw_classes(judged, result, is_phantom=evaluation.is_phantom)
        figures[entry.biomarker.name] = svg_uri(drawn)
    return figures


def _case(
    evaluation: Evaluation,
    raw: RawDataset,
    predictions: Path,
    title: str,
    case: CaseSegmentation,
) -> dict[str, object]:
    row = evaluation.joined.case_ids.index(case.case_id)
    shown = read_slice(predictions, raw, case.case_id, evaluation.split)
    return {
        "title": title,
        "segmentation": case,
        "center": evaluation.joined.centers[row],
        "flags": evaluation.joined.flags[row],
        "picture": None
        if shown is None
        else png_uri(draw_slice(shown, is_phantom=evaluation.is_phantom)),
        "biomarkers": [
            (entry.biomarker.name, _answer_text(entry, row), _target_text(entry, row))
            for entry in evaluation.joined.biomarkers
        ],
    }


def _answer_text(entry: JoinedBiomarker, row: int) -> str:
    """What the model said, in words and numbers."""
    if not entry.has_answer[row]:
        return "no answer"
    scores = entry.scores[row]
    if isinstance(entry, JoinedNumber):
        told = [f"P(≥{cutoff:g}) {number(p[row])}" for cutoff, p in entry.at_least.items()]
        value = f"{number(scores[0], metric_name='mae')} {entry.biomarker.unit}"
        return "; ".join([value, *told])
    if isinstance(entry.biomarker, CategoricalBiomarker):
        best = int(scores.argmax())
        return f"{entry.biomarker.categories[best]} ({number(scores[best])})"
    if entry.threshold != entry.threshold:
        return f"probability {number(scores[1])}"
    called = "positive" if scores[1] >= entry.threshold else "negative"
    return f"{called} ({number(scores[1])})"


def _target_text(entry: JoinedBiomarker, row: int) -> str:
    """What was measured."""
    if not entry.has_truth[row]:
        return "unknown"
    if isinstance(entry, JoinedNumber):
        lower, upper = f"{entry.lower[row]:g}", f"{entry.upper[row]:g}"
        measured = lower if lower == upper else f"{lower} to {upper}"
        return f"{measured} {entry.biomarker.unit}"
    if isinstance(entry.biomarker, CategoricalBiomarker):
        return str(entry.biomarker.categories[entry.classes[row]])
    return "positive" if entry.classes[row] == 1 else "negative"
