"""The target table: what is known of every case, read from and written to `targets.csv`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nnmtl.cohort.biomarker import Biomarker, ContinuousBiomarker
from nnmtl.cohort.cell import (
    BINARY_CATEGORIES,
    format_interval,
    format_number,
    format_set,
    parse_interval,
    parse_number,
    parse_set,
)
from nnmtl.cohort.csv_file import CsvRow, read_csv, write_csv
from nnmtl.cohort.declaration import IDENTITY_COLUMNS, Declaration
from nnmtl.cohort.near_miss import did_you_mean
from nnmtl.errors import NnmtlError

UNKNOWN_CENTER = "unknown"


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassTarget:
    """A binary or categorical biomarker of N cases.

    Attributes:
        possible: (N, K) boolean; one True per row where the class is known, several where the
            table names a set, all where nothing was observed.
        observed: (N,) boolean.
        categories: the K names, for writing; binary ones are "0" and "1".
    """

    possible: npt.NDArray[np.bool_]
    observed: npt.NDArray[np.bool_]
    categories: tuple[str, ...] = BINARY_CATEGORIES

    def select(self, rows: npt.NDArray[np.intp]) -> "ClassTarget":
        """The same target of some of the cases."""
        return ClassTarget(
            possible=self.possible[rows],
            observed=self.observed[rows],
            categories=self.categories,
        )

    def or_unobserved(self, rows: npt.NDArray[np.intp]) -> "ClassTarget":
        """The same target of some of the cases; row -1 is a case with nothing observed."""
        nothing = np.ones((1, self.possible.shape[1]), dtype=bool)
        return ClassTarget(
            possible=np.concatenate([self.possible, nothing])[rows],
            observed=np.append(self.observed, values=False)[rows],
            categories=self.categories,
        )

    def cells(self) -> list[str]:
        """One cell of targets.csv per case."""
        return [
            format_set(possible, self.categories) if observed else ""
            for possible, observed in zip(self.possible, self.observed, strict=True)
        ]


@dataclass(frozen=True, kw_only=True, eq=False)
class ContinuousTarget:
    """A continuous biomarker of N cases, in its unit.

    Attributes:
        lower: (N,) the value, or the lower end where the table gives an interval; nan where
            nothing was observed.
        upper: (N,) the same of the upper end.
        observed: (N,) boolean.
    """

    lower: npt.NDArray[np.float64]
    upper: npt.NDArray[np.float64]
    observed: npt.NDArray[np.bool_]

    def select(self, rows: npt.NDArray[np.intp]) -> "ContinuousTarget":
        """The same target of some of the cases."""
        return ContinuousTarget(
            lower=self.lower[rows], upper=self.upper[rows], observed=self.observed[rows]
        )

    def or_unobserved(self, rows: npt.NDArray[np.intp]) -> "ContinuousTarget":
        """The same target of some of the cases; row -1 is a case with nothing observed."""
        return ContinuousTarget(
            lower=np.append(self.lower, np.nan)[rows],
            upper=np.append(self.upper, np.nan)[rows],
            observed=np.append(self.observed, values=False)[rows],
        )

    def cells(self) -> list[str]:
        """One cell of targets.csv per case."""
        return [
            format_interval(lower, upper) if observed else ""
            for lower, upper, observed in zip(self.lower, self.upper, self.observed, strict=True)
        ]


Target = ClassTarget | ContinuousTarget


@dataclass(frozen=True, kw_only=True, eq=False)
class TargetTable:
    """All rows of targets.csv, sorted by case id.

    Attributes:
        case_ids: N unique ids, sorted.
        patient_ids: the patient of each case.
        centers: the center of each case; a patient has one.
        targets: per biomarker, in the order of declaration.
        covariates: per covariate (N,) numbers, nan where missing.
    """

    case_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    centers: tuple[str, ...]
    targets: Mapping[str, Target] = field(default_factory=dict)
    covariates: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if list(self.case_ids) != sorted(set(self.case_ids)):
            raise NnmtlError("targets: expected unique case ids in sorted order; sort the cases.")

    def index(self, case_id: str) -> int:
        """The row of a case.

        Raises:
            NnmtlError: if the case is not in the table.
        """
        if case_id not in self.case_ids:
            hint = did_you_mean(case_id, self.case_ids)
            raise NnmtlError(f"targets: the case {case_id!r} has no row{hint}.")
        return self.case_ids.index(case_id)

    def select(self, case_ids: Iterable[str]) -> "TargetTable":
        """The rows of some cases, sorted whatever the order of the ids.

        Raises:
            NnmtlError: if a case is not in the table.
        """
        row_of = {case_id: row for row, case_id in enumerate(self.case_ids)}
        wanted = sorted(set(case_ids))
        rows = np.array(
            [row_of[case] if case in row_of else self.index(case) for case in wanted],
            dtype=np.intp,
        )
        return TargetTable(
            case_ids=tuple(wanted),
            patient_ids=tuple(self.patient_ids[row] for row in rows),
            centers=tuple(self.centers[row] for row in rows),
            targets={name: target.select(rows) for name, target in self.targets.items()},
            covariates={name: values[rows] for name, values in self.covariates.items()},
        )

    def with_unobserved(self, case_ids: Iterable[str]) -> "TargetTable":
        """The same table with rows in which nothing is observed for cases that have none.

        Nothing is known of such a case: it counts as a patient of its own, named like the case, in
        the center `unknown`. If the table has a patient of that name, it is that one's case.
        """
        added = sorted(set(case_ids) - set(self.case_ids))
        center_of = dict(zip(self.patient_ids, self.centers, strict=True))
        unsorted = (*self.case_ids, *added)
        order = np.argsort(np.array(unsorted, dtype=object), kind="stable")
        patients = (*self.patient_ids, *added)
        centers = (*self.centers, *(center_of.get(case, UNKNOWN_CENTER) for case in added))
        # A row number of -1 takes the row of nan or of all classes that is put at the end.
        rows = np.concatenate([np.arange(len(self.case_ids)), np.full(len(added), -1)])[order]
        return TargetTable(
            case_ids=tuple(unsorted[row] for row in order),
            patient_ids=tuple(patients[row] for row in order),
            centers=tuple(centers[row] for row in order),
            targets={name: target.or_unobserved(rows) for name, target in self.targets.items()},
            covariates={name: np.append(v, np.nan)[rows] for name, v in self.covariates.items()},
        )


def read_targets(path: Path, declaration: Declaration) -> TargetTable:
    """Reads and validates targets.csv; the order of its rows and columns does not matter.

    Args:
        path: a UTF-8, comma separated file with the columns case_id, patient_id, center, then
            every declared biomarker and covariate, and no other.
        declaration: what the columns mean.

    Raises:
        NnmtlError: naming file, row (the header is row 1), column and value.
    """
    columns = (*IDENTITY_COLUMNS, *declaration.target_columns)
    return parse_targets(path, read_csv(path, columns), declaration)


def parse_targets(path: Path, rows: Sequence[CsvRow], declaration: Declaration) -> TargetTable:
    """The table of rows with the columns of targets.csv; see `read_targets`."""
    rows = sorted(rows, key=lambda row: row["case_id"])
    if not rows:
        raise NnmtlError(f"{path}: expected at least one case below the header; add the cases.")
    _check_identities(rows)
    return TargetTable(
        case_ids=tuple(row["case_id"] for row in rows),
        patient_ids=tuple(row["patient_id"] for row in rows),
        centers=tuple(row["center"] for row in rows),
        targets={entry.name: _parse_target(rows, entry) for entry in declaration.biomarkers},
        covariates={name: _parse_covariate(rows, name) for name in declaration.covariates},
    )


def write_targets(table: TargetTable, path: Path) -> None:
    """Writes targets.csv; equal tables give equal bytes.

    Raises:
        NnmtlError: if a target's categories do not name its classes.
    """
    columns: dict[str, Sequence[str]] = dict(
        zip(
            IDENTITY_COLUMNS,
            (table.case_ids, table.patient_ids, table.centers),
            strict=True,
        )
    )
    for name, target in table.targets.items():
        if isinstance(target, ClassTarget) and target.possible.shape[1] != len(target.categories):
            raise NnmtlError(
                f"targets: {name!r} has {target.possible.shape[1]} classes but the categories "
                f"{list(target.categories)!r}; name each class."
            )
        columns[name] = target.cells()
    for name, values in table.covariates.items():
        columns[name] = ["" if np.isnan(value) else format_number(value) for value in values]
    write_csv(path, columns)


def _check_identities(rows: Sequence[CsvRow]) -> None:
    row_of_case: dict[str, CsvRow] = {}
    row_of_patient: dict[str, CsvRow] = {}
    for row in sorted(rows, key=lambda row: row.number):
        for column in IDENTITY_COLUMNS:
            if not row[column]:
                raise row.error(column, "text, since every case needs it; fill it in")
        if "/" in row["case_id"] or "\\" in row["case_id"]:
            raise row.error("case_id", "a file name without its ending; remove the slash")
        first = row_of_case.setdefault(row["case_id"], row)
        if first is not row:
            raise row.error("case_id", f"a case once, but row {first.number} has it; remove one")
        same_patient = row_of_patient.setdefault(row["patient_id"], row)
        if same_patient["center"] != row["center"]:
            raise row.error(
                "center",
                f"one center per patient, but row {same_patient.number} has the patient "
                f"{row['patient_id']!r} in {same_patient['center']!r}; correct one of them",
            )


def _parse_target(rows: Sequence[CsvRow], biomarker: Biomarker) -> Target:
    if isinstance(biomarker, ContinuousBiomarker):
        lowest, highest = biomarker.range
        ends = np.array(
            [
                parse_interval(row, biomarker.name, lowest=lowest, highest=highest) or (np.nan,) * 2
                for row in rows
            ]
        )
        return ContinuousTarget(
            lower=ends[:, 0], upper=ends[:, 1], observed=~np.isnan(ends).any(axis=1)
        )
    categories = BINARY_CATEGORIES if biomarker.kind == "binary" else biomarker.categories
    possible = np.array([parse_set(row, biomarker.name, categories) for row in rows])
    return ClassTarget(possible=possible, observed=np.any(~possible, axis=1), categories=categories)


def _parse_covariate(rows: Sequence[CsvRow], name: str) -> npt.NDArray[np.float64]:
    values = [parse_number(row, name) for row in rows]
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
