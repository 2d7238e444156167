"""Presets: the published systems and their variants as data, one JSON file each."""

import json
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

from nnmtl.errors import NnmtlError
from nnmtl.planning.architecture import refuse_other_keys

DEFAULT_PRESET = "spatial_mtl"


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One way of configuring the network and its training.

    Attributes:
        name: the file's name without its ending; several joined by "+" where changes were added.
        about: what system this is, and its source.
        base: the preset whose entries hold where this one has none; None where it has all.
        unet: overrides of nnU-Net's U-Net, e.g. `max_stages`, `features_per_stage`, `max_patch`.
        architecture: fields of `ArchitecturePlan` that are not derived from the dataset.
        training: fields of `TrainingPlan` that are not derived from the dataset.
    """

    name: str
    about: str
    base: str | None
    unet: dict[str, Any]
    architecture: dict[str, Any]
    training: dict[str, Any]


def preset_names() -> list[str]:
    """Names of the shipped presets."""
    folder = resources.files("nnmtl.plans")
    return sorted(path.name[:-5] for path in folder.iterdir() if path.name.endswith(".json"))


def load_preset(name: str) -> Preset:
    """A shipped preset with what its base says, and the changes of others: `tiny_cpu+core_only`.

    Raises:
        NnmtlError: for a name that is not shipped, or a second one that is no change of a base.
    """
    first, *changes = name.split("+")
    own = _read(first)
    preset = own if own.base is None else _changed(load_preset(own.base), own)
    for change in changes:
        preset = _changed(preset, _read(change))
    return replace(preset, name=name)


def _changed(preset: Preset, change: Preset) -> Preset:
    if change.base is None:
        raise NnmtlError(
            f"--preset: expected after '+' a preset that changes another, but {change.name!r} is "
            "complete in itself; name it first."
        )
    return replace(
        preset,
        about=change.about,
        unet=preset.unet | change.unet,
        architecture=preset.architecture | change.architecture,
        training=preset.training | change.training,
    )


def _read(name: str) -> Preset:
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
