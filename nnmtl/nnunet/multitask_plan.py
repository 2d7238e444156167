"""Adds heads, regions and the training of both to one of nnU-Net's configurations."""

import math
from typing import Any

from torch import nn

from nnmtl.cohort.biomarker import Biomarker, CategoricalBiomarker, ContinuousBiomarker
from nnmtl.cohort.declaration import Declaration
from nnmtl.errors import NnmtlError
from nnmtl.planning.architecture import (
    ArchitecturePlan,
    HeadPlan,
    RegionPlan,
    architecture_to_json,
)
from nnmtl.planning.preset import Preset, planned_biomarkers
from nnmtl.planning.rules import (
    VIEW_MM,
    aligned_centers,
    planned_epochs,
    roi_size_voxels,
    shrink_patch,
    tap_stages,
    total_stride,
)
from nnmtl.planning.training import TrainingPlan, training_to_json

NETWORK = "nnmtl.nnunet.network.PlannedMultiTaskUNet"


def add_multitask(
    configuration: dict[str, Any],
    preset: Preset,
    declaration: Declaration,
    facts: dict[str, Any],
    extent_p95_mm: list[float],
) -> None:
    """Adds `architecture.arch_kwargs["multitask"]` and `["nnmtl"]` to one configuration.

    Without biomarkers there are no heads, and nnU-Net's own network stays in place.

    Args:
        configuration: changed in place.
        preset: what is not derived from the dataset.
        declaration: biomarkers and covariates.
        facts: the cohort fingerprint.
        extent_p95_mm: 95th percentile of the tumor extent, in the plans' axis order (3 values).
    """
    spacing = [float(value) for value in configuration["spacing"]]
    kwargs = configuration["architecture"]["arch_kwargs"]
    strides = [list(stride) for stride in kwargs["strides"]]
    biomarkers = planned_biomarkers(preset, declaration)
    regions = tuple(RegionPlan(**region) for region in preset.architecture["regions"])
    roi_size, roi_reason = _region_of_interest(
        spacing, strides, regions, extent_p95_mm, preset.training["max_roi_voxels"]
    )
    architecture = ArchitecturePlan(
        **{key: value for key, value in preset.architecture.items() if key not in _DERIVED},
        regions=regions,
        num_centers=aligned_centers(center["num_patients"] for center in facts["centers"].values()),
        descriptors=tuple(preset.architecture["descriptors"]),
        spacing_mm=tuple(spacing),
        tumor_labels=declaration.tumor_labels,
        taps=_preset_taps(preset, num_stages=len(strides))
        or tap_stages(
            strides, spacing_mm=spacing, roi_size=roi_size, thinnest_mm=_thinnest_mm(regions)
        ),
        covariates=declaration.covariates,
        heads=tuple(
            _head(biomarker, continuous_likelihood=preset.architecture["continuous_likelihood"])
            for biomarker in biomarkers
        ),
    )
    training = _training(preset, biomarkers, facts, roi_size, roi_reason)
    configuration["nnmtl"] = training_to_json(training)
    if biomarkers:
        kwargs["unet_class_name"] = configuration["architecture"]["network_class_name"]
        kwargs["multitask"] = architecture_to_json(architecture)
        configuration["architecture"]["network_class_name"] = NETWORK


def _preset_taps(preset: Preset, *, num_stages: int) -> tuple[int, ...]:
    """Stages as named, -1 being the deepest; those that the network has."""
    taps = (tap % num_stages if tap < 0 else tap for tap in preset.architecture.get("taps", ()))
    return tuple(tap for tap in taps if tap < num_stages)


_DERIVED = ("regions", "descriptors", "taps", "heads", "continuous_likelihood")


def _region_of_interest(
    spacing: list[float],
    strides: list[list[int]],
    regions: tuple[RegionPlan, ...],
    extent_p95_mm: list[float],
    max_voxels: int,
) -> tuple[tuple[int, ...], str]:
    divisor = total_stride(strides)
    peritumoral_mm = max(VIEW_MM, *(region.outer_mm or 0.0 for region in regions))
    extent = extent_p95_mm[-len(spacing) :]
    wanted = roi_size_voxels(
        extent,
        spacing_mm=spacing,
        peritumoral_mm=peritumoral_mm,
        divisor=divisor,
        largest=[10**4] * len(spacing),
    )
    size = shrink_patch(wanted, divisor=divisor, max_voxels=max_voxels)
    reason = (
        f"95 % of the tumors extend at most {[round(value, 1) for value in extent]} mm; with "
        f"{peritumoral_mm:g} mm around them this takes {list(wanted)} voxels of {spacing} mm"
    )
    if size != wanted:
        reason += f"; reduced to {list(size)}, at most {max_voxels} voxels"
    return size, reason


def _thinnest_mm(regions: tuple[RegionPlan, ...]) -> float:
    widths = [
        region.outer_mm - region.inner_mm
        for region in regions
        if region.inner_mm is not None and region.outer_mm is not None
    ]
    return min(widths, default=math.inf)


def _training(
    preset: Preset,
    biomarkers: tuple[Biomarker, ...],
    facts: dict[str, Any],
    roi_size: tuple[int, ...],
    roi_reason: str,
) -> TrainingPlan:
    settings = dict(preset.training)
    head_weight = settings.pop("head_weight")
    del settings["max_roi_voxels"]
    reasons = {"roi_size": roi_reason}
    if settings.get("epochs") is None:
        num_train = round(0.8 * facts["overall"]["num_cases"])
        settings["epochs"] = planned_epochs(
            num_train,
            roi_batch_size=settings["roi_batch_size"],
            iterations_per_epoch=settings["iterations_per_epoch"],
        )
        seen = settings["epochs"] * settings["iterations_per_epoch"] * settings["roi_batch_size"]
        reasons["epochs"] = (
            f"regions for about {round(seen / max(1, num_train))} views of each of the {num_train} "
            "training cases of a fold, within 40 to 1000 epochs"
        )
    weights = {biomarker.name: head_weight for biomarker in biomarkers}
    return TrainingPlan(
        preset=preset.name, roi_size=roi_size, loss_weights=weights, reasons=reasons, **settings
    )


def _head(biomarker: Biomarker, *, continuous_likelihood: str) -> HeadPlan:
    if hasattr(nn.ModuleDict(), biomarker.name):
        raise NnmtlError(
            f"dataset.json: the biomarker {biomarker.name!r} has a name that torch keeps for "
            "itself, so no head can carry it; rename it there and in targets.csv."
        )
    if isinstance(biomarker, CategoricalBiomarker):
        count = len(biomarker.categories)
        if biomarker.ordered:
            return HeadPlan(name=biomarker.name, kind="ordinal", num_outputs=count - 1)
        return HeadPlan(name=biomarker.name, kind="categorical", num_outputs=count)
    # A percentage is bounded and skewed: its logit is neither. Other ranges only say what is
    # plausible, and no distribution ends there.
    limits = None
    if isinstance(biomarker, ContinuousBiomarker) and biomarker.unit == "%":
        limits = biomarker.range
        if continuous_likelihood == "beta":
            return HeadPlan(name=biomarker.name, kind="beta", num_outputs=2, range=limits)
    return HeadPlan(name=biomarker.name, kind=biomarker.kind, num_outputs=1, range=limits)
