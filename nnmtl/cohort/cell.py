"""One cell of targets.csv: a class, a set of classes, a number or an interval."""

import re
from collections.abc import Iterable, Sequence

from nnmtl.cohort.csv_file import CsvRow
from nnmtl.cohort.near_miss import did_you_mean

BINARY_CATEGORIES = ("0", "1")

_BETWEEN_CATEGORIES = "|"
# Python's float() also takes "nan", "inf" and "1_000", none of which is a measurement.
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_INTERVAL = re.compile(rf"({_NUMBER})(?:\s*[-–]\s*({_NUMBER}))?")
# A spreadsheet or pandas turns a column of 0, 1 and empty cells into 0.0 and 1.0.
_BINARY_SPELLINGS = {"0.0": "0", "1.0": "1"}


def parse_set(row: CsvRow, column: str, categories: Sequence[str]) -> list[bool]:
    """Which categories a cell leaves possible: all of them where it is empty.

    Raises:
        NnmtlError: if the cell names anything else than categories.
    """
    if not row[column]:
        return [True] * len(categories)
    named = [name.strip() for name in row[column].split(_BETWEEN_CATEGORIES)]
    if tuple(categories) == BINARY_CATEGORIES:
        named = [_BINARY_SPELLINGS.get(row[column], row[column])]
    for name in named:
        if name not in categories:
            raise row.error(column, _expected_categories(name, categories))
    return [category in named for category in categories]


def parse_interval(
    row: CsvRow, column: str, *, lowest: float, highest: float
) -> tuple[float, float] | None:
    """Both ends of an interval such as `20-30`; a number is both ends; None where empty.

    An interval that spans the whole range says nothing and counts as empty.

    Raises:
        NnmtlError: if the cell is neither, or leaves the range.
    """
    if not row[column]:
        return None
    match = _INTERVAL.fullmatch(row[column])
    if match is None:
        raise row.error(column, "a number, an interval such as 20-30, or an empty cell")
    lower = float(match[1])
    upper = lower if match[2] is None else float(match[2])
    if not lowest <= lower <= upper <= highest:
        raise row.error(
            column,
            f"a number or interval within {format_number(lowest)} to "
            f"{format_number(highest)}, the lower end first",
        )
    return None if (lower, upper) == (lowest, highest) else (lower, upper)


def parse_number(row: CsvRow, column: str) -> float | None:
    """A finite number, or None where the cell is empty.

    Raises:
        NnmtlError: for any other text, `nan` and `inf` among it.
    """
    if not row[column]:
        return None
    if not re.fullmatch(_NUMBER, row[column]):
        raise row.error(column, "a number or an empty cell")
    return float(row[column])


def format_set(possible: Iterable[bool], categories: Sequence[str]) -> str:
    """The cell that `parse_set` reads back."""
    named = [name for name, is_possible in zip(categories, possible, strict=True) if is_possible]
    return _BETWEEN_CATEGORIES.join(named)


def format_interval(lower: float, upper: float) -> str:
    """The cell that `parse_interval` reads back."""
    if lower == upper:
        return format_number(lower)
    return f"{format_number(lower)}-{format_number(upper)}"


def format_number(value: float) -> str:
    """The shortest text that reads back as exactly this number; 20.0 becomes 20, -0.0 becomes 0."""
    return repr(float(value) + 0.0).removesuffix(".0")


def _expected_categories(name: str, categories: Sequence[str]) -> str:
    if tuple(categories) == BINARY_CATEGORIES:
        return "0, 1 or an empty cell"
    hint = did_you_mean(name, categories)
    return f"one of {', '.join(categories)}, several joined by '|', or an empty cell{hint}"
