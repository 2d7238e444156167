"""Checkpoints: nnU-Net's keys, plus `nnmtl_state` with all that a continued run needs."""

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from nnmtl.errors import NnmtlError
from nnmtl.nnunet.history import epoch_seconds
from nnmtl.nnunet.safe_loading import load_checkpoint_safely

if TYPE_CHECKING:
    from nnmtl.nnunet.trainer import nnMTLTrainer


def write_checkpoint(trainer: "nnMTLTrainer", path: Path) -> None:
    """Writes under a temporary name, then renames: an interruption leaves the old file whole."""
    network = trainer.unwrapped
    raw = {name: value.detach().clone() for name, value in network.named_parameters()}
    with trainer.averaged():
        checkpoint = {
            "network_weights": network.state_dict(),
            "optimizer_state": trainer.optimizer.state_dict(),
            "grad_scaler_state": trainer.grad_scaler and trainer.grad_scaler.state_dict(),
            "logging": trainer.logger.get_checkpoint(),
            "_best_ema": trainer._best_ema,
            "current_epoch": trainer.current_epoch + 1,
            "init_args": trainer.my_init_kwargs,
            "trainer_name": type(trainer).__name__,
            "inference_allowed_mirroring_axes": trainer.inference_allowed_mirroring_axes,
            "nnmtl_state": _state(trainer, raw),
        }
        part = path.with_name(f".{path.name}.part")
        torch.save(checkpoint, part)
    part.replace(path)


def _state(trainer: "nnMTLTrainer", raw: dict[str, torch.Tensor]) -> dict[str, Any]:
    average = trainer.average
    return {
        "raw_weights": raw,
        "averaged_weights": None if average is None else average.values,
        "averaging_updates": 0 if average is None else average.updates,
        "head_optimizer": trainer.head_optimizer and trainer.head_optimizer.state_dict(),
        "epoch": trainer.current_epoch,
        "iteration": trainer.iteration,
        "epoch_seconds": epoch_seconds(trainer),
        "outputs": [dict(output) for output in trainer.outputs],
        "linear_started": trainer.linear_started,
        "monitor": dict(trainer.monitor.outputs),
        "targets_sha256": trainer.targets_sha256,
        "random": random_state(),
    }


def read_checkpoint(trainer: "nnMTLTrainer", source: Path) -> dict[str, Any] | None:
    """Restores weights, optimizers and counters; returns the state that the run restores later.

    Raises:
        NnmtlError: if the file is not a checkpoint of this trainer, or its targets were others.
    """
    checkpoint = load_checkpoint_safely(source)
    state = checkpoint.get("nnmtl_state")
    if state is None:
        raise NnmtlError(
            f"{source}: expected a checkpoint with 'nnmtl_state' to continue from, found none. "
            "It was written by another trainer; start the training anew."
        )
    if state["targets_sha256"] != trainer.targets_sha256:
        raise NnmtlError(
            f"{source}: was trained with other targets than those beside the plans now. "
            "Restore the former targets.csv and plan again, or train into a new folder."
        )
    network = trainer.unwrapped
    network.load_state_dict(checkpoint["network_weights"])
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(state["raw_weights"][name])
    trainer.optimizer.load_state_dict(checkpoint["optimizer_state"])
    if trainer.head_optimizer is not None:
        trainer.head_optimizer.load_state_dict(state["head_optimizer"])
    if trainer.grad_scaler is not None and checkpoint["grad_scaler_state"] is not None:
        trainer.grad_scaler.load_state_dict(checkpoint["grad_scaler_state"])
    if trainer.average is not None:
        trainer.average.values = {
            name: value.to(trainer.device) for name, value in state["averaged_weights"].items()
        }
        trainer.average.updates = state["averaging_updates"]
    trainer.logger.load_checkpoint(checkpoint["logging"])
    trainer.inference_allowed_mirroring_axes = checkpoint["inference_allowed_mirroring_axes"]
    trainer.current_epoch, trainer.iteration = state["epoch"], state["iteration"]
    trainer.linear_started = state["linear_started"]
    return state


def random_state() -> dict[str, Any]:
    """The state of the three generators that training draws from, as plain tensors and numbers."""
    version, internal, gauss = random.getstate()
    numpy_state: Any = np.random.get_state()  # noqa: NPY002 nnU-Net's stream
    name, keys, position, has_gauss, cached = numpy_state
    return {
        "python": [version, list(internal), gauss],
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Sets the generators back to what `random_state` returned."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state(  # noqa: NPY002 nnU-Net's stream
        (name, keys.numpy().astype(np.uint32), position, has_gauss, cached)
    )
    torch.set_rng_state(state["torch"])
