"""The answers of several models, laid side by side on the cases that all of them have."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from nnmtl.errors import NnmtlError
from nnmtl.evaluation.discrimination import IntArray
from nnmtl.evaluation.join import Joined, JoinedBiomarker
from nnmtl.evaluation.weighted import FloatArray

# Of cases that no fold holds out.
NO_FOLD = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """The answers of one trained model.

    Attributes:
        source: where they were read.
        joined: its cases, with their targets.
        dice: per case that has a true label map; None where the model draws no masks.
        is_phantom: whether the model or the cases are synthetic.
    """

    source: str
    joined: Joined
    dice: Mapping[str, float] | None
    is_phantom: bool


def merge_tasks(parts: Sequence[Part]) -> Part:
    """The answers of a model per task, on the same cases, as those of one model.

    Each of them draws its own mask: the Dice of a case is the mean over the models.

    Raises:
        NnmtlError: if two of them have not the same cases, or answer the same biomarker.
    """
    first, *others = parts
    for other in others:
        if other.joined.case_ids != first.joined.case_ids:
            raise NnmtlError(
                f"{other.source}: expected predictions of the {len(first.joined.case_ids)} cases "
                f"in {first.source}, got {len(other.joined.case_ids)} cases, not all of them the "
                "same; predict the same cases with the model of every task."
            )
    biomarkers = tuple(chain.from_iterable(part.joined.biomarkers for part in parts))
    names = [entry.biomarker.name for entry in biomarkers]
    if len(set(names)) < len(names):
        raise NnmtlError(
            f"{first.source}: expected a model per biomarker, got two that answer one of "
            f"{', '.join(names)}; give them different names."
        )
    return Part(
        source=", ".join(part.source for part in parts),
        joined=replace(first.joined, biomarkers=biomarkers),
        dice=_mean_dice([part.dice for part in parts]),
        is_phantom=any(part.is_phantom for part in parts),
    )


def _mean_dice(dice: Sequence[Mapping[str, float] | None]) -> dict[str, float] | None:
    drawn = [each for each in dice if each is not None]
    if len(drawn) < len(dice):
        return None
    common = [case_id for case_id in drawn[0] if all(case_id in each for each in drawn)]
    return {case_id: float(np.mean([each[case_id] for each in drawn])) for case_id in common}


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One answer per case: those of one model, or of one model per fold.

    Attributes:
        label: what sets it apart from the entry's other runs, such as `seed 1`.
        parts: no case is in two of them.
    """

    label: str
    parts: tuple[Part, ...]

    @property
    def case_ids(self) -> tuple[str, ...]:
        """In the order of the parts."""
        return tuple(chain.from_iterable(part.joined.case_ids for part in self.parts))

    def find(self, name: str) -> list[JoinedBiomarker] | None:
        """The biomarker in every part; None unless all parts answer it."""
        found = [
            entry
            for part in self.parts
            for entry in part.joined.biomarkers
            if entry.biomarker.name == name
        ]
        return found if len(found) == len(self.parts) else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """What is compared under one name: a preset with a run per seed, or predictions."""

    name: str
    runs: tuple[Run, ...]


def entry_of_parts(name: str, parts: Sequence[Part]) -> Entry:
    """What has one answer per case: a single run, named like the entry."""
    return Entry(name=name, runs=(Run(label=name, parts=tuple(parts)),))


@dataclass(frozen=True, kw_only=True, eq=False)
class ComparedCases:
    """The N cases that every run of every entry has.

    Attributes:
        case_ids: sorted.
        patient_ids: of each case.
        folds: (N,) the fold that holds the case out; -1 of test cases.
        num_left_out: further cases that some run has.
    """

    case_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    folds: IntArray
    num_left_out: int


def find_common_cases(entries: Sequence[Entry], fold_of: Mapping[str, int]) -> ComparedCases:
    """The cases to compare on.

    Args:
        entries: each with at least one run.
        fold_of: case id → fold that holds it out; without the test cases.

    Raises:
        NnmtlError: if no case is in all runs; names the entry that shares the fewest.
    """
    runs = [(entry, run) for entry in entries for run in entry.runs]
    sets = [set(run.case_ids) for _, run in runs]
    common = sorted(set.intersection(*sets))
    if not common:
        overlaps = [len(cases & sets[0]) for cases in sets]
        poorest = min(range(len(sets)), key=overlaps.__getitem__)
        raise NnmtlError(
            f"{runs[poorest][0].name}: expected predictions of the cases that the other entries "
            f"have, such as {min(sets[0])!r}, got none in common among {len(sets[poorest])}, such "
            f"as {min(sets[poorest])!r}; predict the same cases with every model."
        )
    patient_of = {
        case_id: patient_id
        for part in runs[0][1].parts
        for case_id, patient_id in zip(part.joined.case_ids, part.joined.patient_ids, strict=True)
    }
    return ComparedCases(
        case_ids=tuple(common),
        patient_ids=tuple(patient_of[case_id] for case_id in common),
        folds=np.array([fold_of.get(case_id, NO_FOLD) for case_id in common], dtype=np.intp),
        num_left_out=len(set.union(*sets)) - len(common),
    )


def on_cases(
    run: Run, found: Sequence[JoinedBiomarker], column: Callable[[JoinedBiomarker], np.ndarray],
    cases: ComparedCases,
) -> np.ndarray:  # fmt: skip
    """One of a biomarker's columns for the compared cases.

    Args:
        run: whose.
        found: the biomarker in each of its parts.
        column: from the biomarker of M cases to (M, ...) values.
        cases: N, all in the run.

    Returns:
        (N, ...) values.
    """
    row_of = {case_id: row for row, case_id in enumerate(run.case_ids)}
    stacked = np.concatenate([column(entry) for entry in found])
    return stacked[[row_of[case_id] for case_id in cases.case_ids]]


def dice_on_cases(run: Run, cases: ComparedCases) -> FloatArray | None:
    """(N,) Dice, nan where there is no true label map; None where the run draws no masks."""
    dice: dict[str, float] = {}
    for part in run.parts:
        if part.dice is None:
            return None
        dice |= part.dice
    return np.array([dice.get(case_id, np.nan) for case_id in cases.case_ids])
