"""The table of a comparison as Markdown, plain text, CSV and JSON; computes nothing."""

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from nnmtl.cohort.csv_file import write_csv
from nnmtl.evaluation.comparison import Cell, Comparison, Row
from nnmtl.evaluation.intervals import CONFIDENCE, NUM_RESAMPLES, SEED, Interval
from nnmtl.report.interval_text import digits
from nnmtl.text_table import aligned
from nnmtl.whole_file import write_whole

SCHEMA = 1
JSON_NAME = "comparison.json"
CSV_NAME = "comparison.csv"
MARKDOWN_NAME = "comparison.md"
PHANTOM_NOTE = "Phantom, not patient data: this validates software, not biology."

_METRICS = {
    "dice": "Dice, mean",
    "hd95_mm": "95th percentile surface distance, mean, lower is better",
    "auc": "AUC",
    "auc_macro": "AUC, mean over classes",
    "mae": "mean absolute error, lower is better",
    "skill": "skill against the training median",
    "mean_auc": "AUC, mean",
    "efficiency": "efficiency: (AUC - .5) as a share of the exact posterior's",
}
_HEADER = ("Task", "Metric", "Entry", "Value", "Each run", "Difference", "Verdict", "n")
_CSV_COLUMNS = (
    "center", "task", "metric", "unit", "entry", "value", "lower", "upper", "difference",
    "difference_lower", "difference_upper", "verdict", "n", "num_patients", "n_events", "runs",
    "reason",
)  # fmt: skip


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Writes comparison.json, comparison.csv and comparison.md into an existing folder."""
    content = json.dumps(comparison_to_json(comparison), indent=1, allow_nan=False) + "\n"
    write_whole(folder / JSON_NAME, content)
    tables = [("", comparison.rows), *comparison.center_rows.items()]
    lines = [
        (center, *_csv_line(row, cell))
        for center, rows in tables
        for row in rows
        for cell in row.cells
    ]
    columns = {name: [line[at] for line in lines] for at, name in enumerate(_CSV_COLUMNS)}
    write_csv(folder / CSV_NAME, columns)
    write_whole(folder / MARKDOWN_NAME, to_markdown(comparison))


def to_markdown(comparison: Comparison) -> str:
    """A page: what was compared, the table, the notes, the table of each center."""
    notes = [f"- {note}" for note in _all_notes(comparison)]
    page = [f"# {_title(comparison)}", "", *_markdown_table(comparison.rows), "", *notes, ""]
    for center, rows in comparison.center_rows.items():
        page += [f"## {center} alone", "", *_markdown_table(rows), ""]
    return "\n".join(page)


def _markdown_table(rows: Sequence[Row]) -> list[str]:
    lines = [_cells_to_markdown(line) for line in _lines(rows)]
    return [_cells_to_markdown(_HEADER), "|---" * len(_HEADER) + "|", *lines]


def to_text(comparison: Comparison) -> str:
    """The same for a terminal, columns aligned, without the centers' tables."""
    table = aligned([_HEADER, *_lines(comparison.rows)])
    centers = [f"Each center alone: {MARKDOWN_NAME}."] if comparison.center_rows else []
    return "\n".join([_title(comparison), "", *table, "", *_all_notes(comparison), *centers])


def comparison_to_json(comparison: Comparison) -> dict[str, object]:
    """The content of comparison.json; nan becomes null, and the reason says why."""
    return {
        "schema": SCHEMA,
        "dataset": comparison.dataset,
        "split": comparison.split,
        "phantom": comparison.is_phantom,
        "reference": comparison.reference,
        "interval": {
            "confidence": CONFIDENCE,
            "method": "percentile bootstrap over patients, the same ones for all entries and runs",
            "resamples": NUM_RESAMPLES,
            "seed": SEED,
        },
        "num_cases": comparison.num_cases,
        "num_patients": comparison.num_patients,
        "notes": list(comparison.notes),
        "entries": {
            name: [
                {"run": label, "predictions": list(sources)}
                for label, sources in zip(labels, comparison.sources[name], strict=True)
            ]
            for name, labels in comparison.labels.items()
        },
        "rows": [_row_to_json(row) for row in comparison.rows],
        "centers": {
            center: [_row_to_json(row) for row in rows]
            for center, rows in comparison.center_rows.items()
        },
    }


def _title(comparison: Comparison) -> str:
    return (
        f"{comparison.dataset}, {comparison.split}: {comparison.num_cases} cases of "
        f"{comparison.num_patients} patients, compared with {comparison.reference}"
    )


def _all_notes(comparison: Comparison) -> list[str]:
    about = (
        f"Value and difference with their {CONFIDENCE:.0%} intervals: percentiles of "
        f"{NUM_RESAMPLES} bootstrap resamples of patients, the same ones for all entries and runs."
    )
    runs = [
        f"{name}: runs {', '.join(labels)}."
        for name, labels in comparison.labels.items()
        if len(labels) > 1
    ]
    phantom = [PHANTOM_NOTE] if comparison.is_phantom else []
    return [*phantom, about, *runs, *comparison.notes]


def _lines(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    """One line per metric and entry; what repeats is left empty."""
    for row in rows:
        events = "" if row.n_events is None else f" ({row.n_events} positive)"
        unit = f" ({row.unit})" if row.unit else ""
        heading = (row.task, f"{_METRICS[row.metric]}{unit}")
        for cell in row.cells:
            yield (*heading, cell.entry, *_told(cell, row), f"{row.n}{events}")
            heading = ("", "")


def _told(cell: Cell, row: Row) -> tuple[str, str, str, str]:
    """Value, each run's, difference and verdict."""
    undefined = math.isnan(cell.value.value)
    value = _number(cell.value.value, row)
    value = f"{value}: {cell.reason}" if undefined else f"{value}{_limits(cell.value, row)}"
    runs = "" if undefined else ", ".join(_number(each, row) for each in cell.runs)
    if len(cell.runs) == 1:
        runs = ""
    if cell.difference is None:
        return value, runs, "reference", ""
    difference = _number(cell.difference.value, row, sign="+")
    limits = _limits(cell.difference, row, sign="+")
    return value, runs, f"{difference}{limits}", cell.verdict or ""


def _number(value: float, row: Row, *, sign: str = "-") -> str:
    """Three decimals, since differences are small; two where there is a unit."""
    if math.isnan(value):
        return "–"
    return f"{value:{sign}.{2 if row.unit else 3}f}"


def _limits(interval: Interval, row: Row, *, sign: str = "-") -> str:
    if math.isnan(interval.lower):
        return ""
    return (
        f" ({_number(interval.lower, row, sign=sign)} to {_number(interval.upper, row, sign=sign)})"
    )


def _cells_to_markdown(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _csv_line(row: Row, cell: Cell) -> tuple[str, ...]:
    return (
        row.task,
        row.metric,
        row.unit,
        cell.entry,
        *digits(cell.value),
        *digits(cell.difference),
        cell.verdict or "reference",
        str(row.n),
        str(row.num_patients),
        "" if row.n_events is None else str(row.n_events),
        " ".join(f"{each:.6g}" for each in cell.runs),
        cell.reason or "",
    )


def _row_to_json(row: Row) -> dict[str, object]:
    content = dataclasses.asdict(row)
    content["cells"] = [
        {
            "entry": cell.entry,
            **_interval_to_json(cell.value),
            "runs": [_number_or_null(each) for each in cell.runs],
            "difference": None if cell.difference is None else _interval_to_json(cell.difference),
            "verdict": cell.verdict,
            "reason": cell.reason,
        }
        for cell in row.cells
    ]
    return content


def _interval_to_json(interval: Interval) -> dict[str, float | None]:
    return {
        "value": _number_or_null(interval.value),
        "lower": _number_or_null(interval.lower),
        "upper": _number_or_null(interval.upper),
    }


def _number_or_null(number: float) -> float | None:
    return None if math.isnan(number) else number
