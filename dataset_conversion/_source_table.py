"""Reads a center's table and translates it to the columns of targets.csv."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nnmtl.cohort.cell import format_interval, format_number, parse_interval
from nnmtl.cohort.csv_file import CsvRow, read_lines, rows_of_lines
from nnmtl.cohort.near_miss import did_you_mean
from nnmtl.dataset_conversion._clinical_column import RULES, Reading
from nnmtl.dataset_conversion._mapping import TableMapping
from nnmtl.dataset_conversion._source_column import RuledColumns, SourceColumn
from nnmtl.errors import NnmtlError

_SIGNIFICANT_DIGITS = 12  # 0.07 * 100 is 7, not 7.000000000000001


def find_source_table(source: str | None, names: Sequence[str]) -> Path:
    """The table that SOURCE is, or the first of these names in the folder that it is.

    Raises:
        NnmtlError: if there is none.
    """
    if source is None:
        raise NnmtlError(f"SOURCE: expected a folder with {' or '.join(names)}; name it.")
    if Path(source).is_file():
        return Path(source)
    if not Path(source).is_dir():
        raise NnmtlError(
            f"SOURCE: expected a folder with {' or '.join(names)}, but there is no {source}; "
            "correct the path."
        )
    for name in names:
        if (Path(source) / name).is_file():
            return Path(source) / name
    raise NnmtlError(
        f"SOURCE: expected a folder with {' or '.join(names)}, but {source} has none; put it there."
    )


def read_source_table(
    path: Path, columns: Sequence[str], *, header_with: str | None = None
) -> list[CsvRow]:
    """The rows of a .csv, of a .tsv or of the first sheet of an .xlsx, other columns left in.

    Args:
        path: of the table.
        columns: that must be there.
        header_with: a column by which the header is found below other lines; None if it is first.

    Raises:
        NnmtlError: if it cannot be read, has no row or lacks one of the columns.
    """
    if path.suffix.lower() not in (".csv", ".tsv", ".xlsx"):
        raise NnmtlError(f"{path}: expected a .csv, .tsv or .xlsx file; save the table as one.")
    lines = _sheet_lines(path) if path.suffix.lower() == ".xlsx" else read_lines(path)
    above = 0
    if header_with is not None:
        headers = (number for number, line in enumerate(lines) if header_with in line)
        above = next(headers, 0)
    rows = rows_of_lines(path, lines[above:], columns, with_others=True)
    if not rows:
        raise NnmtlError(
            f"{path}: expected a row for each case below the header, got none; add them."
        )
    return [replace(row, number=row.number + above) for row in rows]


def translate_row(row: CsvRow, mapping: TableMapping) -> CsvRow:
    """The row in the columns of targets.csv.

    Raises:
        NnmtlError: naming row, column and value where a cell has no translation.
    """
    cells = {
        "case_id": row[mapping.case_id],
        "patient_id": row[mapping.patient_id],
        "center": mapping.one_center or row[mapping.center or ""],
    }
    names_in_file = {"case_id": mapping.case_id, "patient_id": mapping.patient_id}
    if mapping.center:
        names_in_file["center"] = mapping.center
    for name, column in mapping.columns.items():
        if isinstance(column, RuledColumns):
            reading = read_by_rule(row, column, mapping.not_observed)
            cells[name] = reading if isinstance(reading, str) else ""
        else:
            cells[name] = _translate(row, column, mapping.not_observed)
            names_in_file[name] = column.name
    return CsvRow(path=row.path, number=row.number, cells=cells, names_in_file=names_in_file)


def read_by_rule(row: CsvRow, source: RuledColumns, not_observed: tuple[str, ...]) -> Reading:
    """The cell that a clinical rule derives from a row, or why it derives none.

    Raises:
        NnmtlError: naming row, column and value where a text is not among a column's `values`.
    """
    texts = {role: _translate(row, column, not_observed) for role, column in source.columns.items()}
    return RULES[source.rule].read(texts)


def missing_channels(row: CsvRow, mapping: TableMapping) -> frozenset[int]:
    """The channels that the row flags as missing."""
    return frozenset(
        channel
        for channel, flag in mapping.missing_channels.items()
        if row[flag.column] in flag.when
    )


def _translate(row: CsvRow, column: SourceColumn, not_observed: tuple[str, ...]) -> str:
    text = row[column.name]
    if not text or text in not_observed:
        return ""
    if column.values is not None:
        text = _look_up(row, column.name, column.values)
    if column.scale == 1 or not text:
        return text
    ends = parse_interval(
        CsvRow(path=row.path, number=row.number, cells={column.name: text}),
        column.name,
        lowest=-math.inf,
        highest=math.inf,
    )
    if ends is None:
        return ""
    lower, upper = (float(f"{end * column.scale:.{_SIGNIFICANT_DIGITS}g}") for end in ends)
    return format_interval(min(lower, upper), max(lower, upper))


def _look_up(row: CsvRow, column: str, values: Mapping[str, str]) -> str:
    if row[column] not in values:
        hint = did_you_mean(row[column], values)
        raise row.error(column, f"one of {', '.join(values)}, as the mapping lists them{hint}")
    return values[row[column]]


def _sheet_lines(path: Path) -> list[list[str]]:
    try:
        import openpyxl
    except ImportError as error:
        raise NnmtlError(
            f"{path}: reading .xlsx needs openpyxl; run pip install nnmtl[xlsx], or save as CSV."
        ) from error
    if not path.is_file():
        raise NnmtlError(f"{path}: expected an .xlsx file, but there is none; put it there.")
    try:
        sheet = openpyxl.load_workbook(path, read_only=True, data_only=True).worksheets[0]
        cells = list(sheet.iter_rows(values_only=True))
    except Exception as error:
        raise NnmtlError(
            f"{path}: expected an .xlsx file, but it cannot be read as one "
            f"({type(error).__name__}); save the table again, without a password, or as CSV."
        ) from error
    lines = [[_cell_text(value) for value in line] for line in cells]
    # A sheet stores no cells behind the last one that is filled.
    width = len(lines[0]) if lines else 0
    return [line + [""] * (width - len(line)) for line in lines]


def _cell_text(value: object) -> str:
    if value is None:
        return ""
    # A spreadsheet holds every number as floating point, so the case 12 comes as 12.0.
    return format_number(value) if isinstance(value, float) else str(value)
