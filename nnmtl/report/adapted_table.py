"""A model before and after it was adapted, as CSV and text; computes nothing."""

import math
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from nnmtl.cohort.csv_file import write_csv
from nnmtl.evaluation.adapted import AdaptedRow
from nnmtl.evaluation.intervals import CONFIDENCE
from nnmtl.report.comparison_table import PHANTOM_NOTE
from nnmtl.report.interval_text import digits, told
from nnmtl.text_table import aligned

NAME = "adaptation.csv"
_HEADER = ("Center", "Task", "Metric", "n", "Before", "After", "Difference")
_COLUMNS = ("center", "known", "task", "metric", "unit", "n", "before", "before_lower",
            "before_upper", "after", "after_lower", "after_upper", "difference",
            "difference_lower", "difference_upper", "reason")  # fmt: skip


def write_adapted(rows: Sequence[AdaptedRow], folder: Path) -> Path:
    """Writes adaptation.csv into an existing folder, and returns its path."""
    lines = [_csv_line(row) for row in rows]
    columns = {name: [line[at] for line in lines] for at, name in enumerate(_COLUMNS)}
    write_csv(folder / NAME, columns)
    return folder / NAME


def adapted_to_text(rows: Sequence[AdaptedRow], *, is_phantom: bool) -> str:
    """The table for a terminal."""
    table = aligned([_HEADER, *(_line(row) for row in rows)])
    note = f"Validation cases of the fold; values with their {CONFIDENCE:.0%} intervals."
    return "\n".join([*table, "", note, *([PHANTOM_NOTE] if is_phantom else [])])


def _line(row: AdaptedRow) -> tuple[str, ...]:
    unit = f" ({row.unit})" if row.unit else ""
    return (
        f"{row.center} ({'known' if row.is_known else 'new'})",
        row.task,
        f"{row.metric}{unit}",
        str(row.n),
        row.reason or "" if math.isnan(row.before.value) else told(row.before),
        told(row.after),
        told(row.difference, sign="+"),
    )


def _csv_line(row: AdaptedRow) -> tuple[str, ...]:
    intervals = (row.before, row.after, row.difference)
    return (
        row.center,
        "yes" if row.is_known else "no",
        row.task,
        row.metric,
        row.unit,
        str(row.n),
        *chain.from_iterable(map(digits, intervals)),
        row.reason or "",
    )
