"""nnU-Net's plan plus ours: regions, region of interest, heads, losses, schedule."""

import contextlib
import io
import logging
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

from nnmtl.cohort.declaration import Declaration
from nnmtl.cohort.group_geometry import CohortGeometry, cohort_geometry
from nnmtl.cohort.targets import read_targets
from nnmtl.errors import NnmtlError
from nnmtl.nnunet.cohort_files import (
    FINGERPRINT,
    TARGETS,
    read_declaration,
    read_json,
    write_json,
)
from nnmtl.nnunet.cohort_plan import add_centers, balanced_fingerprint, has_center_grids
from nnmtl.nnunet.folders import preprocessed_folder, raw_folder
from nnmtl.nnunet.multitask_plan import add_multitask
from nnmtl.nnunet.orientation import READABLE, REORIENTING
from nnmtl.nnunet.split_files import write_center_splits, write_splits
from nnmtl.planning.budget import Budget, within_budget
from nnmtl.planning.center_configuration import is_of_center
from nnmtl.planning.center_plan import Decision
from nnmtl.planning.preset import Preset, load_preset, planned_biomarkers, plans_name
from nnmtl.planning.rules import (
    shrink_patch,
    total_stride,
)
from nnmtl.planning.spacing import BANDS

logger = logging.getLogger(__name__)

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
        # One grid for all is what there is without biomarkers or several centers.
        level = logging.DEBUG if BANDS[policy] == 1 else logging.WARNING
        if not self.declaration.biomarkers:
            logger.log(level, "spacing_policy %s: without biomarkers nnU-Net's plan stays.", policy)
            return None
        geometry = cohort_geometry(self.facts, where=FINGERPRINT)
        if not has_center_grids(geometry, self.preset):
            logger.log(
                level, "spacing_policy %s: has no effect on 2D images or a single center.", policy
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
