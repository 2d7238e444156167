"""CSV with named columns: rows that know where they stand, and canonical bytes."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nnmtl.cohort.near_miss import did_you_mean
from nnmtl.errors import NnmtlError
from nnmtl.whole_file import write_whole


@dataclass(frozen=True, kw_only=True)
class CsvRow:
    """One row of a table.

    Attributes:
        path: of the table.
        number: the spreadsheet's, where the header is row 1.
        cells: text by column.
        names_in_file: what a column is called in the file, where the row is a translation.
    """

    path: Path
    number: int
    cells: Mapping[str, str]
    names_in_file: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, column: str) -> str:
        return self.cells[column]

    def error(self, column: str, expected: str) -> NnmtlError:
        """The error that says what this cell should have been."""
        return NnmtlError(
            f"{self.path}: row {self.number}, column "
            f"{self.names_in_file.get(column, column)!r}: expected {expected}; "
            f"got {self[column]!r}."
        )


def read_csv(path: Path, columns: Sequence[str], *, with_others: bool = False) -> list[CsvRow]:
    """Reads a UTF-8 file with these columns, in any order; outer spaces are dropped.

    Rows without any text are skipped.

    Args:
        path: of the file.
        columns: that must be there.
        with_others: whether further columns may be there.

    Raises:
        NnmtlError: if the file is absent or not UTF-8, a column is unknown, missing or doubled,
            or a row is longer or shorter than the header.
    """
    return rows_of_lines(path, read_lines(path), columns, with_others=with_others)


def read_lines(path: Path) -> list[list[str]]:
    """The cells of every line of a UTF-8 file, separated by commas, or by tabs in a .tsv.

    Raises:
        NnmtlError: if the file is absent or not UTF-8, or a quote is never closed.
    """
    between = "\t" if path.suffix.lower() == ".tsv" else ","
    reader = csv.reader(io.StringIO(_read_text(path), newline=""), delimiter=between)
    try:
        return list(reader)
    except csv.Error as error:
        raise NnmtlError(
            f"{path}: line {reader.line_num}: {error}, perhaps by a quote that is never closed; "
            "correct the table."
        ) from error


def rows_of_lines(
    path: Path, lines: Sequence[Sequence[str]], columns: Sequence[str], *, with_others: bool
) -> list[CsvRow]:
    """The rows below the header line; see `read_csv`."""
    if not lines:
        raise NnmtlError(f"{path}: expected the header {','.join(columns)}, got an empty file.")
    header = [cell.strip() for cell in lines[0]]
    _check_header(path, header, columns, with_others=with_others)
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        cells = [cell.strip() for cell in line]
        if not any(cells):
            continue
        if len(cells) != len(header):
            raise NnmtlError(
                f"{path}: row {number}: expected {len(header)} cells as in the header, got "
                f"{len(cells)}; quote a cell that contains a comma."
            )
        rows.append(CsvRow(path=path, number=number, cells=dict(zip(header, cells, strict=True))))
    return rows


def write_csv(path: Path, columns: Mapping[str, Sequence[str]]) -> None:
    """Writes columns of equal length as UTF-8 with line feeds, whole or not at all."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    write_whole(path, text.getvalue())


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise NnmtlError(f"{path}: expected a CSV file, but there is none; put it there.")
    content = path.read_bytes()
    try:
        # Spreadsheets begin UTF-8 files with a byte order mark, which is not part of a name.
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        raise NnmtlError(
            f"{path}: row {row}: expected UTF-8 text, got the byte {content[error.start]:#04x}; "
            "save the table as 'CSV UTF-8'."
        ) from error


def _check_header(
    path: Path, header: Sequence[str], columns: Sequence[str], *, with_others: bool
) -> None:
    expected, others = ("tabs", ",;") if path.suffix.lower() == ".tsv" else ("commas", ";\t")
    if len(header) == 1 and set(others) & set(header[0]):
        raise NnmtlError(
            f"{path}: row 1: expected columns separated by {expected}, got {header[0]!r}; "
            f"save the table with {expected}."
        )
    for name, count in Counter(header).items():
        if name not in columns and with_others:
            continue
        if count > 1:
            raise NnmtlError(f"{path}: row 1: the column {name!r} stands {count} times; keep one.")
        if name not in columns:
            unused = [column for column in columns if column not in header]
            hint = did_you_mean(name, unused)
            todo = f"{hint} Rename it." if hint else "; remove it, or declare it in dataset.json."
            raise NnmtlError(f"{path}: row 1: unknown column {name!r}{todo}")
    for name in columns:
        if name not in header:
            spare = [other for other in header if other not in columns]
            hint = did_you_mean(name, spare) if with_others else ""
            todo = f"{hint} Rename or add it." if hint else "; add it, empty if unknown."
            raise NnmtlError(f"{path}: row 1: the column {name!r} is missing{todo}")
