"""`task_history.jsonl`: one line per epoch, and what the log says of it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

import numpy as np

from nnmtl.planning.schedule import head_rate
from nnmtl.whole_file import write_whole

if TYPE_CHECKING:
    from nnmtl.nnunet.trainer import nnMTLTrainer


class History:
    """The epochs of one fold, kept in a file of JSON lines."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "task_history.jsonl"
        self.rows: list[dict[str, Any]] = []

    def restore(self, num_epochs: int) -> None:
        """Reads the first epochs back; later lines, of epochs that will run again, go."""
        if self.path.is_file():
            lines = self.path.read_text(encoding="utf-8").splitlines()
            self.rows = [json.loads(line) for line in lines][:num_epochs]
        self._write()

    def append(self, row: dict[str, Any]) -> None:
        """Adds an epoch."""
        self.rows.append(row)
        self._write()

    def line(self, num_epochs: int) -> str:
        """The last epoch in words, with the time left."""
        row = self.rows[-1]
        losses = ", ".join(f"{name} {value:.3f}" for name, value in row["train"].items())
        scores = ", ".join(
            f"{name} {key} {value[key]:.3f}"
            for name, value in row["validation"].items()
            if isinstance(value, dict)
            for key in value
            if key != "n"
        )
        return (
            f"epoch {row['epoch'] + 1}/{num_epochs}  {row['seconds']:.0f} s  "
            f"{self._left(num_epochs)}  loss: {losses}  "
            f"validation: dice {row['validation']['dice']:.3f}{', ' + scores if scores else ''}"
        )

    def _left(self, num_epochs: int) -> str:
        tasks = self.rows[-1]["train"].keys()
        alike = [row["seconds"] for row in self.rows[-5:] if row["train"].keys() == tasks]
        minutes = np.mean(alike) * (num_epochs - len(self.rows)) / 60
        # Epochs with heads take longer, by how much is not known before the first.
        return f"{'over ' if len(tasks) == 1 else ''}{minutes:.1f} min left"

    def _write(self) -> None:
        write_whole(self.path, "".join(json.dumps(row) + "\n" for row in self.rows))


def epoch_record(
    trainer: "nnMTLTrainer", validation: Mapping[str, Any], alarms: Sequence[str]
) -> dict[str, Any]:
    """What the history says of the trainer's present epoch."""
    unet = trainer.optimizer.param_groups[0]["lr"]
    has_own = trainer.head_optimizer is not None
    return {
        "epoch": trainer.current_epoch,
        "lr": {
            "unet": unet,
            "heads": head_rate(trainer.progress, trainer.plan) if has_own else unet,
        },
        "train": trainer.train_losses,
        "validation": {
            "dice": float(trainer.logger.get_value("mean_fg_dice", step=-1)),
            **validation,
        },
        "alarms": list(alarms),
    }


def mean_losses(losses: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean of each task's loss over the iterations in which it was trained."""
    names = dict.fromkeys(name for each in losses for name in each)
    return {name: float(np.mean([each[name] for each in losses if name in each])) for name in names}


def epoch_seconds(trainer: "nnMTLTrainer") -> float:
    """How long the running epoch has taken so far."""
    return time() - float(trainer.logger.get_value("epoch_start_timestamps", step=-1))


def resume_epoch(trainer: "nnMTLTrainer", seconds: float) -> None:
    """As if the running epoch had taken this long: a pause before is not counted."""
    trainer.logger.get_value("epoch_start_timestamps", step=None)[-1] = time() - seconds
