"""What is wrong with a cohort: pure functions from facts to findings."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nnmtl.cohort.declaration import Declaration
from nnmtl.cohort.near_miss import did_you_mean
from nnmtl.cohort.splits import Fold
from nnmtl.cohort.targets import ClassTarget, ContinuousTarget, TargetTable

_FEWEST_EVENTS = 5  # below, a training fold has too few cases of a class to learn or weigh it
_FEW_EVENTS = 50  # below, an AUC's 95 % interval is about .1 wide to each side
_FEWEST_CASES_OF_CENTER = 5  # below, a center joins the reference configuration
_NUM_SHOWN = 5


Level = Literal["error", "warning", "note"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One sentence about the cohort; only an error forbids training.

    Attributes:
        level: how bad it is.
        message: the sentence.
        case_ids: the cases that it is about, where it is about single ones.
    """

    level: Level
    message: str
    case_ids: tuple[str, ...] = ()


def check_table(
    table: TargetTable,
    declaration: Declaration,
    train_case_ids: Collection[str],
    folds: Sequence[Fold] | None = None,
    *,
    test_case_ids: Collection[str] = (),
) -> list[Finding]:
    """All checks of the target table against the cases that have images.

    Args:
        table: all rows.
        declaration: of the table.
        train_case_ids: cases with an image in imagesTr.
        folds: of the training cases; None checks the training cases as a whole.
        test_case_ids: cases with an image in imagesTs.
    """
    known = table.select(set(train_case_ids) & set(table.case_ids))
    return [
        *check_rows(table, train_case_ids, test_case_ids),
        *check_patients(table, train_case_ids, test_case_ids),
        *check_centers(known),
        *check_missing_channels(declaration, {*train_case_ids, *test_case_ids}),
        *check_targets(known, folds),
    ]


def check_rows(
    table: TargetTable, train_case_ids: Collection[str], test_case_ids: Collection[str]
) -> list[Finding]:
    """Every row needs an image; an image may lack a row, and a case is train or test."""
    findings = []
    with_image = {*train_case_ids, *test_case_ids}
    without_row = sorted(with_image - set(table.case_ids))
    for case_id in sorted(set(table.case_ids) - with_image):
        hint = did_you_mean(case_id, without_row)
        findings.append(
            _error(
                f"targets.csv: the case {case_id!r} has no image in imagesTr or imagesTs{hint}; "
                "add the image or remove the row."
            )
        )
    if without_row:
        findings.append(
            _note(
                f"targets.csv: {len(without_row)} cases with images have no row and train the "
                f"segmentation only: {shown_names(without_row)}."
            )
        )
    return findings + [
        _error(f"the case {case_id!r} is in imagesTr and imagesTs; remove it from one.", case_id)
        for case_id in sorted(set(train_case_ids) & set(test_case_ids))
    ]


def check_patients(
    table: TargetTable, train_case_ids: Collection[str], test_case_ids: Collection[str]
) -> list[Finding]:
    """A patient must not have cases both for training and for testing."""
    patient_of = dict(zip(table.case_ids, table.patient_ids, strict=True))
    train = {patient_of[case] for case in train_case_ids if case in patient_of}
    test = {patient_of[case] for case in test_case_ids if case in patient_of}
    return [
        _error(
            f"the patient {patient!r} has cases in imagesTr and in imagesTs, so testing would "
            "not be on new patients; move them to one side."
        )
        for patient in sorted(train & test)
    ]


def check_centers(table: TargetTable) -> list[Finding]:
    """Names that differ in letter case or punctuation only, and centers with few cases."""
    counts = Counter(table.centers)
    spellings = defaultdict(list)
    for center in sorted(counts):
        spellings["".join(filter(str.isalnum, center.casefold()))].append(center)
    findings = [
        _warning(
            f"centers: {shown_names(names)} look like one center spelled differently; check them."
        )
        for names in spellings.values()
        if len(names) > 1
    ]
    findings += [
        _note(
            f"centers: {center!r} joins the reference configuration, because its number of "
            f"training cases is {count}, under {_FEWEST_CASES_OF_CENTER}."
        )
        for center, count in sorted(counts.items())
        if count < _FEWEST_CASES_OF_CENTER
    ]
    return findings


def check_missing_channels(
    declaration: Declaration, case_ids_with_image: Collection[str]
) -> list[Finding]:
    """Every case with a missing channel must exist."""
    return [
        _error(
            f"dataset.json: missing_channels names the case {case_id!r}, which has no image"
            f"{did_you_mean(case_id, case_ids_with_image)}; correct or remove it."
        )
        for case_id in sorted(set(declaration.missing_channels) - set(case_ids_with_image))
    ]


def check_targets(table: TargetTable, folds: Sequence[Fold] | None) -> list[Finding]:
    """Every class of a biomarker needs enough cases, over all and in each training fold."""
    findings = []
    for name in table.targets:
        findings += _check_target(table, name, folds)
    return findings


def check_labels(
    labels_of_case: Mapping[str, Collection[float]],
    declaration: Declaration,
    *,
    known_labels: Collection[int],
    ignore_label: int | None,
) -> list[Finding]:
    """Every label map needs tumor, unless all of it is `ignore`, and no undeclared label.

    Args:
        labels_of_case: per case, the values that its label map holds.
        declaration: names the tumor labels.
        known_labels: all values that dataset.json declares.
        ignore_label: nnU-Net's ignore label, where declared.
    """
    findings = []
    heads_only = []
    for case_id, labels in sorted(labels_of_case.items()):
        unknown = sorted(set(labels) - set(known_labels))
        if unknown:
            findings.append(
                _error(
                    f"labels: the label map of case {case_id!r} holds {unknown}, but dataset.json "
                    f"declares {sorted(known_labels)}; correct one of them.",
                    case_id,
                )
            )
        elif set(labels) == {ignore_label}:
            heads_only.append(case_id)
        elif not set(labels) & set(declaration.tumor_labels):
            findings.append(
                _error(
                    f"labels: the label map of case {case_id!r} has no tumor "
                    f"({list(declaration.tumor_labels)}); draw it, or fill the map with the "
                    "ignore label if the tumor was never outlined.",
                    case_id,
                )
            )
    if heads_only:
        findings.append(
            _note(
                f"labels: {len(heads_only)} cases have no mask (all ignore) and train biomarkers "
                f"only: {shown_names(heads_only)}."
            )
        )
    return findings


def count_events(table: TargetTable, name: str) -> dict[str, int]:
    """Cases per class of a biomarker, sets left out; for a continuous one, observed cases."""
    target = table.targets[name]
    if isinstance(target, ClassTarget):
        is_known = target.possible.sum(axis=1) == 1
        counts = target.possible[is_known].sum(axis=0).tolist()
        return dict(zip(target.categories, counts, strict=True))
    return {"observed": int(target.observed.sum())}


def _check_target(table: TargetTable, name: str, folds: Sequence[Fold] | None) -> list[Finding]:
    events = count_events(table, name)
    if _is_constant(table, name):
        return [
            _error(
                f"{name}: expected cases of at least two classes or values, got "
                f"{_counted(events)}; add cases, or remove the biomarker from dataset.json."
            )
        ]
    findings = [
        _warning(
            f"{name}: only {count} training cases are {event!r} (under {_FEW_EVENTS}), so expect "
            "wide intervals."
        )
        for event, count in events.items()
        if count < _FEW_EVENTS
    ]
    return findings + _check_events_of_folds(table, name, folds)


def _check_events_of_folds(
    table: TargetTable, name: str, folds: Sequence[Fold] | None
) -> list[Finding]:
    """One error per class that is too rare, naming the training fold that has the fewest."""
    trained_on = [fold.train for fold in folds] if folds is not None else [table.case_ids]
    known = set(table.case_ids)
    events = [count_events(table.select(set(part) & known), name) for part in trained_on]
    findings = []
    for event in events[0]:
        counts = [of_fold[event] for of_fold in events]
        fewest = min(counts)
        where = "got" if folds is None else f"in each fold, but fold {counts.index(fewest)} has"
        if fewest < _FEWEST_EVENTS:
            findings.append(
                _error(
                    f"{name}: expected at least {_FEWEST_EVENTS} training cases that are "
                    f"{event!r}, {where} {fewest}; add cases, or merge or remove the class."
                )
            )
    return findings


def _is_constant(table: TargetTable, name: str) -> bool:
    target = table.targets[name]
    if isinstance(target, ContinuousTarget):
        ends = np.stack([target.lower, target.upper])[:, target.observed]
        return ends.size == 0 or bool((ends == ends[0, 0]).all())
    return sum(count > 0 for count in count_events(table, name).values()) < 2


def _counted(events: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {event!r}" for event, count in events.items())


def shown_names(names: Sequence[str]) -> str:
    """The first five names, and how many more there are."""
    more = f" and {len(names) - _NUM_SHOWN} more" if len(names) > _NUM_SHOWN else ""
    return ", ".join(repr(name) for name in names[:_NUM_SHOWN]) + more


def _error(message: str, *case_ids: str) -> Finding:
    return Finding(level="error", message=message, case_ids=case_ids)


def _warning(message: str) -> Finding:
    return Finding(level="warning", message=message)


def _note(message: str) -> Finding:
    return Finding(level="note", message=message)
