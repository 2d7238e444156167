"""Presets: the published systems and their variants as data, one JSON file each."""

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

from nnmtl.errors import NnmtlError
from nnmtl.planning.architecture import refuse_other_keys

DEFAULT_PRESET = "spatial_mtl"


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One way of configuring the network and its training.

    Attributes:
        name: the file's name without its ending.
        about: what system this is, and its source.
        unet: overrides of nnU-Net's U-Net, e.g. `max_stages`, `features_per_stage`, `max_patch`.
        architecture: fields of `ArchitecturePlan` that are not derived from the dataset.
        training: fields of `TrainingPlan` that are not derived from the dataset.
    """

    name: str
    about: str
    unet: dict[str, Any]
    architecture: dict[str, Any]
    training: dict[str, Any]


def preset_names() -> list[str]:
    """Names of the shipped presets."""
    folder = resources.files("nnmtl.plans")
    return sorted(path.name[:-5] for path in folder.iterdir() if path.name.endswith(".json"))


def load_preset(name: str) -> Preset:
    """Reads a shipped preset; raises `NnmtlError` naming the presets there are."""
    if name not in preset_names():
        raise NnmtlError(
            f"--preset: expected one of {', '.join(preset_names())}, but got {name!r}."
        )
    text = resources.files("nnmtl.plans").joinpath(f"{name}.json").read_text(encoding="utf-8")
    value = json.loads(text)
    refuse_other_keys({"name": name, **value}, Preset, where=f"plans/{name}.json")
    return Preset(name=name, **value)


def plans_name(preset: str) -> str:
    """The name that a preset's plans file carries."""
    return "nnMTLPlans" if preset == DEFAULT_PRESET else f"nnMTLPlans_{preset}"
