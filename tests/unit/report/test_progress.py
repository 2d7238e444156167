"""progress.png is drawn from whatever a history has."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from nnmtl.report.progress import draw_progress

FULL = {
    "epoch": 3,
    "seconds": 12.0,
    "lr": {"unet": 0.01, "heads": 1e-4},
    "train": {"segmentation": -0.5, "ER": 0.6, "Ki67": 0.1},
    "validation": {"dice": 0.8, "ER": {"auc": 0.8, "n": 30}, "Ki67": {"mae": 11.2, "n": 30}},
    "alarms": ["ER: predictions do not vary"],
}


@pytest.mark.parametrize(
    "history",
    [
        [],
        [{}],
        [FULL],
        [FULL, {"epoch": 4}, {**FULL, "epoch": 5, "train": None, "validation": None}],
        [{"train": {"ER": float("nan")}, "validation": {"ER": {"auc": None}, "dice": None}}],
        [{"validation": {"ER": 0.5}, "lr": {"unet": 0.0}, "alarms": None, "seconds": None}],
        [{"train": {f"task{number}": 0.1 for number in range(9)}}],
    ],
)
def test_any_history_is_drawn(history: list[dict], tmp_path: Path) -> None:
    draw_progress(history, tmp_path / "progress.png")
    picture = matplotlib.image.imread(tmp_path / "progress.png")
    assert picture.shape[1] > 1000
    assert [path.name for path in tmp_path.iterdir()] == ["progress.png"]


def test_an_alarm_and_the_phantom_mark_are_seen(tmp_path: Path) -> None:
    pictures = []
    for name, row, is_phantom in (
        ("plain", {**FULL, "alarms": []}, False),
        ("alarm", FULL, False),
        ("phantom", FULL, True),
    ):
        draw_progress([row, {**row, "epoch": 4}], tmp_path / name, is_phantom=is_phantom)
        pictures.append(matplotlib.image.imread(tmp_path / name, format="png"))
    assert (np.abs(pictures[0] - pictures[1]) > 0.1).sum() > 100
    assert (np.abs(pictures[1] - pictures[2]) > 0.05).sum() > 1000
