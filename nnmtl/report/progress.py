"""The picture of a training run: losses and validation metrics, one panel per task."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from nnmtl.report.style import BLUE, FAINT, MUTED, VERMILION, figure, png_bytes
from nnmtl.whole_file import write_whole

Epoch = Mapping[str, Any]

_SEGMENTATION = "segmentation"
# A task's validation metric, the first of these that its entry has, and what it is called.
_METRICS = {"auc": "AUC", "auc_macro": "AUC, mean over classes", "mae": "mean absolute error"}
_FRACTIONS = ("Dice", "AUC", "AUC, mean over classes")
_COLUMNS = 3


def draw_progress(history: Sequence[Epoch], path: Path, *, is_phantom: bool = False) -> None:
    """Writes progress.png.

    Args:
        history: the rows of task_history.jsonl; a key that a row lacks leaves a gap. Alarms that
            begin with a task's name are marked in its panel, others in every panel.
        path: of the PNG file.
        is_phantom: whether to mark the picture.
    """
    tasks = _tasks(history)
    num_panels = len(tasks) + 1
    num_rows = math.ceil(num_panels / _COLUMNS)
    with figure(4.6 * _COLUMNS, 3.2 * num_rows, is_phantom=is_phantom) as drawn:
        panels = drawn.subplots(num_rows, _COLUMNS, squeeze=False).ravel()
        for axes, task in zip(panels, tasks, strict=False):
            _draw_task(axes, history, task, tasks)
        _draw_schedule(panels[len(tasks)], history)
        for axes in panels[num_panels:]:
            axes.set_visible(False)
        _draw_legend(drawn)
    write_whole(path, png_bytes(drawn, dpi=110))


def _tasks(history: Sequence[Epoch]) -> list[str]:
    """Segmentation, then every task that some epoch has a loss or a metric of."""
    names = [
        name for row in history for part in ("train", "validation") for name in _part(row, part)
    ]
    biomarkers = [name for name in dict.fromkeys(names) if name not in (_SEGMENTATION, "dice")]
    return [_SEGMENTATION, *biomarkers]


def _draw_task(axes: Axes, history: Sequence[Epoch], task: str, tasks: Sequence[str]) -> None:
    losses = [(_epoch(row, at), _part(row, "train").get(task)) for at, row in enumerate(history)]
    _draw_line(axes, losses, color=BLUE)
    axes.set(title=task, xlabel="Epoch")
    axes.set_ylabel("Training loss", color=BLUE)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    right = axes.twinx()
    right.spines["right"].set_visible(True)
    found = [(_epoch(row, at), *_metric(row, task)) for at, row in enumerate(history)]
    name = next((name for _, name, _ in found if name), "metric")
    _draw_line(right, [(epoch, value) for epoch, _, value in found], color=VERMILION)
    right.set_ylabel(f"Validation {name}", color=VERMILION)
    if name in _FRACTIONS:
        right.set_ylim(0, 1)
    if name.startswith("AUC"):
        right.axhline(0.5, color=FAINT, linewidth=1, zorder=0)
    for at, row in enumerate(history):
        if any(_concerns(str(alarm), task, tasks) for alarm in row.get("alarms") or ()):
            axes.axvline(_epoch(row, at), color=MUTED, linestyle=":", linewidth=1.2)
            axes.plot(_epoch(row, at), 1, "v", color=MUTED, transform=axes.get_xaxis_transform())


def _draw_schedule(axes: Axes, history: Sequence[Epoch]) -> None:
    """Learning rates relative to their highest, since they may differ by a factor of 100."""
    names = dict.fromkeys(name for row in history for name in _part(row, "lr"))
    for name, style in zip(names, ("-", "--", "-.", ":"), strict=False):
        rates = [(_epoch(row, at), _part(row, "lr").get(name)) for at, row in enumerate(history)]
        highest = max((rate for _, rate in _numbers(rates)), default=0.0)
        if highest > 0:
            relative = [(epoch, rate / highest) for epoch, rate in _numbers(rates)]
            label = f"{name} (from {highest:.2g})"
            axes.plot(*zip(*relative, strict=True), color=MUTED, linestyle=style, label=label)
    seconds = [value for _, value in _numbers([(0.0, row.get("seconds")) for row in history])]
    pace = f", {sum(seconds) / len(seconds):.1f} s per epoch" if seconds else ""
    axes.set(title=f"{len(history)} epochs{pace}", xlabel="Epoch", ylabel="Learning rate (share)")
    axes.set_ylim(0, 1.08)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if axes.lines:
        axes.legend(loc="lower left")


def _draw_legend(drawn: Figure) -> None:
    handles = [
        Line2D([], [], color=BLUE, label="training loss"),
        Line2D([], [], color=VERMILION, label="validation metric"),
        Line2D([], [], color=MUTED, marker="v", linestyle=":", label="alarm"),
    ]
    drawn.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def _draw_line(axes: Axes, points: Sequence[tuple[float, object]], *, color: str) -> None:
    """A line over the epochs that have a number; a single one would not be seen without marker."""
    known = _numbers(points)
    if known:
        marker = "o" if len(known) < 30 else ""
        axes.plot(*zip(*known, strict=True), color=color, marker=marker, markersize=3.5)


def _metric(row: Epoch, task: str) -> tuple[str, object]:
    """Name and value of the task's validation metric; empty name where there is none."""
    validation = _part(row, "validation")
    if task == _SEGMENTATION:
        return ("Dice", validation["dice"]) if "dice" in validation else ("", None)
    entry = validation.get(task)
    if not isinstance(entry, Mapping):
        return "", None
    for key, name in _METRICS.items():
        if key in entry:
            return name, entry[key]
    return "", None


def _concerns(alarm: str, task: str, tasks: Sequence[str]) -> bool:
    named = [name for name in tasks if alarm.split(":")[0].split(" ")[0] == name]
    return not named or task in named


def _part(row: Epoch, key: str) -> Mapping[str, Any]:
    value = row.get(key)
    return value if isinstance(value, Mapping) else {}


def _epoch(row: Epoch, position: int) -> float:
    value = row.get("epoch", position)
    return float(value) if isinstance(value, int | float) else float(position)


def _numbers(points: Sequence[tuple[float, object]]) -> list[tuple[float, float]]:
    """The points whose value is a finite number."""
    return [
        (epoch, float(value))
        for epoch, value in points
        if isinstance(value, int | float) and math.isfinite(value)
    ]
