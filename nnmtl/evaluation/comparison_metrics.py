"""The metrics by which models are compared, as statistics of a run on the compared cases.

A statistic takes weights (..., N) over all compared cases, whichever of them have the target, so
that one resample of patients serves every task, model and seed.

AUCs are taken within folds; errors and Dice have one scale in all folds and are pooled.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from nnmtl.cohort.biomarker import Biomarker, ContinuousBiomarker
from nnmtl.evaluation.compared import (
    ComparedCases,
    Entry,
    MaskScores,
    Run,
    masks_on_cases,
    on_cases,
)
from nnmtl.evaluation.discrimination import BoolArray, IntArray
from nnmtl.evaluation.intervals import Resamples, Statistic, resample_patients
from nnmtl.evaluation.join import NO_CLASS, JoinedBiomarker, JoinedClass, JoinedNumber
from nnmtl.evaluation.regression import interval_distance
from nnmtl.evaluation.weighted import FloatArray, mean, ratio
from nnmtl.evaluation.within_folds import auc_within_folds, macro_auc_within_folds

ALL_BINARY = "all binary"
# Of one center.
CENTER_METRICS = ("dice", "hd95_mm", "auc", "auc_macro", "mae")
CHANCE_AUC = 0.5
_NOT_PREDICTED = "this entry does not predict it"
_NO_MEDIAN = "the model has no training median to stand for a missing answer"


@dataclass(frozen=True, kw_only=True, eq=False)
class Question:
    """One metric of one task.

    Attributes:
        task: `segmentation`, a biomarker's name, or `all binary`.
        metric: such as `auc`.
        unit: of the metric; empty for a plain number.
        rows: (N,) the cases that it is computed from.
        strata: of those cases: what every resample keeps the size of.
        n_events: how many of them are positive; None where that means nothing.
        statistic_of: a run's statistic, or the reason why it has none.
        undefined: the reason where a statistic is nan.
        bound: for a binary biomarker of a phantom, the AUC of its exact posterior.
    """

    task: str
    metric: str
    unit: str = ""
    rows: BoolArray
    strata: tuple[object, ...]
    n_events: int | None = None
    statistic_of: Callable[[Run], Statistic | str]
    undefined: str
    bound: Statistic | None = None

    def resample(self, cases: ComparedCases) -> Resamples:
        """Draws the patients of its cases: the same for every run; other cases weigh nothing."""
        patients = np.asarray(cases.patient_ids, dtype=str)[self.rows]
        drawn = resample_patients(patients.tolist(), strata=self.strata)
        weights = np.zeros((len(drawn.weights), len(cases.case_ids)))
        weights[:, self.rows] = drawn.weights
        return Resamples(weights=weights)


def ask(entries: Sequence[Entry], cases: ComparedCases) -> list[Question]:
    """Segmentation, each biomarker that some entry predicts, then all binary ones together."""
    runs = [run for entry in entries for run in entry.runs]
    names = dict.fromkeys(
        entry.biomarker.name
        for run in runs
        for part in run.parts
        for entry in part.joined.biomarkers
    )
    questions = [
        *_about_masks("dice", "", lambda mask: mask.dice, runs, cases),
        *_about_masks("hd95_mm", "mm", lambda mask: mask.hd95_mm, runs, cases),
    ]
    for name in names:
        for run in runs:
            found = run.find(name)
            if found is not None:
                questions += _about_biomarker(run, found, cases)
                break
    binary = [question for question in questions if question.metric == "auc"]
    return questions + _about_all_binary(binary, cases)


def _about_masks(
    metric: str, unit: str, score: Callable[[MaskScores], float], runs: Sequence[Run],
    cases: ComparedCases,
) -> list[Question]:  # fmt: skip
    drawn = [found for run in runs if (found := masks_on_cases(run, score, cases)) is not None]
    if not drawn:
        return []
    rows = ~np.isnan(drawn[0])

    def statistic_of(run: Run) -> Statistic | str:
        found = masks_on_cases(run, score, cases)
        if found is None:
            return "this entry draws no masks"
        return _on(rows, partial(mean, found[rows]))

    return [
        Question(
            task="segmentation",
            metric=metric,
            unit=unit,
            rows=rows,
            strata=_strata(rows, cases),
            statistic_of=statistic_of,
            undefined="no case has a true label map",
        )
    ]


def _about_biomarker(
    run: Run, found: Sequence[JoinedBiomarker], cases: ComparedCases
) -> list[Question]:
    """Asks with the truth as one of the runs tells it."""
    biomarker = found[0].biomarker
    if isinstance(biomarker, ContinuousBiomarker):
        lower = on_cases(run, found, _lower, cases)
        upper = on_cases(run, found, _upper, cases)
        return _about_number(biomarker, lower, upper, cases)
    classes = on_cases(run, found, _classes, cases)
    bayes = on_cases(run, found, _bayes, cases)
    return [_about_class(biomarker, classes, bayes, cases)]


def _about_class(
    biomarker: Biomarker, classes: IntArray, bayes: FloatArray, cases: ComparedCases
) -> Question:
    rows = classes != NO_CLASS
    known, folds = classes[rows], cases.folds[rows]
    is_binary = biomarker.kind == "binary"

    def statistic_of(run: Run) -> Statistic | str:
        found = run.find(biomarker.name)
        if found is None:
            return _NOT_PREDICTED
        scores = on_cases(run, found, _scores, cases)[rows]
        if is_binary:
            return _on(rows, partial(auc_within_folds, scores[:, 1], known == 1, folds))
        return _on(rows, partial(macro_auc_within_folds, scores, known, folds))

    bound = None
    if is_binary and not np.isnan(bayes[rows]).any():
        bound = _on(rows, partial(auc_within_folds, bayes[rows], known == 1, folds))
    return Question(
        task=biomarker.name,
        metric="auc" if is_binary else "auc_macro",
        rows=rows,
        strata=_strata(rows, cases, known),
        n_events=int((known == 1).sum()) if is_binary else None,
        statistic_of=statistic_of,
        undefined="the cases, or those of each fold, do not have every class",
        bound=bound,
    )


def _about_number(
    biomarker: ContinuousBiomarker, lower: FloatArray, upper: FloatArray, cases: ComparedCases
) -> list[Question]:
    rows = ~np.isnan(lower)

    def error_of(run: Run, column: Callable[[JoinedBiomarker], FloatArray]) -> Statistic | str:
        found = run.find(biomarker.name)
        if found is None:
            return _NOT_PREDICTED
        values = on_cases(run, found, column, cases)[rows]
        return _on(rows, partial(mean, interval_distance(values, lower[rows], upper[rows])))

    def skill_of(run: Run) -> Statistic | str:
        error, constant = error_of(run, _values), error_of(run, _medians)
        if isinstance(error, str) or isinstance(constant, str):
            return _NOT_PREDICTED
        return lambda weights: 1 - ratio(error(weights), constant(weights))

    strata = _strata(rows, cases)
    return [
        Question(
            task=biomarker.name,
            metric="mae",
            unit=biomarker.unit,
            rows=rows,
            strata=strata,
            statistic_of=lambda run: error_of(run, _values),
            undefined=_NO_MEDIAN,
        ),
        Question(
            task=biomarker.name,
            metric="skill",
            rows=rows,
            strata=strata,
            statistic_of=skill_of,
            undefined="the model has no training median, or it makes no error",
        ),
    ]


def _about_all_binary(binary: Sequence[Question], cases: ComparedCases) -> list[Question]:
    """Their mean AUC, and of a phantom the share of what its exact posterior reaches."""
    if not binary:
        return []
    rows = np.any([question.rows for question in binary], axis=0)

    def aucs_of(run: Run) -> list[Statistic] | str:
        statistics = []
        for question in binary:
            statistic = question.statistic_of(run)
            if isinstance(statistic, str):
                return f"this entry does not predict {question.task}"
            statistics.append(statistic)
        return statistics

    def mean_of(run: Run) -> Statistic | str:
        aucs = aucs_of(run)
        return aucs if isinstance(aucs, str) else lambda weights: _total(aucs, weights) / len(aucs)

    bounds = [question.bound for question in binary if question.bound is not None]

    def efficiency_of(run: Run) -> Statistic | str:
        aucs = aucs_of(run)
        if isinstance(aucs, str):
            return aucs
        chance = CHANCE_AUC * len(aucs)
        return lambda weights: ratio(
            _total(aucs, weights) - chance, _total(bounds, weights) - chance
        )

    def question(metric: str, statistic_of: Callable[[Run], Statistic | str]) -> Question:
        return Question(
            task=ALL_BINARY,
            metric=metric,
            rows=rows,
            strata=_strata(rows, cases),
            statistic_of=statistic_of,
            undefined="the AUC of one of them is undefined",
        )

    has_bounds = len(bounds) == len(binary)
    return [
        *([question("mean_auc", mean_of)] if len(binary) > 1 else []),
        *([question("efficiency", efficiency_of)] if has_bounds else []),
    ]


def _total(statistics: Sequence[Statistic], weights: FloatArray) -> FloatArray:
    return np.asarray(np.sum([statistic(weights) for statistic in statistics], axis=0))


def _on(rows: BoolArray, statistic: Statistic) -> Statistic:
    """The statistic of some cases as one of all; nan if there are none."""
    if not rows.any():
        return lambda weights: np.full(weights.shape[:-1], np.nan)
    return lambda weights: statistic(weights[..., rows])


def _strata(
    rows: BoolArray, cases: ComparedCases, classes: IntArray | None = None
) -> tuple[object, ...]:
    """The fold of each case, and its class."""
    folds = cases.folds[rows].tolist()
    if classes is None:
        return tuple(folds)
    return tuple(zip(folds, classes.tolist(), strict=True))


def _scores(entry: JoinedBiomarker) -> FloatArray:
    """A missing answer counts as equal probabilities, or as the training median."""
    return entry.filled().scores


def _values(entry: JoinedBiomarker) -> FloatArray:
    return _scores(entry)[:, 0]


def _bayes(entry: JoinedBiomarker) -> FloatArray:
    return entry.bayes


def _classes(entry: JoinedBiomarker) -> IntArray:
    assert isinstance(entry, JoinedClass)  # `join` made it by its biomarker's kind
    return entry.classes


def _lower(entry: JoinedBiomarker) -> FloatArray:
    assert isinstance(entry, JoinedNumber)
    return entry.lower


def _upper(entry: JoinedBiomarker) -> FloatArray:
    assert isinstance(entry, JoinedNumber)
    return entry.upper


def _medians(entry: JoinedBiomarker) -> FloatArray:
    """(M,) the training median of the model that answered the case."""
    assert isinstance(entry, JoinedNumber)
    return np.full(len(entry.lower), entry.training_median)
