"""Presets: the published systems and their variants as data, one JSON file each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

from nnmtl.cohort.biomarker import Biomarker
from nnmtl.cohort.declaration import Declaration
from nnmtl.errors import NnmtlError
from nnmtl.planning.architecture import refuse_other_keys

DEFAULT_PRESET = "spatial_mtl"


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One way of configuring the network and its training.

    Attributes:
        name: the file's name without its ending; several joined by "+" where changes were added,
            then the biomarker of a single-task preset: `tiny_cpu+single_task:ER`.
        about: what system this is, and its source.
        base: the preset whose entries hold where this one has none; None where it has all.
        unet: overrides of nnU-Net's U-Net, e.g. `max_stages`, `features_per_stage`, `max_patch`.
        architecture: fields of `ArchitecturePlan` that are not derived from the dataset; its
            `heads` are "all" declared biomarkers, "one" that is still to be named, or that name.
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
        NnmtlError: for a name that is not shipped, a second one that is no change of a base, or a
            biomarker behind a preset that predicts all.
    """
    shipped, _, biomarker = name.partition(":")
    first, *changes = shipped.split("+")
    own = _read(first)
    preset = own if own.base is None else _changed(load_preset(own.base), own)
    for change in changes:
        preset = _changed(preset, _read(change))
    preset = replace(preset, name=name)
    return _of_one_task(preset, biomarker) if biomarker else preset


def single_task_presets(preset: Preset, biomarkers: Sequence[Biomarker]) -> list[str]:
    """Names of the presets that this one stands for: itself, or one per declared biomarker."""
    if preset.architecture["heads"] != "one":
        return [preset.name]
    return [f"{preset.name}:{biomarker.name}" for biomarker in biomarkers]


def planned_biomarkers(preset: Preset, declaration: Declaration) -> tuple[Biomarker, ...]:
    """The declared biomarkers that get a head.

    Raises:
        NnmtlError: if a single-task preset names none of them.
    """
    asked = preset.architecture["heads"]
    if asked == "all":
        return declaration.biomarkers
    found = tuple(biomarker for biomarker in declaration.biomarkers if asked == [biomarker.name])
    if not found:
        names = ", ".join(biomarker.name for biomarker in declaration.biomarkers)
        raise NnmtlError(
            f"--preset {preset.name}: expected one biomarker behind a colon, such as "
            f"{preset.name.partition(':')[0]}:NAME, of those that dataset.json declares "
            f"({names or 'none'}); name one."
        )
    return found


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


def _of_one_task(preset: Preset, biomarker: str) -> Preset:
    if preset.architecture["heads"] != "one":
        raise NnmtlError(
            f"--preset: expected a biomarker behind a preset of one task only, such as "
            f"single_task:{biomarker}, got {preset.name!r}, whose preset predicts all; leave "
            f"{biomarker!r} out."
        )
    if "__" in biomarker:  # nnU-Net splits the names of model folders there
        raise NnmtlError(
            f"--preset: expected a biomarker without '__' in its name, got {biomarker!r}; rename "
            "it in dataset.json and targets.csv."
        )
    return replace(preset, architecture=preset.architecture | {"heads": [biomarker]})


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
    return "nnMTLPlans" if preset == DEFAULT_PRESET else f"nnMTLPlans_{file_name_part(preset)}"


def file_name_part(preset: str) -> str:
    """A preset's name as part of a file name: not every file system takes a colon."""
    return preset.replace(":", "-")
