"""Models that have not seen a center, judged on it and beside one that has seen all."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nnmtl.evaluation.center_probe import CenterProbe
from nnmtl.evaluation.compared import Entry, Part, entry_of_parts
from nnmtl.evaluation.comparison import Comparison, Row, compare
from nnmtl.evaluation.comparison_metrics import CENTER_METRICS
from nnmtl.evaluation.intervals import Interval

LEFT_OUT, POOLED = "left out", "pooled"


@dataclass(frozen=True, kw_only=True)
class LeftOutRow:
    """One metric of one task at one center, or at all.

    Attributes:
        center: None for all; an AUC then compares cases of one center only.
        task: `segmentation` or a biomarker's name.
        metric: `dice`, `auc`, `auc_macro` or `mae`.
        unit: of the metric; empty for a plain number.
        n: cases of the left-out centers.
        n_events: how many of them are positive; None where that means nothing.
        left_out: of the models that have not seen the center.
        pooled: of the model that has seen all centers, in cross-validation, on those of these
            cases that it predicted, and for an AUC in pairs of one center; None without one.
        difference: left out - pooled on the same cases; None without a pooled model.
        pooled_mixed: of the pooled model as it is usually reported, on all cases that it predicted
            and with pairs from different centers; None for a metric without pairs.
        reason: why left_out or its interval is undefined; None if both are defined.
    """

    center: str | None
    task: str
    metric: str
    unit: str
    n: int
    n_events: int | None
    left_out: Interval
    pooled: Interval | None
    difference: Interval | None
    pooled_mixed: Interval | None
    reason: str | None

    @property
    def has_shortcut(self) -> bool:
        """Whether the usual number promises more than an unseen center gets, beyond chance."""
        return self.pooled_mixed is not None and bool(self.pooled_mixed.lower > self.left_out.upper)


@dataclass(frozen=True, kw_only=True)
class LeaveOneCenterOut:
    """Everything found by leaving each center out.

    Attributes:
        dataset: name of the raw dataset.
        preset: that was trained.
        is_phantom: whether the cases are synthetic.
        pooled: where the pooled model is; None without one.
        rows: first all centers, then each, task by task.
        probes: left-out center → how well what the heads of its model see tells the centers.
        verdicts: left-out center → how its images differ from the others', in a sentence.
    """

    dataset: str
    preset: str
    is_phantom: bool
    pooled: str | None
    rows: tuple[LeftOutRow, ...]
    probes: Mapping[str, CenterProbe]
    verdicts: Mapping[str, str]


def judge_left_out(
    parts: Mapping[str, Part], pooled: Mapping[int, Part], *, dataset: str
) -> tuple[LeftOutRow, ...]:
    """Judges each center by the model that has not seen it.

    Args:
        parts: center → answers for its cases of the model trained without it.
        pooled: fold → answers for its validation cases of the model trained on all; may be empty.
        dataset: name of the raw dataset.
    """
    rows = []
    if len(parts) > 1:
        rows += _rows(None, parts, pooled, dataset)
    for center, part in parts.items():
        rows += _rows(center, {center: part}, pooled, dataset)
    return tuple(rows)


def _rows(
    center: str | None, parts: Mapping[str, Part], pooled: Mapping[int, Part], dataset: str
) -> list[LeftOutRow]:
    left_out = entry_of_parts(LEFT_OUT, list(parts.values()))
    center_of = _numbers(list(parts.values()))
    alone = _compare([left_out], center_of, dataset)
    beside, mixed = {}, {}
    common = set(center_of) & {case for part in pooled.values() for case in part.joined.case_ids}
    if common:
        seen = entry_of_parts(POOLED, list(pooled.values()))
        fold_of = _numbers(list(pooled.values()))
        # Pairs of one center and one fold: neither another model's scale nor another center.
        both = {case: fold * len(parts) + center_of[case] for case, fold in fold_of.items()
                if case in common}  # fmt: skip
        beside = _by_task(_compare([seen, left_out], both, dataset))
        mixed = _by_task(_compare([seen], fold_of, dataset))
    return [
        _row(center, row, beside.get((row.task, row.metric)), mixed.get((row.task, row.metric)))
        for row in alone.rows
        if row.metric in CENTER_METRICS
    ]


def _numbers(parts: Sequence[Part]) -> dict[str, int]:
    return {case: number for number, part in enumerate(parts) for case in part.joined.case_ids}


def _compare(entries: Sequence[Entry], fold_of: Mapping[str, int], dataset: str) -> Comparison:
    return compare(entries, dataset=dataset, split="Tr", fold_of=fold_of)


def _by_task(comparison: Comparison) -> dict[tuple[str, str], Row]:
    return {(row.task, row.metric): row for row in comparison.rows}


def _row(center: str | None, row: Row, beside: Row | None, mixed: Row | None) -> LeftOutRow:
    has_pairs = row.metric.startswith("auc")
    cell = row.cells[0]
    return LeftOutRow(
        center=center,
        task=row.task,
        metric=row.metric,
        unit=row.unit,
        n=row.n,
        n_events=row.n_events,
        left_out=cell.value,
        pooled=None if beside is None else beside.cells[0].value,
        difference=None if beside is None else beside.cells[1].difference,
        pooled_mixed=None if mixed is None or not has_pairs else mixed.cells[0].value,
        reason=cell.reason,
    )


def probe_note(probe: CenterProbe) -> str:
    """What a probe found, in a sentence."""
    if math.isnan(probe.balanced_accuracy):
        return f"Whether features tell the center is unknown: {probe.reason}."
    told = "tell" if probe.tells_centers else "do not tell"
    return (
        f"Features {told} the center: balanced accuracy {probe.balanced_accuracy:.2f} for "
        f"{', '.join(probe.centers)} ({probe.num_patients} patients), by chance "
        f"{probe.lower:.2f} to {probe.upper:.2f}."
    )
