"""What leaving each center out found, as text, Markdown, CSV and JSON; computes nothing."""

import dataclasses
import json
import math
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from nnmtl.cohort.csv_file import write_csv
from nnmtl.evaluation.intervals import CONFIDENCE, NUM_RESAMPLES, SEED, Interval
from nnmtl.evaluation.left_out import LeaveOneCenterOut, LeftOutRow, probe_note
from nnmtl.report.comparison_table import PHANTOM_NOTE
from nnmtl.report.interval_text import digits, told
from nnmtl.text_table import aligned
from nnmtl.whole_file import write_whole

SCHEMA = 1
STEM = "leave_one_center_out"
_ALL = "all"
_HEADER = ("Center", "Task", "Metric", "n", "Left out", "Pooled, same cases", "Difference",
           "Pooled, all pairs")  # fmt: skip
_METRICS = {"dice": "Dice", "hd95_mm": "HD95", "auc": "AUC",
            "auc_macro": "AUC, mean over classes", "mae": "error"}  # fmt: skip
_COLUMNS = ("center", "task", "metric", "unit", "n", "n_events", "left_out", "left_out_lower",
            "left_out_upper", "pooled", "pooled_lower", "pooled_upper", "difference",
            "difference_lower", "difference_upper", "pooled_mixed", "pooled_mixed_lower",
            "pooled_mixed_upper", "reason")  # fmt: skip


def write_left_out(found: LeaveOneCenterOut, folder: Path) -> None:
    """Writes leave_one_center_out.json, .csv and .md into an existing folder."""
    content = json.dumps(left_out_to_json(found), indent=1, allow_nan=False) + "\n"
    write_whole(folder / f"{STEM}.json", content)
    lines = [_csv_line(row) for row in found.rows]
    columns = {name: [line[at] for line in lines] for at, name in enumerate(_COLUMNS)}
    write_csv(folder / f"{STEM}.csv", columns)
    write_whole(folder / f"{STEM}.md", to_markdown(found))


def to_markdown(found: LeaveOneCenterOut) -> str:
    """A page: the table, then what to know about it."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (_HEADER, *_lines(found))]
    lines.insert(1, "|" + "---|" * len(_HEADER))
    notes = [f"- {note}" for note in _notes(found)]
    return "\n".join([f"# {_title(found)}", "", *lines, "", *notes, ""])


def to_text(found: LeaveOneCenterOut) -> str:
    """The same for a terminal."""
    table = aligned([_HEADER, *_lines(found)])
    return "\n".join([_title(found), "", *table, "", *_notes(found)])


def left_out_to_json(found: LeaveOneCenterOut) -> dict[str, object]:
    """The content of leave_one_center_out.json; nan becomes null, and the reason says why."""
    return {
        "schema": SCHEMA,
        "dataset": found.dataset,
        "preset": found.preset,
        "phantom": found.is_phantom,
        "pooled": found.pooled,
        "interval": {
            "confidence": CONFIDENCE,
            "method": "percentile bootstrap over patients",
            "resamples": NUM_RESAMPLES,
            "seed": SEED,
        },
        "rows": [
            {
                **{
                    field.name: _to_json(getattr(row, field.name))
                    for field in dataclasses.fields(row)
                },
                "has_shortcut": row.has_shortcut,
            }
            for row in found.rows
        ],
        "probes": {
            center: {
                **{name: _to_json(value) for name, value in dataclasses.asdict(probe).items()},
                "tells_centers": probe.tells_centers,
            }
            for center, probe in found.probes.items()
        },
        "verdicts": dict(found.verdicts),
    }


def _title(found: LeaveOneCenterOut) -> str:
    return f"{found.dataset}, {found.preset}: each center by a model trained without it"


def _notes(found: LeaveOneCenterOut) -> Iterator[str]:
    if found.is_phantom:
        yield PHANTOM_NOTE
    yield (
        f"Values with their {CONFIDENCE:.0%} intervals over patients. With all centers together an "
        "AUC compares cases of one center only."
    )
    if found.pooled is not None:
        yield (
            "Pooled is the model of all centers in cross-validation. 'Same cases' are those that "
            "it predicted, and for an AUC pairs of one center and fold; 'all pairs' also compares "
            "cases of different centers, as is usually reported."
        )
    for row in found.rows:
        if row.has_shortcut and row.pooled_mixed is not None:
            yield (
                f"SHORTCUT {row.task}: the pooled AUC of {row.pooled_mixed.value:.2f} is beyond "
                f"chance not what {row.center or 'unseen centers'} got unseen, "
                f"{row.left_out.value:.2f}: the model may recognize the center and its prevalence "
                "instead of the biology."
            )
    for center, probe in found.probes.items():
        yield f"Model without {center}: {probe_note(probe)}"
    yield from found.verdicts.values()


def _lines(found: LeaveOneCenterOut) -> Iterator[tuple[str, ...]]:
    last: object = ...
    for row in found.rows:
        events = "" if row.n_events is None else f" ({row.n_events} positive)"
        unit = f" ({row.unit})" if row.unit else ""
        center = "" if row.center == last else row.center or _ALL
        last = row.center
        value = row.reason if math.isnan(row.left_out.value) and row.reason else None
        yield (
            center,
            row.task,
            f"{_METRICS[row.metric]}{unit}",
            f"{row.n}{events}",
            value or told(row.left_out),
            told(row.pooled),
            told(row.difference, sign="+"),
            told(row.pooled_mixed),
        )


def _csv_line(row: LeftOutRow) -> tuple[str, ...]:
    intervals = (row.left_out, row.pooled, row.difference, row.pooled_mixed)
    return (
        row.center or _ALL,
        row.task,
        row.metric,
        row.unit,
        str(row.n),
        "" if row.n_events is None else str(row.n_events),
        *chain.from_iterable(map(digits, intervals)),
        row.reason or "",
    )


def _to_json(value: object) -> object:
    if isinstance(value, Interval):
        return {name: _to_json(each) for name, each in dataclasses.asdict(value).items()}
    if isinstance(value, float) and math.isnan(value):
        return None
    return value
