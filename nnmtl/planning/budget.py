"""What a machine can train: a preset narrowed to it, each limit with its reason."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from nnmtl.errors import NnmtlError
from nnmtl.planning.center_plan import Decision
from nnmtl.planning.preset import Preset

DEFAULT_GB = 8.0  # what nnU-Net plans two patches of a plain U-Net for
SMALLEST_GB = 1.0

# Those of the preset tiny_cpu, with which the demonstration trains in minutes on two cores.
CPU_PATCH_VOXELS = 80_000
CPU_ROI_VOXELS = 80_000
CPU_STAGES = 4
CPU_BASE_FEATURES = 8
CPU_MAX_FEATURES = 64
CPU_CONVOLUTIONS = (2, 1)  # of an encoder stage, of a decoder stage
CPU_BATCH = 2
CPU_ITERATIONS = 40
CPU_VALIDATION_ITERATIONS = 4


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The machine that is planned for.

    Attributes:
        device: whose speed counts.
        memory_gb: of its memory, what a training may take; None leaves it to nnU-Net's planner.
    """

    device: Literal["cuda", "cpu"] = "cuda"
    memory_gb: float | None = None

    def __post_init__(self) -> None:
        if self.memory_gb is not None and not SMALLEST_GB <= self.memory_gb < math.inf:
            raise NnmtlError(
                f"--memory-gb {self.memory_gb:g}: expected a finite number of at least "
                f"{SMALLEST_GB:g}, below which no 3D patch shows a tumor with its surroundings; "
                "name the memory of your machine, or train on another."
            )


@dataclass(frozen=True, kw_only=True)
class Narrowed:
    """A preset that fits a budget.

    Attributes:
        preset: with limits where the machine needs them.
        decisions: what was limited and why; empty where nothing was.
    """

    preset: Preset
    decisions: tuple[Decision, ...]


def within_budget(preset: Preset, budget: Budget) -> Narrowed:
    """The preset with smaller numbers where the machine needs them; never with larger ones.

    Raises:
        NnmtlError: for a residual preset on a CPU, whose widths a pretrained encoder fixes.
    """
    if budget.device == "cpu" and preset.unet.get("residual"):
        raise NnmtlError(
            f"--device cpu --preset {preset.name}: expected a preset with a plain U-Net, since "
            "this one's encoder is as wide as the pretrained one; train it on a GPU."
        )
    unet, training, decisions = dict(preset.unet), dict(preset.training), []
    memory_gb = DEFAULT_GB if budget.memory_gb is None else budget.memory_gb
    if memory_gb != DEFAULT_GB:
        decisions.append(_memory(memory_gb))
    if memory_gb < DEFAULT_GB:
        most = roi_voxels_within(preset.training["max_roi_voxels"], memory_gb)
        training["max_roi_voxels"] = most
        decisions.append(_region(most, preset.training, memory_gb))
    if budget.device == "cpu":
        unet, training = cpu_unet(unet), cpu_schedule(training)
        decisions += _cpu(preset, unet, training)
    return Narrowed(
        preset=replace(preset, unet=unet, training=training), decisions=tuple(decisions)
    )


def roi_voxels_within(max_voxels: int, memory_gb: float) -> int:
    """Half the memory, half the voxels: feature maps are what fills it. More brings no more."""
    return int(max_voxels * min(1.0, memory_gb / DEFAULT_GB))


def cpu_unet(unet: Mapping[str, Any]) -> dict[str, Any]:
    """A preset's U-Net that a CPU can train; what is smaller already stays.

    Few channels rather than a few voxels: a patch must still show the tumor and what is around it.
    """
    limits = {
        "max_stages": CPU_STAGES,
        "base_features": CPU_BASE_FEATURES,
        "max_features": CPU_MAX_FEATURES,
        "convs_encoder": CPU_CONVOLUTIONS[0],
        "convs_decoder": CPU_CONVOLUTIONS[1],
        "max_patch_voxels": CPU_PATCH_VOXELS,
    }
    limited = {key: min(unet.get(key, limit), limit) for key, limit in limits.items()}
    return {**unet, **limited, "batch_size": unet.get("batch_size", CPU_BATCH)}


def cpu_schedule(training: Mapping[str, Any]) -> dict[str, Any]:
    """A preset's schedule in epochs of about a minute, so that progress is seen and saved.

    The number of epochs follows from the views of each case that the heads need, see
    `planned_epochs`; a preset that states it keeps it.
    """
    limits = {
        "max_roi_voxels": CPU_ROI_VOXELS,
        "iterations_per_epoch": CPU_ITERATIONS,
        "validation_iterations": CPU_VALIDATION_ITERATIONS,
    }
    return {**training, **{key: min(training[key], limit) for key, limit in limits.items()}}


def _memory(memory_gb: float) -> Decision:
    return Decision(
        subject=f"memory of {memory_gb:g} GB",
        reason="nnU-Net's planner takes the largest patch, then the largest batch, that it "
        "estimates to fit",
        otherwise=f"{DEFAULT_GB:g} GB",
    )


def _region(most: int, training: Mapping[str, Any], memory_gb: float) -> Decision:
    return Decision(
        subject=f"region of interest of at most {most} voxels",
        reason=f"{training['roi_batch_size']} of them are in memory at a time, and "
        f"{memory_gb:g} GB are less than the {DEFAULT_GB:g} GB of the preset",
        otherwise=f"{training['max_roi_voxels']} voxels",
    )


def _cpu(preset: Preset, unet: Mapping[str, Any], training: Mapping[str, Any]) -> list[Decision]:
    """Of each limit that the preset did not keep already."""
    return [
        Decision(
            subject=f"{key} {value}",
            reason=_CPU_REASONS[key],
            otherwise=_told(before.get(key)),
        )
        for before, after in ((preset.unet, unet), (preset.training, training))
        for key, value in after.items()
        if before.get(key) != value
    ]


_SQUARE = "the work grows with the square of the channels, and a CPU is far slower than a GPU"
_VOXELS = "work and memory grow with the voxels, and a CPU is far slower than a GPU"
_CPU_REASONS = {
    "max_stages": "of a smaller patch a further stage would hold a few voxels",
    "base_features": _SQUARE,
    "max_features": _SQUARE,
    "convs_encoder": "two are nnU-Net's usual number",
    "convs_decoder": "the decoder works at full resolution, where a convolution costs most",
    "max_patch_voxels": _VOXELS,
    "max_roi_voxels": _VOXELS,
    "batch_size": "the least that nnU-Net plans",
    "iterations_per_epoch": "an epoch of minutes, so that progress is seen and saved",
    "validation_iterations": "in proportion to those of training",
}


def _told(value: object) -> str:
    return "as nnU-Net plans" if value is None else str(value)
