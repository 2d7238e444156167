"""Folds of cases: no patient on two sides, targets and centers balanced."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nnmtl.cohort.targets import ClassTarget, Target, TargetTable
from nnmtl.errors import NnmtlError

NUM_FOLDS = 5  # as nnU-Net draws

_NUM_BINS_OF_CONTINUOUS = 4  # quartiles: the fewest that keep both tails apart from the middle

_NUM_SWEEPS = 10  # over all patients; real tables settle after 3 to 6
_DECIMALS = 9  # of a fall; below, it is rounding, which differs among processors


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Case ids of one fold, each part sorted."""

    train: tuple[str, ...]
    validation: tuple[str, ...]


def patient_folds(
    table: TargetTable, *, num_folds: int = NUM_FOLDS, seed: int = 12345
) -> tuple[Fold, ...]:
    """Folds for cross-validation: every case is in exactly one validation part.

    Args:
        table: the cases to split; test cases must not be among them.
        num_folds: how many.
        seed: the same seed and cases give the same folds, whatever the order of rows.

    Raises:
        NnmtlError: if there are fewer patients than folds, or fewer than two folds.
    """
    if num_folds < 2:
        raise NnmtlError(f"folds: expected at least 2, got {num_folds}.")
    parts = split_patients(table, (1,) * num_folds, seed=seed)
    return tuple(_fold(table, validation=part) for part in parts)


def folds_beside(
    table: TargetTable, known: Sequence[Collection[str]], learned: Collection[str]
) -> tuple[Fold, ...]:
    """Folds of cases that are new to a model, beside those of its own centers.

    Args:
        table: all cases.
        known: per fold, cases that its model has not learned from; they stay its validation cases.
        learned: cases of the model's own centers; what is not in `known` trains every fold, and so
            does every other case of such a patient.

    Raises:
        NnmtlError: if there are fewer new patients than folds.
    """
    patient_of = dict(zip(table.case_ids, table.patient_ids, strict=True))
    unseen = set().union(*known)
    own = {patient_of[case] for case in learned}
    trained = {patient_of[case] for case in learned if case not in unseen}
    new = table.select(case for case, patient in patient_of.items() if patient not in own)
    folds = []
    for fold, cases in zip(patient_folds(new, num_folds=len(known)), known, strict=True):
        stay = {patient_of[case] for case in cases} - trained
        more = [case for case, patient in patient_of.items() if patient in stay]
        folds.append(_fold(table, validation=(*fold.validation, *more)))
    return tuple(folds)


def holdout_7_1_2(
    table: TargetTable, *, seed: int = 12345
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Case ids for training, validation and testing, patients in proportion 7:1:2.

    Raises:
        NnmtlError: if there are fewer than 3 patients.
    """
    train, validation, test = split_patients(table, (7, 1, 2), seed=seed)
    return train, validation, test


def leave_one_center_out(table: TargetTable) -> Mapping[str, Fold]:
    """Per center, a fold that validates on this center and trains on all others.

    Raises:
        NnmtlError: if the table has one center only.
    """
    centers = sorted(set(table.centers))
    if len(centers) < 2:
        raise NnmtlError(
            f"leave one center out: expected at least 2 centers, got only {centers}; "
            "use folds of patients."
        )
    return {
        center: _fold(
            table,
            validation=[
                case_id
                for case_id, case_center in zip(table.case_ids, table.centers, strict=True)
                if case_center == center
            ],
        )
        for center in centers
    }


def split_patients(
    table: TargetTable, shares: Sequence[int], *, seed: int
) -> tuple[tuple[str, ...], ...]:
    """Case ids of parts whose numbers of patients stand in the proportion of `shares`.

    Patients are dealt by chance; then pairs are exchanged while this lowers the chi-square
    statistic of parts against strata (classes, missing targets, centers).

    Args:
        table: the cases to split.
        shares: a positive integer per part, such as (7, 1, 2).
        seed: of the chance.

    Raises:
        NnmtlError: if there are fewer patients than parts.
    """
    patients = sorted(set(table.patient_ids))
    if len(patients) < len(shares):
        raise NnmtlError(
            f"splits: expected at least {len(shares)} patients for {len(shares)} parts, got "
            f"{len(patients)}; use fewer parts."
        )
    row_of = {patient: row for row, patient in enumerate(patients)}
    patient_rows = np.array([row_of[patient] for patient in table.patient_ids])
    case_strata = _strata(table, smallest_joint=len(shares))
    counts = np.zeros((len(patients), case_strata.shape[1]))
    np.add.at(counts, patient_rows, case_strata)
    dealt = np.repeat(np.arange(len(shares)), _sizes(len(patients), shares))
    np.random.default_rng(seed).shuffle(dealt)
    part_of_patient = _exchange(dealt, counts, np.array(shares))
    part_of_case = part_of_patient[patient_rows]
    return tuple(
        tuple(np.array(table.case_ids)[part_of_case == part].tolist())
        for part in range(len(shares))
    )


def _sizes(num_patients: int, shares: Sequence[int]) -> npt.NDArray[np.int_]:
    """Numbers of patients in proportion to the shares, at least one each.

    After the first patient, each goes to the part that is furthest behind its share.
    """
    sizes = np.ones(len(shares), dtype=np.int_)
    for _ in range(num_patients - len(shares)):
        sizes[((sizes + 1) / np.array(shares)).argmin()] += 1
    return sizes


def _exchange(
    part_of_patient: npt.NDArray[np.int_],
    counts: npt.NDArray[np.float64],
    shares: npt.NDArray[np.int_],
) -> npt.NDArray[np.int_]:
    """Exchanges pairs of patients while the chi-square statistic of parts and strata falls.

    Args:
        part_of_patient: (patients,) the start.
        counts: (patients, strata) numbers of cases.
        shares: (parts,) the proportion that each part should have of every stratum.

    Returns:
        (patients,) parts of the same sizes.
    """
    part_of = part_of_patient.copy()
    scaled = counts / np.sqrt(counts.sum(axis=0))
    held = np.array([scaled[part_of == part].sum(axis=0) for part in range(len(shares))])
    for _ in range(_NUM_SWEEPS):
        before = part_of.copy()
        for patient, own in enumerate(scaled):
            here = part_of[patient]
            step = scaled - own
            change = (2 * held[here] + step) * step / shares[here]
            change += (step - 2 * held[part_of]) * step / shares[part_of][:, None]
            falls = np.where(part_of == here, 0, change.sum(axis=1).round(_DECIMALS))
            partner = int(falls.argmin())
            if falls[partner] < 0:
                held[here] += step[partner]
                held[part_of[partner]] -= step[partner]
                part_of[[patient, partner]] = part_of[[partner, patient]]
        if np.array_equal(part_of, before):
            break
    return part_of


def _strata(table: TargetTable, *, smallest_joint: int) -> npt.NDArray[np.float64]:
    """(cases, strata) of 0 and 1: all cases, centers, targets, and targets within centers.

    Those within centers count only where the parts can share them; rarer ones are left to their
    center and target, because they would push everything else aside.
    """
    centers = _one_column_per_value(np.array(table.centers))
    columns = [np.ones((len(table.case_ids), 1)), centers]
    for target in table.targets.values():
        levels = _one_column_per_value(_levels(target))
        joint = (centers[:, :, None] * levels[:, None, :]).reshape(len(levels), -1)
        columns += [levels, joint[:, joint.sum(axis=0) >= smallest_joint]]
    return np.concatenate(columns, axis=1)


def _levels(target: Target) -> npt.NDArray[np.int_]:
    """A number per case that tells classes, sets of classes and missing apart."""
    if isinstance(target, ClassTarget):
        return np.unique(target.possible, axis=0, return_inverse=True)[1].reshape(-1)
    middle = (target.lower + target.upper) / 2
    if not target.observed.any():
        return np.zeros(len(middle), dtype=np.int_)
    steps = np.arange(1, _NUM_BINS_OF_CONTINUOUS) / _NUM_BINS_OF_CONTINUOUS
    edges = np.quantile(middle[target.observed], steps)
    missing = _NUM_BINS_OF_CONTINUOUS
    return np.where(target.observed, np.searchsorted(edges, middle, side="right"), missing)


def _one_column_per_value(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    is_value: npt.NDArray[np.bool_] = values[:, None] == np.unique(values)[None, :]
    return is_value.astype(np.float64)


def _fold(table: TargetTable, *, validation: Sequence[str]) -> Fold:
    held_out = set(validation)
    return Fold(
        train=tuple(case_id for case_id in table.case_ids if case_id not in held_out),
        validation=tuple(sorted(validation)),
    )
