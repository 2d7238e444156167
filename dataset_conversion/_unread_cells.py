"""The report of every cell that says something and gives no value."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnmtl.cohort.clinical_text import NotUnderstood
from nnmtl.cohort.csv_file import CsvRow, write_csv
from nnmtl.dataset_conversion._clinical_column import RULES
from nnmtl.dataset_conversion._mapping import TableMapping
from nnmtl.dataset_conversion._source_column import RuledColumns, SourceColumn
from nnmtl.dataset_conversion._source_table import read_by_rule
from nnmtl.errors import NnmtlError

_logger = logging.getLogger(__name__)

UNREAD_CSV = "not_understood.csv"
_MOST_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class UnreadCell:
    """A biomarker of a case that stays empty although the source says something.

    The source's text is not repeated: a cell of free text may hold a name.

    Attributes:
        case_id: of the case.
        row: of the source table, whose header is row 1.
        biomarker: that stays empty.
        columns: of the source table.
        outcome: `not understood`, or `undecided` where rule or mapping gives no value.
        reason: why.
    """

    case_id: str
    row: int
    biomarker: str
    columns: str
    outcome: str
    reason: str


def find_unread(rows: Sequence[CsvRow], mapping: TableMapping) -> list[UnreadCell]:
    """Every cell of a biomarker that says something and gives no value.

    Raises:
        NnmtlError: if a column holds codes that its rule would misread.
    """
    found = []
    for name, source in mapping.columns.items():
        if isinstance(source, RuledColumns):
            _refuse_codes(rows, source, mapping.not_observed)
            cells = [_unread(row, name, source, mapping) for row in rows]
            found += [cell for cell in cells if cell]
        elif source.values is not None and name not in mapping.covariates:
            found += _left_open(rows, name, source, mapping)
    return found


def write_unread(path: Path, cells: Sequence[UnreadCell]) -> None:
    """Writes the cells as CSV."""
    names = ("case_id", "row", "biomarker", "columns", "outcome", "reason")
    write_csv(path, {name: [str(getattr(cell, name)) for cell in cells] for name in names})


def log_unread(cells: Sequence[UnreadCell]) -> None:
    """One line per biomarker and reason, with the rows to look at."""
    rows = defaultdict(list)
    for cell in cells:
        rows[cell.biomarker, cell.columns, cell.outcome, cell.reason].append(cell.row)
    for (biomarker, columns, outcome, reason), numbers in rows.items():
        shown = ", ".join(map(str, numbers[:_MOST_SHOWN]))
        more = ", ..." if len(numbers) > _MOST_SHOWN else ""
        _logger.warning(
            "%s: %d cells %s (%s): column %s, row %s",
            biomarker,
            len(numbers),
            outcome,
            reason,
            columns,
            shown + more,
        )


def _unread(
    row: CsvRow, biomarker: str, source: RuledColumns, mapping: TableMapping
) -> UnreadCell | None:
    reading = read_by_rule(row, source, mapping.not_observed)
    if isinstance(reading, str) or not reading.reason:
        return None
    return UnreadCell(
        case_id=row[mapping.case_id],
        row=row.number,
        biomarker=biomarker,
        columns=" + ".join(column.name for column in source.columns.values()),
        outcome="not understood" if isinstance(reading, NotUnderstood) else "undecided",
        reason=reading.reason,
    )


def _left_open(
    rows: Sequence[CsvRow], biomarker: str, column: SourceColumn, mapping: TableMapping
) -> list[UnreadCell]:
    """The texts that the mapping turns into an empty cell, such as `indeterminate`."""
    values = column.values or {}
    return [
        UnreadCell(
            case_id=row[mapping.case_id],
            row=row.number,
            biomarker=biomarker,
            columns=column.name,
            outcome="undecided",
            reason="the mapping gives this text no value",
        )
        for row in rows
        if row[column.name] not in ("", *mapping.not_observed) and not values[row[column.name]]
    ]


def _refuse_codes(
    rows: Sequence[CsvRow], source: RuledColumns, not_observed: Sequence[str]
) -> None:
    rule = RULES[source.rule]
    column = source.columns.get(rule.roles[0])
    if column is None or column.values is not None:
        return
    texts = {row[column.name].removesuffix(".0") for row in rows} - {"", *not_observed}
    if len(texts) > 1 and texts <= rule.codes and not texts <= rule.harmless:
        raise NnmtlError(
            f"{rows[0].path}: the column {column.name!r} has no other values than "
            f"{', '.join(sorted(texts))}, which look like codes, not what the rule {source.rule!r} "
            "reads; translate them with 'values'."
        )
