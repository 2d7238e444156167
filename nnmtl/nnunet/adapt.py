"""Adapts a trained model to labeled cases: what it is, its plans for them, and its weights."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnmtl.cohort.declaration import Declaration, parse_declaration
from nnmtl.cohort.raw_dataset import check_images, read_dataset_json, read_raw_dataset
from nnmtl.cohort.splits import NUM_FOLDS, folds_beside
from nnmtl.cohort.strict_json import as_texts
from nnmtl.cohort.targets import TargetTable, read_targets
from nnmtl.errors import NnmtlError
from nnmtl.inference.predictions import JSON_NAME, read_predictions
from nnmtl.network.alignment import FEWEST_PATIENTS
from nnmtl.nnunet.center_files import read_center_files
from nnmtl.nnunet.cohort_files import (
    CENTERS,
    FINGERPRINT,
    SPLITS,
    TARGETS,
    read_json,
    write_json,
)
from nnmtl.nnunet.fingerprint import extract_fingerprint
from nnmtl.nnunet.folders import preprocessed_folder, raw_folder
from nnmtl.nnunet.prediction_input import CHECKPOINT, read_model_dataset
from nnmtl.nnunet.preprocess import preprocess
from nnmtl.nnunet.safe_loading import check_model_folder, load_checkpoint_safely
from nnmtl.nnunet.split_files import check_fold
from nnmtl.nnunet.warm_start import weights_hash
from nnmtl.planning.adaptation import adapted_plans
from nnmtl.planning.architecture import parse_architecture

if TYPE_CHECKING:
    from nnmtl.nnunet.trainer import nnMTLTrainer

logger = logging.getLogger(__name__)

ADAPTED_FROM = "adapted_from.json"  # in a fold's folder: which weights it started from


@dataclass(frozen=True, kw_only=True)
class Source:
    """The model that is adapted.

    Attributes:
        folder: that nnMTL_train wrote.
        checkpoint: of the fold that is gone on from.
        plans: its plans, checked.
        dataset_json: of the dataset that it was trained on.
        configuration: that it was trained with.
        centers: names of the centers that it was trained on.
    """

    folder: Path
    checkpoint: Path
    plans: dict[str, Any]
    dataset_json: dict[str, Any]
    configuration: str
    centers: tuple[str, ...]

    def unseen(self, fold: int) -> set[str]:
        """Cases that the model of this fold was not trained on: its validation cases."""
        model = self.folder / f"fold_{fold}"
        folder = model / "validation"
        if not (folder / JSON_NAME).is_file() or not (model / CHECKPOINT).is_file():
            return set()
        return {case.case_id for case in read_predictions(folder).cases}


def read_source(model: Path, fold: int | str, configuration: str) -> Source:
    """The model of this fold; one of fold `all` goes for every fold.

    Raises:
        NnmtlError: if the folder is no model with biomarkers, of this fold and configuration.
    """
    folds = [each for each in (fold, "all") if (model / f"fold_{each}" / CHECKPOINT).is_file()]
    if not folds:
        raise NnmtlError(
            f"--adapt {model}: expected a model folder with fold_{fold}/{CHECKPOINT} or "
            f"fold_all/{CHECKPOINT}, found none; name a folder that nnMTL_train wrote, and a fold "
            "that has finished."
        )
    check_model_folder(model, folds[:1], CHECKPOINT)
    checkpoint = model / f"fold_{folds[0]}" / CHECKPOINT
    trained = load_checkpoint_safely(checkpoint)["init_args"].get("configuration")
    if trained != configuration:
        raise NnmtlError(
            f"--adapt {model}: expected a model of {configuration}, but it was trained with "
            f"{trained}; ask for that configuration."
        )
    plans = read_json(model / "plans.json")
    if "multitask" not in plans["configurations"][configuration]["architecture"]["arch_kwargs"]:
        raise NnmtlError(
            f"--adapt {model}: expected a model with biomarkers, but it has none; train it on a "
            "dataset that declares some."
        )
    known = model / CENTERS
    return Source(
        folder=model,
        checkpoint=checkpoint,
        plans=plans,
        dataset_json=read_model_dataset(model),
        configuration=configuration,
        centers=as_texts(read_json(known), where=str(known)) if known.is_file() else (),
    )


def prepare(dataset: str, source: Source, fold: int | str, *, heads_only: bool) -> str:
    """Fingerprint, splits, the model's plans and arrays of the dataset; what is there stays.

    Args:
        dataset: name of the dataset with the labeled cases.
        source: the model.
        fold: that will be trained.
        heads_only: whether encoder and decoder stay as they are.

    Returns:
        the name of the plans.

    Raises:
        NnmtlError: if the dataset does not fit the model, or has errors of its own.
    """
    raw, preprocessed = raw_folder(dataset), preprocessed_folder(dataset)
    dataset_json = dict(read_dataset_json(raw))
    declaration = parse_declaration(dataset_json)
    _refuse_other_dataset(dataset, dataset_json, declaration, source)
    check_fold(fold, preprocessed)
    plans = adapted_plans(
        source.plans,
        {slug: own for slug, (_, own) in read_center_files(source.folder).items()},
        dataset=dataset,
        configuration=source.configuration,
        heads_only=heads_only,
    )
    path = preprocessed / f"{plans['plans_name']}.json"
    if path.is_file() and _without_schedule(read_json(path)) != _without_schedule(plans):
        raise NnmtlError(
            f"{path}: expected the plans of {source.folder}, got others, of another model or of "
            "fewer centers; move the file and its arrays away to adapt this model."
        )
    if not (preprocessed / FINGERPRINT).is_file():
        _check(dataset)
        extract_fingerprint(dataset)
    write_json(dataset_json, preprocessed / "dataset.json")
    _split(read_targets(preprocessed / TARGETS, declaration), preprocessed / SPLITS, source, fold)
    if not path.is_file():
        write_json(plans, path)
    name: str = plans["plans_name"]
    if not (preprocessed / f"{name}_{source.configuration}").is_dir():
        preprocess(dataset, name, source.configuration)
    return name


def _without_schedule(plans: Mapping[str, Any]) -> dict[str, Any]:
    """What weights and arrays depend on: a person may edit the rest."""
    configurations = {
        name: {key: value for key, value in configuration.items() if key != "nnmtl"}
        for name, configuration in plans["configurations"].items()
    }
    return {**plans, "configurations": configurations}


def _refuse_other_dataset(
    dataset: str, dataset_json: Mapping[str, Any], declaration: Declaration, source: Source
) -> None:
    """The weights answer the model's questions about the model's channels, and no others."""
    where = f"--adapt {source.folder}: {dataset}"
    if dataset == source.plans["dataset_name"]:
        raise NnmtlError(
            f"{where}: expected another dataset than the one that the model was trained on; put "
            "the new center's cases, and others as you like, into a dataset of their own."
        )
    of_model = parse_declaration(source.dataset_json)
    architecture = source.plans["configurations"][source.configuration]["architecture"]
    heads = parse_architecture(architecture["arch_kwargs"]["multitask"]).heads
    theirs, ours = (
        {biomarker.name: biomarker for biomarker in each.biomarkers}
        for each in (of_model, declaration)
    )
    other = [
        head.name
        for head in heads
        if head.name not in ours or ours[head.name] != theirs.get(head.name)
    ]
    if other:
        raise NnmtlError(
            f"{where}: expected the model's biomarkers, declared as in its dataset.json, but these "
            f"are missing or different: {', '.join(other)}; declare them alike, or train anew."
        )
    pairs = {
        "channel_names": (source.dataset_json["channel_names"], dataset_json["channel_names"]),
        "labels": (source.dataset_json["labels"], dataset_json["labels"]),
        "tumor_labels": (list(of_model.tumor_labels), list(declaration.tumor_labels)),
        "covariates": (list(of_model.covariates), list(declaration.covariates)),
    }
    for key, (expected, found) in pairs.items():
        if expected != found:
            raise NnmtlError(
                f"{where}: expected {key} as the model has them, {expected}, got {found}; bring "
                "the dataset into this form, or train a new model."
            )
    further = sorted(set(ours) - {head.name for head in heads})
    if further:
        logger.warning("%s: the model does not predict %s.", dataset, ", ".join(further))


def _check(dataset: str) -> None:
    findings = check_images(read_raw_dataset(raw_folder(dataset)))
    errors = [each for each in findings if each.level == "error"]
    if errors:
        raise NnmtlError(
            f"{dataset}: expected a dataset without errors, got {len(errors)}, the first being: "
            f"{errors[0].message} See all with nnMTL_check_dataset, and correct them."
        )


def _split(table: TargetTable, path: Path, source: Source, fold: int | str) -> None:
    """Writes splits in which no case is judged by a model that was trained on it."""
    learned = {
        case_id
        for case_id, center in zip(table.case_ids, table.centers, strict=True)
        if center in source.centers
    }
    if not path.is_file():
        folds = folds_beside(
            table, [source.unseen(number) & learned for number in range(NUM_FOLDS)], learned
        )
        write_json(
            [{"train": list(each.train), "val": list(each.validation)} for each in folds], path
        )
    if not isinstance(fold, int):
        return
    check_fold(fold, path.parent)
    validation = set(read_json(path)[fold]["val"])
    seen = sorted((validation & learned) - source.unseen(fold))
    if seen:
        raise NnmtlError(
            f"{path}: expected no case in the validation of fold {fold} that the model was trained "
            f"on, but it has {len(seen)} of its centers, such as {seen[0]}; remove the file, and "
            "they are put into training."
        )


def start_from(trainer: "nnMTLTrainer", checkpoint: Path) -> None:
    """Loads every weight and what was fitted beside them, and keeps a record of it.

    Decision thresholds and the scale of targets are fitted anew by the training itself, and so is
    the standardization of what the heads see, unless the fold's patients are too few for it.

    Args:
        trainer: initialized; its averaged weights start from the loaded ones.
        checkpoint: of a model with the same plans.

    Raises:
        NnmtlError: if the weights do not fit the plans.
    """
    weights = load_checkpoint_safely(checkpoint)["network_weights"]
    try:
        trainer.unwrapped.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise NnmtlError(
            f"{checkpoint}: expected the weights of the plans beside it, but they do not fit; copy "
            "the model folder again."
        ) from error
    if trainer.average is not None:
        trainer.average.restart(trainer.unwrapped, prefix="")
    patients = _training_patients(trainer)
    trainer.linear_started = patients < FEWEST_PATIENTS
    kept = "kept" if trainer.linear_started else "fitted anew"
    trainer.print_to_log_file(
        f"Adapting {checkpoint} with {patients} patients; standardization of the heads' input is "
        f"{kept} (from {FEWEST_PATIENTS} patients on it is fitted anew)."
    )
    record = {"checkpoint": str(checkpoint), "sha256": weights_hash(checkpoint)}
    write_json(record, Path(trainer.output_folder) / ADAPTED_FROM)


def _training_patients(trainer: "nnMTLTrainer") -> int:
    table = read_targets(
        Path(trainer.preprocessed_dataset_folder_base) / TARGETS, trainer.declaration
    )
    train, _ = trainer.get_tr_and_val_datasets()
    return len(set(table.select(train.identifiers).patient_ids))
