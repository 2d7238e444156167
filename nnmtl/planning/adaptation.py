"""The plans of a trained model that goes on learning from the labeled cases of another center."""

import copy
from collections.abc import Mapping
from typing import Any

from nnmtl.errors import NnmtlError
from nnmtl.planning.center_configuration import is_of_center
from nnmtl.planning.center_names import REFERENCE

# A common choice in fine-tuning, and low enough that what was learned is corrected, not replaced.
RATE = 0.1
EPOCHS = 0.2  # of those of the training: nothing starts at random


def adapted_name(plans_name: str, *, heads_only: bool) -> str:
    """The name of the adapted plans."""
    return f"{plans_name}_adapted_heads" if heads_only else f"{plans_name}_adapted"


def adapted_plans(
    plans: Mapping[str, Any],
    centers: Mapping[str, Mapping[str, Any]],
    *,
    dataset: str,
    configuration: str,
    heads_only: bool,
) -> dict[str, Any]:
    """A model's plans for another dataset: the same network and grids, a short careful schedule.

    Args:
        plans: the model's, with biomarkers.
        centers: slug → configuration of centers that the model was configured for afterwards.
        dataset: name of the dataset with the labeled cases.
        configuration: that the model was trained with.
        heads_only: whether encoder and decoder stay as they are.

    Raises:
        NnmtlError: if only the heads are to be trained, but have no optimizer of their own.
    """
    adapted = copy.deepcopy(dict(plans))
    name = adapted_name(plans["plans_name"], heads_only=heads_only)
    shared = adapted["configurations"][configuration]
    kept = {configuration: shared}
    if configuration == REFERENCE:
        others = {
            each: own for each, own in adapted["configurations"].items() if is_of_center(each, own)
        }
        later = {f"{REFERENCE}_{slug}": copy.deepcopy(dict(own)) for slug, own in centers.items()}
        kept |= others | later
    shared["data_identifier"] = f"{name}_{configuration}"
    shared["nnmtl"] = _adapted_training(shared["nnmtl"], heads_only=heads_only)
    if len(kept) > 1 and shared["nnmtl"]["spacing_policy"] == "pooled":
        shared["nnmtl"]["spacing_policy"] = "per_center"  # pooled reads no center's configuration
    return adapted | {"dataset_name": dataset, "plans_name": name, "configurations": kept}


def _adapted_training(section: Mapping[str, Any], *, heads_only: bool) -> dict[str, Any]:
    if heads_only and section["heads_optimizer"] == "unet":
        raise NnmtlError(
            f"--heads_only: expected heads with an optimizer of their own, but those of the preset "
            f"{section['preset']} are trained by the U-Net's; adapt the whole network."
        )
    changed = {
        "epochs": max(1, round(EPOCHS * section["epochs"])),
        "warmup_fraction": 0.0,
        "true_mask_until": 0.0,
        "lr_unet": 0.0 if heads_only else RATE * section["lr_unet"],
        "lr_heads": RATE * section["lr_heads"],
        "linear_start": False,
    }
    if heads_only:  # with nothing shared there is no conflict in it, and no segmentation to train
        changed |= {"task_weighting": _without_conflict(section), "roi_segmentation_weight": 0.0}
    reasons = {
        "epochs": f"{EPOCHS:g} of the model's {section['epochs']}: nothing starts at random",
        "warmup_fraction": "the model segments already, so heads learn from its own masks at once",
        "lr_unet": "0: encoder and decoder stay as they are"
        if heads_only
        else f"{RATE:g} of the model's, to correct what was learned",
        "lr_heads": f"{RATE:g} of the model's, to correct what was learned",
        "linear_start": "the heads go on from the model's linear part",
    }
    return {**section, **changed, "reasons": {**section["reasons"], **reasons}}


def _without_conflict(section: Mapping[str, Any]) -> str:
    weighting: str = section["task_weighting"]
    return "fixed" if weighting == "upgrad" else weighting
