"""One fold's training run: from plans and settings to a trained model folder."""

import logging
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nnmtl.cohort.center_facts import facts_to_share
from nnmtl.errors import NnmtlError
from nnmtl.nnunet.adapt import Source, start_from
from nnmtl.nnunet.cohort_files import (
    CENTER_FACTS,
    CENTERS,
    FINGERPRINT,
    read_json,
    write_json,
)
from nnmtl.nnunet.folders import preprocessed_folder, results_folder
from nnmtl.nnunet.prediction_input import CHECKPOINT
from nnmtl.nnunet.safe_loading import check_plans
from nnmtl.nnunet.split_files import check_fold
from nnmtl.nnunet.trainer import nnMTLTrainer
from nnmtl.nnunet.validation import validate_fold
from nnmtl.nnunet.warm_start import warm_start, weights_hash
from nnmtl.planning.center_configuration import is_of_center
from nnmtl.planning.center_names import REFERENCE

logger = logging.getLogger(__name__)

SETTINGS = "nnmtl_run.json"
BEFORE = "validation_before"  # in a fold's folder: what an adapted model predicted until then


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What a training run is told beyond its plans.

    Attributes:
        dataset: dataset name.
        plans_name: name of the plans file, without ending.
        configuration: `3d_fullres` or `2d`.
        fold: fold number, or "all".
        seed: of all random streams; None draws one.
        epochs: instead of the planned number.
        iterations: per epoch, instead of the planned number.
        device: cpu, cuda or mps.
        continue_training: goes on from the last checkpoint.
        pretrained_weights: checkpoint whose encoder a new run starts from.
        adapted: model whose every weight a new run starts from.
    """

    dataset: str
    plans_name: str
    configuration: str
    fold: int | str
    seed: int | None
    epochs: int | None
    iterations: int | None
    device: str
    continue_training: bool
    pretrained_weights: Path | None = None
    adapted: Source | None = None


def train(
    settings: RunSettings,
    *,
    after_epoch: Callable[[Path], None] = lambda _: None,
    predict_validation: bool = True,
) -> Path:
    """Trains a fold, predicts its validation cases, and returns the fold's folder.

    Args:
        settings: of the run.
        after_epoch: called with the fold's folder when an epoch has ended.
        predict_validation: whether the fold's validation cases are predicted in the end.

    Raises:
        NnmtlError: if something is missing, or the folder holds a run with other settings.
    """
    plans, dataset_json = _read_inputs(settings)
    model = model_folder(settings.dataset, plans["plans_name"], settings.configuration)
    folder = model / f"fold_{settings.fold}"
    record = _record(settings, plans)
    checkpoint = _checkpoint(folder, settings, record)
    # The heads' loaders and the order of random draws are repeatable only in one process.
    if settings.device == "cpu":
        os.environ.setdefault("nnUNet_n_proc_DA", "0")
    if settings.seed is not None:
        random.seed(settings.seed)
        np.random.seed(settings.seed)  # noqa: NPY002 nnU-Net draws from this stream
        torch.manual_seed(settings.seed)
    trainer = nnMTLTrainer(
        plans, settings.configuration, settings.fold, dataset_json, torch.device(settings.device)
    )
    if not trainer.heads:  # then the schedule is nnU-Net's, unless told otherwise
        trainer.num_epochs = settings.epochs or trainer.num_epochs
        trainer.num_iterations_per_epoch = settings.iterations or trainer.num_iterations_per_epoch
    trainer.after_epoch = lambda: after_epoch(folder)
    trainer.initialize()
    if checkpoint is None and settings.pretrained_weights is not None:
        warm_start(trainer, settings.pretrained_weights)
    if checkpoint is None and settings.adapted is not None:
        start_from(trainer, settings.adapted.checkpoint)
    write_json(record, folder / SETTINGS)  # only now: a refused start leaves no run behind
    known = () if settings.adapted is None else settings.adapted.centers
    _write_centers(preprocessed_folder(settings.dataset), model, known)
    is_judged = predict_validation and settings.fold != "all"
    if checkpoint is None and settings.adapted is not None and is_judged:
        validate_fold(trainer, BEFORE)
    if checkpoint is not None:
        trainer.load_checkpoint(str(checkpoint))
    if checkpoint is None or checkpoint.name != CHECKPOINT:
        logger.info("Training from epoch %d", trainer.current_epoch + 1)
        trainer.run_training()
    if predict_validation:
        trainer.perform_actual_validation()
    return folder


def _write_centers(preprocessed: Path, model: Path, known: Sequence[str]) -> None:
    """The training cases' centers: their names, by which nnMTL_predict knows --center, and facts.

    Names beside those that an adapted model had known; facts of the images only, by which
    nnMTL_plan_center tells how another center differs.
    """
    path = preprocessed / FINGERPRINT
    if path.is_file():
        fingerprint = read_json(path)
        write_json(sorted({*fingerprint["centers"], *known}), model / CENTERS)
        write_json(facts_to_share(fingerprint), model / CENTER_FACTS)


def _read_inputs(settings: RunSettings) -> tuple[dict[str, Any], dict[str, Any]]:
    preprocessed = preprocessed_folder(settings.dataset)
    path = preprocessed / f"{settings.plans_name}.json"
    if not path.is_file():
        raise NnmtlError(
            f"-p {settings.plans_name}: expected the plans file {path}, found none. "
            f"Run nnMTL_plan_and_preprocess -d {settings.dataset} first."
        )
    plans = read_json(path)
    check_plans(plans, path)
    configurations = plans["configurations"]
    if settings.configuration not in configurations:
        raise NnmtlError(
            f"{settings.configuration}: expected one of {sorted(configurations)} in {path}."
        )
    section = configurations[settings.configuration].get("nnmtl")
    if is_of_center(settings.configuration, configurations[settings.configuration]):
        raise NnmtlError(
            f"{settings.configuration}: expected {REFERENCE}, which trains one network on the "
            "grids of all centers, got the grid of one. Ask for that."
        )
    if section is None:
        raise NnmtlError(
            f"{settings.configuration}: nnMTL trains 3d_fullres and 2d, no cascades and no "
            "3d_lowres. Choose one of them."
        )
    if settings.epochs is not None:
        section["epochs"] = settings.epochs
    if settings.iterations is not None:
        section["iterations_per_epoch"] = settings.iterations
    data = preprocessed / configurations[settings.configuration]["data_identifier"]
    if not data.is_dir():
        raise NnmtlError(
            f"{data}: expected the preprocessed cases, found none. Run nnMTL_preprocess "
            f"-d {settings.dataset} -p {settings.plans_name} -c {settings.configuration}."
        )
    check_fold(settings.fold, preprocessed)
    plans["plans_name"] = seeded_name(plans["plans_name"], settings.seed)
    return plans, read_json(preprocessed / "dataset.json")


def seeded_name(plans_name: str, seed: int | None) -> str:
    """The name of the plans by which runs with a seed are told from others."""
    return plans_name if seed is None else f"{plans_name}_seed{seed}"


def model_folder(dataset: str, plans_name: str, configuration: str) -> Path:
    """Where nnU-Net trains the folds of plans, whose name has the seed."""
    return results_folder(dataset) / f"nnMTLTrainer__{plans_name}__{configuration}"


def _checkpoint(folder: Path, settings: RunSettings, record: dict[str, Any]) -> Path | None:
    """The checkpoint to go on from; refuses to overwrite or to mix runs."""
    previous = folder / SETTINGS
    if not previous.is_file():
        return None
    if read_json(previous) != record:
        raise NnmtlError(
            f"{folder}: holds a run with other plans, epochs or seed, or other pretrained weights, "
            "than asked for now. Ask for the former settings, or move the folder away."
        )
    final = folder / CHECKPOINT
    if final.is_file():
        if settings.continue_training and not _has_validation(folder):
            return final
        raise NnmtlError(f"{folder}: this training has finished. Move it away to train anew.")
    latest = folder / "checkpoint_latest.pth"
    if not settings.continue_training:
        if latest.is_file():
            raise NnmtlError(
                f"{folder}: holds an unfinished run. Continue it with --c, or move it away."
            )
        return None
    return latest if latest.is_file() else None


def _has_validation(folder: Path) -> bool:
    """Whether the validation cases are predicted; summary.json is nnU-Net's, without heads."""
    names = ("biomarkers.json", "summary.json")
    return any((folder / "validation" / name).is_file() for name in names)


def run_record(plans: dict[str, Any], configuration: str, *, seed: int | None) -> dict[str, Any]:
    """What must be equal for two calls to be the same run, as `nnmtl_run.json` keeps it.

    Args:
        plans: whose name has the seed.
        configuration: that is trained.
        seed: of the run.
    """
    configurations = plans["configurations"]
    record = {
        "seed": seed,
        "plans_name": plans["plans_name"],
        "configuration": configurations[configuration],
    }
    centers = {name: own for name, own in configurations.items() if is_of_center(name, own)}
    if centers and configuration == REFERENCE:
        record["centers"] = centers
    return record


def _record(settings: RunSettings, plans: dict[str, Any]) -> dict[str, Any]:
    record = run_record(plans, settings.configuration, seed=settings.seed)
    if settings.pretrained_weights is not None:
        record["pretrained_weights_sha256"] = weights_hash(settings.pretrained_weights)
    if settings.adapted is not None:
        record["adapted_sha256"] = weights_hash(settings.adapted.checkpoint)
    return record
