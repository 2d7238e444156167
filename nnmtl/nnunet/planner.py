"""nnU-Net's plan plus ours: regions, region of interest, heads, losses, schedule."""

import contextlib
import io
import logging
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import (
    ExperimentPlanner,
)
from nnunetv2.experiment_planning.experiment_planners.residual_unets.residual_encoder_unet_planners import (  # noqa: E501
    nnUNetPlannerResEncL,
)
from nnunetv2.imageio.reader_writer_registry import recursive_find_reader_writer_by_name
from nnunetv2.utilities.json_export import recursive_fix_for_json_export
from torch import nn

from nnmtl.cohort.biomarker import Biomarker, CategoricalBiomarker, ContinuousBiomarker
from nnmtl.cohort.declaration import Declaration
from nnmtl.cohort.group_geometry import CohortGeometry, cohort_geometry
from nnmtl.cohort.splits import leave_one_center_out, patient_folds
from nnmtl.cohort.targets import TargetTable, read_targets
from nnmtl.errors import NnmtlError
from nnmtl.nnunet.cohort_files import (
    CENTER_SPLITS,
    FINGERPRINT,
    SPLITS,
    TARGETS,
    read_declaration,
    read_json,
    write_json,
)
from nnmtl.nnunet.cohort_plan import add_centers, balanced_fingerprint, has_center_grids
from nnmtl.nnunet.folders import preprocessed_folder, raw_folder
from nnmtl.nnunet.orientation import READABLE, REORIENTING
from nnmtl.planning.architecture import (
    ArchitecturePlan,
    HeadPlan,
    RegionPlan,
    architecture_to_json,
)
from nnmtl.planning.budget import Budget, within_budget
from nnmtl.planning.center_configuration import is_of_center
from nnmtl.planning.center_plan import Decision
from nnmtl.planning.preset import Preset, load_preset, planned_biomarkers, plans_name
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

logger = logging.getLogger(__name__)

NETWORK = "nnmtl.nnunet.network.PlannedMultiTaskUNet"
PLANNED = ("2d", "3d_fullres")
NO_BUDGET = Budget()


@contextlib.contextmanager
def _at_least_one_worker() -> Iterator[None]:
    """nnU-Net's planner hands the number of augmentation workers to torch, which refuses 0."""
    workers = os.environ.get("nnUNet_n_proc_DA")
    os.environ["nnUNet_n_proc_DA"] = str(max(1, int(workers or 1)))
    try:
        yield
    finally:
        del os.environ["nnUNet_n_proc_DA"]
        if workers is not None:
            os.environ["nnUNet_n_proc_DA"] = workers


class _PlansHeads(ExperimentPlanner):
    """What both planners add to nnU-Net's: plans that also configure the biomarker heads."""

    def __init__(
        self,
        dataset_name_or_id: str,
        preset: Preset,
        declaration: Declaration,
        *,
        memory_gb: float | None = None,
        decisions: Sequence[Decision] = (),
    ) -> None:
        """Plans for so much memory, nnU-Net's own target if None; `decisions` are its reasons."""
        target = {} if memory_gb is None else {"gpu_memory_target_in_gb": memory_gb}
        super().__init__(dataset_name_or_id, plans_name=plans_name(preset.name), **target)
        self.memory_gb = memory_gb
        self.decisions = decisions
        self.preset = preset
        self.declaration = declaration
        self.facts = read_json(preprocessed_folder(self.dataset_name) / FINGERPRINT)
        for setting, key in (
            ("UNet_base_num_features", "base_features"),
            ("UNet_max_features_2d", "max_features"),
            ("UNet_max_features_3d", "max_features"),
        ):
            setattr(self, setting, preset.unet.get(key, getattr(self, setting)))
        self.centers = self._centers()
        if self.centers is not None:
            self.dataset_fingerprint |= balanced_fingerprint(self.centers)

    def _centers(self) -> CohortGeometry | None:
        """The centers' geometry where their grids differ; None for nnU-Net's own plan."""
        policy = self.preset.training["spacing_policy"]
        if policy == "pooled":
            return None
        if not self.declaration.biomarkers:
            logger.warning("spacing_policy %s: without biomarkers nnU-Net's plan stays.", policy)
            return None
        geometry = cohort_geometry(self.facts, where=FINGERPRINT)
        if not has_center_grids(geometry, self.preset):
            logger.warning(
                "spacing_policy %s: has no effect on 2D images or a single center.", policy
            )
            return None
        return geometry

    def determine_reader_writer(self) -> Any:
        """nnU-Net's choice, which a sagittal image among axial ones or center grids overrule."""
        chosen = super().determine_reader_writer()
        is_told = self.dataset_json.get("overwrite_image_reader_writer", "None") != "None"
        is_wanted = self.centers is not None or self.facts.get("reoriented", False)
        if is_told or not is_wanted or self.dataset_json["file_ending"] not in READABLE:
            return chosen
        return recursive_find_reader_writer_by_name(REORIENTING)

    def save_plans(self, plans: dict[str, Any]) -> None:
        """nnU-Net's hook before writing: the place where our decisions join."""
        for name in PLANNED:
            if name in plans["configurations"]:
                self._join(plans["configurations"][name], plans["transpose_forward"])
        recursive_fix_for_json_export(plans)
        if self.centers is not None:
            num_classes = len(self.dataset_json["labels"])
            add_centers(
                plans,
                self.centers,
                self.preset,
                num_classes=num_classes,
                memory_gb=self.memory_gb,
            )
        self._forget_centers()
        super().save_plans(plans)

    def _forget_centers(self) -> None:
        """nnU-Net keeps further configurations of an older file: those of centers are outdated."""
        path = preprocessed_folder(self.dataset_name) / f"{self.plans_identifier}.json"
        if path.is_file():
            old = read_json(path)
            kept = {
                name: configuration
                for name, configuration in old["configurations"].items()
                if not is_of_center(name, configuration)
            }
            write_json({**old, "configurations": kept}, path)

    def generate_data_identifier(self, configuration_name: str) -> str:
        """One folder of arrays per plans file, whatever the network."""
        return f"{self.plans_identifier}_{configuration_name}"

    def _join(self, configuration: dict[str, Any], transpose_forward: list[int]) -> None:
        _apply_unet_overrides(configuration, self.preset.unet)
        extent = np.array(self.facts["overall"]["tumor_extent_mm"]["p95"])[transpose_forward]
        add_multitask(configuration, self.preset, self.declaration, self.facts, extent.tolist())
        configuration["nnmtl"]["reasons"] |= {
            each.subject: f"{each.reason}; otherwise {each.otherwise}" for each in self.decisions
        }


class nnMTLPlanner(_PlansHeads):
    """nnU-Net's planner with a plain U-Net."""


class nnMTLPlannerResEncL(_PlansHeads, nnUNetPlannerResEncL):
    """nnU-Net's planner of its large residual encoder, for presets with `residual`."""


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


def plan_experiment(name: str, *, preset_name: str, budget: Budget = NO_BUDGET) -> str:
    """Writes the plans, and patient-grouped splits if there are none; returns the plans' name."""
    preprocessed = preprocessed_folder(name)
    whole, declaration = read_preset(name, preset_name=preset_name)
    narrowed = within_budget(whole, budget)
    preset = narrowed.preset
    if not (preprocessed / FINGERPRINT).is_file():
        raise NnmtlError(
            f"{preprocessed}: expected {FINGERPRINT}, found none. "
            "Run nnMTL_extract_fingerprint first."
        )
    table = read_targets(preprocessed / TARGETS, declaration)
    write_splits(table, preprocessed)
    write_center_splits(table, preprocessed)
    with contextlib.redirect_stdout(io.StringIO()), _at_least_one_worker():
        planner = nnMTLPlannerResEncL if preset.unet.get("residual") else nnMTLPlanner
        planner(
            name,
            preset,
            declaration,
            memory_gb=budget.memory_gb,
            decisions=narrowed.decisions,
        ).plan_experiment()
    logger.info("Planned %s for %s", plans_name(preset_name), name)
    return plans_name(preset_name)


def read_preset(name: str, *, preset_name: str) -> tuple[Preset, Declaration]:
    """The preset, and the dataset's declaration, for which it can be planned.

    Raises:
        NnmtlError: if there is no such preset or declaration, or the preset's one biomarker is not
            declared.
    """
    preset = load_preset(preset_name)
    raw = raw_folder(name)
    declaration = read_declaration(raw)
    if declaration is None:
        raise NnmtlError(
            f"{raw / 'dataset.json'}: expected the key 'nnmtl' with tumor labels and biomarkers, "
            "found none. Add it, or convert the dataset with nnMTL_convert."
        )
    planned_biomarkers(preset, declaration)
    return preset, declaration


def write_splits(table: TargetTable, preprocessed: Any) -> None:
    """Writes splits_final.json; an existing one is kept if it covers these cases, else refused."""
    path = preprocessed / SPLITS
    if path.is_file():
        _check_existing_splits(path, table)
        logger.info("Keeping the existing %s", path)
        return
    folds = patient_folds(table)
    write_json([{"train": list(fold.train), "val": list(fold.validation)} for fold in folds], path)


def write_center_splits(table: TargetTable, preprocessed: Any) -> None:
    """Writes a split per center, which holds its cases out; none where there is one center."""
    if len(set(table.centers)) > 1:
        splits = [
            {"center": center, "train": list(fold.train), "val": list(fold.validation)}
            for center, fold in leave_one_center_out(table).items()
        ]
        write_json(splits, preprocessed / CENTER_SPLITS)


def _check_existing_splits(path: Any, table: TargetTable) -> None:
    patient_of = dict(zip(table.case_ids, table.patient_ids, strict=True))
    for number, fold in enumerate(read_json(path)):
        cases = [*fold["train"], *fold["val"]]
        unknown = sorted(set(cases) - set(table.case_ids))
        shared = {patient_of.get(case) for case in fold["train"]} & {
            patient_of.get(case) for case in fold["val"]
        }
        if unknown or shared:
            raise NnmtlError(
                f"{path}: fold {number} has the unknown cases {unknown[:3]} or has the patients "
                f"{sorted(map(str, shared))[:3]} both in train and val. Correct or remove the file."
            )


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


def _apply_unet_overrides(configuration: dict[str, Any], unet: dict[str, Any]) -> None:
    """Narrows nnU-Net's plan as the preset asks: stages, convolutions, patch, batch size."""
    kwargs = configuration["architecture"]["arch_kwargs"]
    stages = min(kwargs["n_stages"], unet.get("max_stages", kwargs["n_stages"]))
    kwargs["n_stages"] = stages
    blocks = "n_blocks_per_stage" if "n_blocks_per_stage" in kwargs else "n_conv_per_stage"
    for key in ("features_per_stage", "kernel_sizes", "strides", blocks):
        kwargs[key] = list(kwargs[key])[:stages]
    if unet.get("isotropic_kernels"):  # those of pretrained encoders
        kwargs["kernel_sizes"] = [[3] * len(size) for size in kwargs["kernel_sizes"]]
    kwargs["n_conv_per_stage_decoder"] = list(kwargs["n_conv_per_stage_decoder"])[: stages - 1]
    if "convs_encoder" in unet:
        kwargs[blocks] = [unet["convs_encoder"]] * stages
        kwargs["n_conv_per_stage_decoder"] = [unet["convs_decoder"]] * (stages - 1)
    if "max_patch_voxels" in unet:
        divisor = total_stride(kwargs["strides"])
        patch = shrink_patch(
            configuration["patch_size"], divisor=divisor, max_voxels=unet["max_patch_voxels"]
        )
        configuration["patch_size"] = list(patch)
    configuration["batch_size"] = unet.get("batch_size", configuration["batch_size"])
