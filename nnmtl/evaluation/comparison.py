"""Compares models on the same patients: values, differences to the first, and their intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from nnmtl.errors import NnmtlError
from nnmtl.evaluation.compared import (
    ComparedCases,
    Entry,
    Run,
    entry_of_center,
    find_common_cases,
    on_cases,
)
from nnmtl.evaluation.comparison_metrics import CENTER_METRICS, Question, ask
from nnmtl.evaluation.intervals import (
    Interval,
    Resamples,
    Statistic,
    bootstrap,
    paired_difference,
)
from nnmtl.evaluation.join import JoinedBiomarker
from nnmtl.evaluation.results import Split
from nnmtl.evaluation.weighted import FloatArray

Verdict = Literal["higher", "lower", "not resolved", "undefined"]
_UNDEFINED = Interval(value=math.nan, lower=math.nan, upper=math.nan)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One entry judged by one metric.

    Attributes:
        entry: its name.
        value: mean over its runs, with the interval of that mean over patients.
        runs: each run's value.
        difference: to the reference, both on the same resamples; None for the reference itself.
        reason: why the value or its interval is undefined; None if both are defined.
    """

    entry: str
    value: Interval
    runs: tuple[float, ...]
    difference: Interval | None
    reason: str | None

    @property
    def verdict(self) -> Verdict | None:
        """Where the entry stands to the reference; `not resolved` if the interval holds 0."""
        if self.difference is None:
            return None
        if math.isnan(self.difference.lower):
            return "undefined"
        if self.difference.lower > 0:
            return "higher"
        return "lower" if self.difference.upper < 0 else "not resolved"


@dataclass(frozen=True, kw_only=True)
class Row:
    """All entries judged by one metric of one task.

    Attributes:
        task: `segmentation`, a biomarker's name, or `all binary`.
        metric: such as `auc`.
        unit: of the metric; empty for a plain number.
        n: number of cases that it is computed from, the same for all entries.
        num_patients: their patients.
        n_events: how many of the cases are positive; None where that means nothing.
        cells: the reference first.
    """

    task: str
    metric: str
    unit: str
    n: int
    num_patients: int
    n_events: int | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Everything found in comparing models.

    Attributes:
        dataset: name of the raw dataset.
        split: of the compared cases.
        is_phantom: whether a model or the cases are synthetic.
        labels: each entry's runs, by its name; the first entry is the reference.
        sources: each entry's folders of predictions, run by run.
        num_cases: cases that every run of every entry has.
        num_patients: their patients.
        notes: what a reader should know, in sentences.
        rows: the table.
        center_rows: center → the table of its cases alone, without what is told of all biomarkers
            together; empty unless it was asked for and there are several centers.
    """

    dataset: str
    split: Split
    is_phantom: bool
    labels: Mapping[str, tuple[str, ...]]
    sources: Mapping[str, tuple[tuple[str, ...], ...]]
    num_cases: int
    num_patients: int
    notes: tuple[str, ...]
    rows: tuple[Row, ...]
    center_rows: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """The entry to which the others are compared."""
        return next(iter(self.labels))


def compare(
    entries: Sequence[Entry],
    *,
    dataset: str,
    split: Split,
    fold_of: Mapping[str, int],
    by_center: bool = False,
) -> Comparison:
    """Compares the entries with the first on the cases that all of them have.

    A metric is computed per run and averaged over an entry's runs; a resample draws the same
    patients for all runs of all entries. A missing answer counts as equal probabilities, or as the
    training median, so that no model gains by not answering.

    Args:
        entries: with different names, each with at least one run.
        dataset: name of the raw dataset.
        split: of the cases.
        fold_of: case id → fold that holds it out; empty for test cases.
        by_center: whether the cases of each center are also looked at alone.

    Raises:
        NnmtlError: if two entries have one name, or no case is common to all.
    """
    names = [entry.name for entry in entries]
    doubled = [name for name in names if names.count(name) > 1]
    if doubled:
        raise NnmtlError(f"{doubled[0]}: expected one entry of this name, got two; rename one.")
    cases = find_common_cases(entries, fold_of)
    return Comparison(
        dataset=dataset,
        split=split,
        is_phantom=any(
            part.is_phantom for entry in entries for run in entry.runs for part in run.parts
        ),
        labels={entry.name: tuple(run.label for run in entry.runs) for entry in entries},
        sources={
            entry.name: tuple(tuple(part.source for part in run.parts) for run in entry.runs)
            for entry in entries
        },
        num_cases=len(cases.case_ids),
        num_patients=len(set(cases.patient_ids)),
        notes=tuple(_notes(entries, cases)),
        rows=_rows(entries, cases),
        center_rows=_center_rows(entries, cases, fold_of) if by_center else {},
    )


def _rows(entries: Sequence[Entry], cases: ComparedCases) -> tuple[Row, ...]:
    return tuple(_row(question, entries, cases) for question in ask(entries, cases))


def _center_rows(
    entries: Sequence[Entry], cases: ComparedCases, fold_of: Mapping[str, int]
) -> dict[str, tuple[Row, ...]]:
    centers = sorted(set(cases.centers))
    found = {}
    for center in centers if len(centers) > 1 else []:
        there = [entry_of_center(entry, center) for entry in entries]
        rows = _rows(there, find_common_cases(there, fold_of))
        found[center] = tuple(row for row in rows if row.metric in CENTER_METRICS)
    return found


def _row(question: Question, entries: Sequence[Entry], cases: ComparedCases) -> Row:
    patients = np.asarray(cases.patient_ids, dtype=str)[question.rows]
    resamples = question.resample(cases)
    reference = _mean_over_runs(question, entries[0])
    return Row(
        task=question.task,
        metric=question.metric,
        unit=question.unit,
        n=len(patients),
        num_patients=len(set(patients.tolist())),
        n_events=question.n_events,
        cells=tuple(
            _cell(question, entry, None if position == 0 else reference, resamples)
            for position, entry in enumerate(entries)
        ),
    )


def _cell(
    question: Question, entry: Entry, reference: Statistic | str | None, resamples: Resamples
) -> Cell:
    statistic = _mean_over_runs(question, entry)
    if isinstance(statistic, str):
        return Cell(
            entry=entry.name,
            value=_UNDEFINED,
            runs=tuple(math.nan for _ in entry.runs),
            difference=None if reference is None else _UNDEFINED,
            reason=statistic,
        )
    value = bootstrap(statistic, resamples)
    difference = None
    if reference is not None:
        difference = (
            _UNDEFINED
            if isinstance(reference, str)
            else paired_difference(statistic, reference, resamples)
        )
    return Cell(
        entry=entry.name,
        value=value,
        runs=_values_of_runs(question, entry, resamples.weights.shape[1]),
        difference=difference,
        reason=_reason(question, value),
    )


def _mean_over_runs(question: Question, entry: Entry) -> Statistic | str:
    """The entry's statistic: the mean of its runs', or the reason why one has none."""
    statistics = []
    for run in entry.runs:
        statistic = question.statistic_of(run)
        if isinstance(statistic, str):
            return statistic
        statistics.append(statistic)

    def mean_of_all(weights: FloatArray) -> FloatArray:
        return np.asarray(np.mean([statistic(weights) for statistic in statistics], axis=0))

    return mean_of_all


def _values_of_runs(question: Question, entry: Entry, num_cases: int) -> tuple[float, ...]:
    statistics = [question.statistic_of(run) for run in entry.runs]
    return tuple(
        math.nan if isinstance(statistic, str) else float(statistic(np.ones(num_cases)))
        for statistic in statistics
    )


def _reason(question: Question, value: Interval) -> str | None:
    if not question.rows.any():
        return "no case has a target"
    if math.isnan(value.value):
        return question.undefined
    return "too few patients for an interval" if math.isnan(value.lower) else None


def _notes(entries: Sequence[Entry], cases: ComparedCases) -> list[str]:
    """What is not told by the numbers themselves."""
    notes = []
    if cases.num_left_out:
        notes.append(f"Cases left out, since not every run has them: {cases.num_left_out}.")
    if len(set(cases.folds.tolist())) > 1:
        notes.append(
            "An AUC compares cases of one fold only, since the models of different folds score on "
            "different scales: it is the mean over the folds, weighted within each resample by the "
            "fold's pairs of a positive and a negative case. Errors and Dice are pooled."
        )
    if any(len(entry.runs) > 1 for entry in entries):
        notes.append(
            "Where an entry has several runs, the value is the mean of theirs; the interval tells "
            "how much it depends on the patients, not on the runs."
        )
    notes += [note for entry in entries if (note := _note_of_missing(entry, cases))]
    if len(entries) > 1:
        notes.append("Intervals are not corrected for the number of comparisons.")
    return notes


def _note_of_missing(entry: Entry, cases: ComparedCases) -> str:
    missing = sum(_num_without_answer(run, cases) for run in entry.runs)
    if not missing:
        return ""
    return (
        f"{entry.name}: {missing} of {len(entry.runs) * len(cases.case_ids)} cases (all runs "
        "together) lack an answer, which counts as equal probabilities or as the training median."
    )


def _num_without_answer(run: Run, cases: ComparedCases) -> int:
    """Cases of a run in which some biomarker that is known was not answered."""
    is_missing = np.zeros(len(cases.case_ids), dtype=bool)
    for entry in run.parts[0].joined.biomarkers:
        found = run.find(entry.biomarker.name)
        if found is not None:
            is_missing |= on_cases(run, found, _lacks_answer, cases)
    return int(is_missing.sum())


def _lacks_answer(entry: JoinedBiomarker) -> np.ndarray:
    return entry.has_truth & ~entry.has_answer
