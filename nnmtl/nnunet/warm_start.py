"""Warm start: a run begins with the encoder of a pretrained checkpoint and keeps a record of it."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnmtl.errors import NnmtlError
from nnmtl.nnunet.cohort_files import write_json
from nnmtl.nnunet.pretrained_encoder import LoadedEncoder, load_encoder
from nnmtl.nnunet.safe_loading import load_checkpoint_safely

if TYPE_CHECKING:
    from nnmtl.nnunet.trainer import nnMTLTrainer

WARM_START = "warm_start.json"  # in a fold's folder: what was loaded and what was not


def warm_start(trainer: "nnMTLTrainer", path: Path) -> None:
    """Loads the encoder of an initialized trainer, logs and writes what was loaded.

    Args:
        trainer: its averaged weights, if any, start from the loaded ones.
        path: a checkpoint of nnU-Net, nnMTL or nnssl.

    Raises:
        NnmtlError: if the checkpoint cannot be used, or was trained on the fold's validation cases.
    """
    sha256 = weights_hash(path)
    checkpoint = load_checkpoint_safely(path)
    _refuse_seen_cases(checkpoint, trainer, path)
    loaded = load_encoder(trainer.unwrapped, checkpoint, path)
    if trainer.average is not None:
        trainer.average.restart(trainer.unwrapped, prefix="")
    trainer.print_to_log_file(f"Warm start from {path}: {_summary(loaded)}")
    record = {"checkpoint": str(path), "sha256": sha256, **asdict(loaded)}
    write_json(record, Path(trainer.output_folder) / WARM_START)


def weights_hash(path: Path) -> str:
    """SHA-256 of a checkpoint; raises `NnmtlError` if it is no file that can be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise NnmtlError(
            f"-pretrained_weights {path}: expected a checkpoint, but: {error.strerror}. Name a "
            "file, such as fold_0/checkpoint_final.pth in a model folder."
        ) from error


def _refuse_seen_cases(checkpoint: Mapping[str, Any], trainer: "nnMTLTrainer", path: Path) -> None:
    """Another fold of the same dataset was trained on the validation cases of this one."""
    try:
        origin = checkpoint["init_args"]
        dataset, fold = origin["plans"]["dataset_name"], origin["fold"]
    except (KeyError, TypeError):
        return  # nnssl's: it knows no folds
    if trainer.fold == "all" or dataset != trainer.plans_manager.dataset_name:
        return
    if fold != trainer.fold:
        raise NnmtlError(
            f"{path}: was trained on fold {fold} of {dataset}, thus on validation cases of fold "
            f"{trainer.fold}. Use a checkpoint of fold {trainer.fold}, or of another dataset."
        )


def _summary(loaded: LoadedEncoder) -> str:
    before, now = loaded.channels
    change = f" (first convolution from {before} to {now} channels)" if before != now else ""
    return (
        f"loaded {_counts(loaded.loaded)}, together {loaded.num_loaded} numbers{change}; "
        f"random start of {_counts(loaded.initialized)}; not used of the checkpoint: "
        f"{_counts(loaded.unused)}. The names stand in {WARM_START}."
    )


def _counts(names: Iterable[str]) -> str:
    """Tensors per part of a network, such as `20 of decoder`."""
    parts = Counter(name.split(".", maxsplit=1)[0] for name in names)
    return ", ".join(f"{number} of {part}" for part, number in parts.items()) or "none"
