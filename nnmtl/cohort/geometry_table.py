"""A cohort's geometry as a table, from which a plan can be made without any image."""

from pathlib import Path

from nnmtl.cohort.case_geometry import CaseGeometry, check_geometries, triple, whole_triple
from nnmtl.cohort.cell import parse_number
from nnmtl.cohort.csv_file import CsvRow, read_csv
from nnmtl.cohort.declaration import Declaration
from nnmtl.cohort.fingerprint import cohort_fingerprint
from nnmtl.cohort.targets import TargetTable
from nnmtl.errors import NnmtlError

_AXES = ("z", "y", "x")  # of the image array, slowest first
_SPACING = tuple(f"spacing_{axis}_mm" for axis in _AXES)
_SHAPE = tuple(f"shape_{axis}" for axis in _AXES)
_EXTENT = tuple(f"tumor_extent_{axis}_mm" for axis in _AXES)
REQUIRED = ("case_id", "center", *_SPACING, *_SHAPE)


def geometry_fingerprint(path: Path) -> dict[str, object]:
    """The geometric part of `nnmtl_fingerprint.json`, read from a table with one row per case.

    Columns: `case_id`, `center`, `spacing_z_mm`, `spacing_y_mm`, `spacing_x_mm`, `shape_z`,
    `shape_y`, `shape_x`; optional `patient_id` (else each case is a patient of its own) and
    `tumor_extent_z_mm`, `tumor_extent_y_mm`, `tumor_extent_x_mm` (empty: no tumor measured);
    others are ignored.

    Raises:
        NnmtlError: for a missing column, an empty or impossible cell, a case that stands twice, or
            2D and 3D cases in one table.
    """
    rows = read_csv(path, REQUIRED, with_others=True)
    if not rows:
        raise NnmtlError(f"{path}: expected one row per case below the header, found none.")
    by_case: dict[str, CsvRow] = {}
    for row in rows:
        _check_identity(row, by_case)
        by_case[row["case_id"]] = row
    geometries = {case_id: _geometry(row) for case_id, row in by_case.items()}
    check_geometries(geometries, where=str(path))
    case_ids = tuple(sorted(by_case))
    table = TargetTable(
        case_ids=case_ids,
        patient_ids=tuple(by_case[case].cells.get("patient_id") or case for case in case_ids),
        centers=tuple(by_case[case]["center"] for case in case_ids),
    )
    return cohort_fingerprint(table, geometries, Declaration(tumor_labels=(1,)))


def _check_identity(row: CsvRow, by_case: dict[str, CsvRow]) -> None:
    for column in ("case_id", "center"):
        if not row[column]:
            raise row.error(column, "a name in every row")
    if row["case_id"] in by_case:
        other = by_case[row["case_id"]].number
        raise row.error("case_id", f"a case that has one row, but it stands in row {other} too")


def _geometry(row: CsvRow) -> CaseGeometry:
    has_extent = any(row.cells.get(column) for column in _EXTENT)
    return CaseGeometry(
        shape=whole_triple([_whole(row, column) for column in _SHAPE]),
        spacing_mm=triple([_positive(row, column) for column in _SPACING]),
        tumor_extent_mm=triple([_extent(row, column) for column in _EXTENT])
        if has_extent
        else None,
        tumor_volume_ml=None,
    )


def _positive(row: CsvRow, column: str) -> float:
    value = parse_number(row, column)
    if value is None or value <= 0:
        raise row.error(column, "a number above 0, in mm")
    return value


def _whole(row: CsvRow, column: str) -> int:
    value = parse_number(row, column)
    if value is None or value < 1 or value != int(value):
        raise row.error(column, "a whole number of voxels, at least 1")
    return int(value)


def _extent(row: CsvRow, column: str) -> float:
    if column not in row.cells:
        raise NnmtlError(
            f"{row.path}: row 1: expected the columns {', '.join(_EXTENT)} together, but "
            f"{column!r} is missing; add it, or remove the others."
        )
    return _positive(row, column)
