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


@dataclass(frozen=True, kw_only=True)
class MaskScores:
    """How well a case's tumor was outlined; see `nnmtl.evaluation.segmentation`."""

    dice: float
    hd95_mm: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """The answers of one trained model.

    Attributes:
        source: where they were read.
        joined: its cases, with their targets.
        masks: per case that has a true label map; None where the model draws no masks.
        is_phantom: whether the model or the cases are synthetic.
    """

    source: str
    joined: Joined
    masks: Mapping[str, MaskScores] | None
    is_phantom: bool


def merge_tasks(parts: Sequence[Part]) -> Part:
    """The answers of a model per task, on the same cases, as those of one model.

    Each of them draws its own mask: the scores of a case are the mean over the models.

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
        masks=_mean_scores([part.masks for part in parts]),
        is_phantom=any(part.is_phantom for part in parts),
    )


def _mean_scores(
    masks: Sequence[Mapping[str, MaskScores] | None],
) -> dict[str, MaskScores] | None:
    drawn = [each for each in masks if each is not None]
    if len(drawn) < len(masks):
        return None
    common = [case_id for case_id in drawn[0] if all(case_id in each for each in drawn)]
    return {
        case_id: MaskScores(
            dice=float(np.mean([each[case_id].dice for each in drawn])),
            hd95_mm=float(np.mean([each[case_id].hd95_mm for each in drawn])),
        )
        for case_id in common
    }


def part_of_center(part: Part, center: str) -> Part:
    """The answers for the cases of one center."""
    joined, rows = part.joined, np.array([each == center for each in part.joined.centers])

    def some(values: Sequence[str]) -> tuple[str, ...]:
        return tuple(value for value, row in zip(values, rows, strict=True) if row)

    case_ids = some(joined.case_ids)
    selected = replace(
        joined,
        case_ids=case_ids,
        patient_ids=some(joined.patient_ids),
        centers=some(joined.centers),
        flags=tuple(flags for flags, row in zip(joined.flags, rows, strict=True) if row),
        without_row=tuple(case for case in joined.without_row if case in case_ids),
        biomarkers=tuple(biomarker.select(rows) for biomarker in joined.biomarkers),
    )
    masks = part.masks
    if masks is not None:
        masks = {case: masks[case] for case in case_ids if case in masks}
    return replace(part, joined=selected, masks=masks)


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


def entry_of_center(entry: Entry, center: str) -> Entry:
    """The entry's answers for the cases of one center."""
    runs = (
        replace(run, parts=tuple(part_of_center(part, center) for part in run.parts))
        for run in entry.runs
    )
    return replace(entry, runs=tuple(runs))


def entry_of_parts(name: str, parts: Sequence[Part]) -> Entry:
    """What has one answer per case: a single run, named like the entry."""
    return Entry(name=name, runs=(Run(label=name, parts=tuple(parts)),))


@dataclass(frozen=True, kw_only=True, eq=False)
class ComparedCases:
    """The N cases that every run of every entry has.

    Attributes:
        case_ids: sorted.
        patient_ids: of each case.
        centers: of each case.
        folds: (N,) the fold that holds the case out; -1 of test cases.
        num_left_out: further cases that some run has.
    """

    case_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    centers: tuple[str, ...]
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
    of_case = {
        case_id: (patient_id, center)
        for part in runs[0][1].parts
        for case_id, patient_id, center in zip(
            part.joined.case_ids, part.joined.patient_ids, part.joined.centers, strict=True
        )
    }
    return ComparedCases(
        case_ids=tuple(common),
        patient_ids=tuple(of_case[case_id][0] for case_id in common),
        centers=tuple(of_case[case_id][1] for case_id in common),
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


def masks_on_cases(
    run: Run, score: Callable[[MaskScores], float], cases: ComparedCases
) -> FloatArray | None:
    """(N,) a score, nan where there is no true label map; None where the run draws no masks."""
    scores: dict[str, float] = {}
    for part in run.parts:
        if part.masks is None:
            return None
        scores |= {case_id: score(mask) for case_id, mask in part.masks.items()}
    return np.array([scores.get(case_id, np.nan) for case_id in cases.case_ids])
