"""Lays answers and targets side by side, case by case."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from nnmtl.cohort.biomarker import Biomarker, CategoricalBiomarker, ContinuousBiomarker
from nnmtl.cohort.declaration import Declaration
from nnmtl.cohort.targets import ClassTarget, ContinuousTarget, TargetTable
from nnmtl.errors import NnmtlError
from nnmtl.evaluation.answers import Answers
from nnmtl.evaluation.discrimination import BoolArray, IntArray
from nnmtl.evaluation.weighted import FloatArray

UNKNOWN_CENTER = "unknown"
NO_CLASS = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class JoinedClass:
    """A binary or categorical biomarker of N cases.

    Attributes:
        biomarker: its declaration.
        scores: (N, K) class probabilities; a row of nan where there is no answer.
        classes: (N,) true class; -1 where it is unobserved or known only as a set.
        threshold: of a binary biomarker; nan if the model gives none.
        bayes: (N,) a phantom's exact probability of positive; nan where there is none.
    """

    biomarker: Biomarker
    scores: FloatArray
    classes: IntArray
    threshold: float
    bayes: FloatArray

    @property
    def has_truth(self) -> BoolArray:
        """(N,) whether the case can be judged."""
        return np.asarray(self.classes != NO_CLASS)

    @property
    def has_answer(self) -> BoolArray:
        """(N,) whether the model answered."""
        return np.asarray(~np.isnan(self.scores).any(axis=1))

    def select(self, rows: BoolArray) -> "JoinedClass":
        """Some of the cases."""
        return replace(
            self, scores=self.scores[rows], classes=self.classes[rows], bayes=self.bayes[rows]
        )

    def filled(self) -> "JoinedClass":
        """With equal probabilities for all classes where there is no answer."""
        uniform = 1 / self.scores.shape[1]
        return replace(self, scores=np.where(self.has_answer[:, None], self.scores, uniform))


@dataclass(frozen=True, kw_only=True, eq=False)
class JoinedNumber:
    """A continuous biomarker of N cases, in its unit.

    Attributes:
        biomarker: its declaration.
        scores: (N, 1) predicted value; nan where there is no answer.
        lower: (N,) measured value, or lower end of what is known; nan where unobserved.
        upper: (N,) the same of the upper end.
        training_median: nan if the model gives none.
        bayes: (N,) a phantom's exact posterior median; nan where there is none.
        at_least: per cutoff that the model tells it of, (N,) probabilities of reaching it; nan
            where there is no answer.
    """

    biomarker: ContinuousBiomarker
    scores: FloatArray
    lower: FloatArray
    upper: FloatArray
    training_median: float
    bayes: FloatArray
    at_least: Mapping[float, FloatArray] = field(default_factory=dict)

    @property
    def has_truth(self) -> BoolArray:
        """(N,) whether the case can be judged."""
        return ~np.isnan(self.lower)

    @property
    def has_answer(self) -> BoolArray:
        """(N,) whether the model answered."""
        return np.asarray(~np.isnan(self.scores).any(axis=1))

    def select(self, rows: BoolArray) -> "JoinedNumber":
        """Some of the cases."""
        return replace(
            self,
            scores=self.scores[rows],
            lower=self.lower[rows],
            upper=self.upper[rows],
            bayes=self.bayes[rows],
            at_least={cutoff: values[rows] for cutoff, values in self.at_least.items()},
        )

    def filled(self) -> "JoinedNumber":
        """With the training median, and even odds of a cutoff, where there is no answer."""
        return replace(
            self,
            scores=np.where(self.has_answer[:, None], self.scores, self.training_median),
            at_least={
                cutoff: np.where(np.isnan(values), 0.5, values)
                for cutoff, values in self.at_least.items()
            },
        )


JoinedBiomarker = JoinedClass | JoinedNumber


@dataclass(frozen=True, kw_only=True, eq=False)
class Joined:
    """N cases with whatever is known of them, sorted by id.

    Attributes:
        case_ids: N ids.
        patient_ids: the case id itself where the table has no row.
        centers: as in the table, else as predicted, else `unknown`.
        flags: per case.
        without_row: cases that the table does not have.
        biomarkers: those both answered and declared.
    """

    case_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    centers: tuple[str, ...]
    flags: tuple[tuple[str, ...], ...]
    without_row: tuple[str, ...]
    biomarkers: tuple[JoinedBiomarker, ...]


def join(
    answers: Answers,
    targets: TargetTable,
    declaration: Declaration,
    *,
    bayes: Mapping[str, Mapping[str, float]] | None = None,
) -> Joined:
    """Joins by case id; a case without row is kept, with nothing observed.

    Args:
        answers: for N cases.
        targets: rows for these and maybe others.
        declaration: of the targets.
        bayes: per biomarker and case id, what a phantom's exact posterior answers.

    Raises:
        NnmtlError: if a biomarker of one name means different things to model and dataset.
    """
    order = sorted(range(len(answers.case_ids)), key=answers.case_ids.__getitem__)
    case_ids = tuple(answers.case_ids[row] for row in order)
    row_of_case = {case_id: row for row, case_id in enumerate(targets.case_ids)}
    rows = [row_of_case.get(case_id) for case_id in case_ids]
    return Joined(
        case_ids=case_ids,
        patient_ids=tuple(
            case_id if row is None else targets.patient_ids[row]
            for case_id, row in zip(case_ids, rows, strict=True)
        ),
        centers=tuple(
            answers.centers[position] or UNKNOWN_CENTER if row is None else targets.centers[row]
            for position, row in zip(order, rows, strict=True)
        ),
        flags=tuple(answers.flags[position] for position in order),
        without_row=tuple(
            case_id for case_id, row in zip(case_ids, rows, strict=True) if row is None
        ),
        biomarkers=tuple(
            _join_biomarker(biomarker, answers, order, targets, rows, bayes or {})
            for biomarker in _shared_biomarkers(answers, declaration)
        ),
    )


def _shared_biomarkers(answers: Answers, declaration: Declaration) -> list[Biomarker]:
    answered = {biomarker.name: biomarker for biomarker in answers.biomarkers}
    shared = [biomarker for biomarker in declaration.biomarkers if biomarker.name in answered]
    for biomarker in shared:
        if _meaning(answered[biomarker.name]) != _meaning(biomarker):
            raise NnmtlError(
                f"biomarker {biomarker.name!r}: the model predicts "
                f"{_meaning(answered[biomarker.name])}, but the dataset declares "
                f"{_meaning(biomarker)}; evaluate on a dataset with the model's declaration."
            )
    return shared


def _meaning(biomarker: Biomarker) -> str:
    """What must agree for scores to be comparable; range and cutoffs need not."""
    if isinstance(biomarker, CategoricalBiomarker):
        return f"categorical {'/'.join(biomarker.categories)}"
    if isinstance(biomarker, ContinuousBiomarker):
        return f"continuous in {biomarker.unit}"
    return biomarker.kind


def _join_biomarker(
    biomarker: Biomarker,
    answers: Answers,
    order: list[int],
    targets: TargetTable,
    rows: list[int | None],
    bayes: Mapping[str, Mapping[str, float]],
) -> JoinedBiomarker:
    scores = answers.scores[biomarker.name][order]
    exact_of_case = bayes.get(biomarker.name, {})
    exact = np.array([exact_of_case.get(answers.case_ids[row], np.nan) for row in order], float)
    target = targets.targets[biomarker.name]
    if isinstance(target, ContinuousTarget) and isinstance(biomarker, ContinuousBiomarker):
        return JoinedNumber(
            biomarker=biomarker,
            scores=scores,
            lower=_take(target.lower, rows, missing=np.nan),
            upper=_take(target.upper, rows, missing=np.nan),
            training_median=answers.training_median.get(biomarker.name, np.nan),
            bayes=exact,
            at_least=_at_least(biomarker, answers, order),
        )
    assert isinstance(target, ClassTarget)  # the table was read with this declaration
    return JoinedClass(
        biomarker=biomarker,
        scores=scores,
        classes=_take(_certain_classes(target), rows, missing=NO_CLASS),
        threshold=answers.thresholds.get(biomarker.name, np.nan),
        bayes=exact,
    )


def _at_least(
    biomarker: ContinuousBiomarker, answers: Answers, order: list[int]
) -> dict[float, FloatArray]:
    """Of the dataset's cutoffs those that the model tells probabilities of."""
    told = answers.at_least.get(biomarker.name)
    (answered,) = (entry for entry in answers.biomarkers if entry.name == biomarker.name)
    if told is None or not isinstance(answered, ContinuousBiomarker):
        return {}
    columns = dict(zip(answered.cutoffs, told[order].T, strict=True))
    return {cutoff: columns[cutoff] for cutoff in biomarker.cutoffs if cutoff in columns}


def _certain_classes(target: ClassTarget) -> IntArray:
    is_certain = target.observed & (target.possible.sum(axis=1) == 1)
    return np.where(is_certain, target.possible.argmax(axis=1), NO_CLASS)


def _take(values: np.ndarray, rows: list[int | None], *, missing: float) -> np.ndarray:
    return np.array([missing if row is None else values[row] for row in rows], values.dtype)
