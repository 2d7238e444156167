"""Batches of patches and of regions of interest: a loader per grid, of the cases on it.

`_patch_loader` and `_augmenter` rewrite `nnUNetTrainer.get_dataloaders` of nnU-Net 2.8.1 (Isensee
et al., Apache-2.0; Copyright 2020 Division of Medical Image Computing, German Cancer Research
Center), which builds a loader for one patch size. Changed: built on each grid, and mixed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from batchgenerators.dataloading.nondet_multi_threaded_augmenter import (
    NonDetMultiThreadedAugmenter,
)
from batchgenerators.dataloading.single_threaded_augmenter import SingleThreadedAugmenter
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from nnunetv2.preprocessing.resampling.default_resampling import compute_new_shape
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA

from nnmtl.errors import NnmtlError
from nnmtl.nnunet.center_mix import CenterMix, GridCases, cases_by_grid
from nnmtl.nnunet.grids import Grid
from nnmtl.nnunet.roi_loader import RoiLoader

if TYPE_CHECKING:
    from nnmtl.nnunet.trainer import nnMTLTrainer


def patch_loaders(trainer: "nnMTLTrainer") -> tuple[Any, Any]:
    """Training and validation batches of patches, each batch on one grid.

    Raises:
        NnmtlError: if the arrays were made for other grids.
    """
    train, validation = trainer.get_tr_and_val_datasets()
    for dataset in (train, validation):
        for part in _parts(trainer, dataset):
            check_arrays(dataset, part, trainer.plans_manager.transpose_forward)
    allowed = get_allowed_n_proc_DA()
    loaders = (
        _augmenter(_mix(trainer, train, is_training=True), allowed, allowed // 2, 6, trainer),
        _augmenter(
            _mix(trainer, validation, is_training=False), allowed // 2, allowed // 4, 3, trainer
        ),
    )
    for loader in loaders:
        next(loader)  # starts the workers
    return loaders


def roi_loaders(
    trainer: "nnMTLTrainer", dataset: Any, transforms: BasicTransform, shift_voxels: int
) -> CenterMix:
    """Batches of regions of interest, each batch on one grid."""
    parts = _parts(trainer, dataset)
    loaders = [
        RoiLoader(
            _subset(trainer, dataset, part.case_ids),
            batch_size=trainer.plan.roi_batch_size,
            roi_size=part.grid.roi_size,
            label_manager=trainer.label_manager,
            tumor_labels=trainer.declaration.tumor_labels,
            transforms=transforms,
            shift_voxels=shift_voxels,
            chances=part.chances,
        )
        for part in parts
    ]
    return CenterMix(loaders, [part.share for part in parts])


def check_arrays(dataset: Any, part: GridCases, transpose_forward: Sequence[int]) -> None:
    """Refuses arrays of another voxel size: a case's center may have changed since they were made.

    Raises:
        NnmtlError: naming the first such case.
    """
    for case_id in part.case_ids:
        data, _, _, properties = dataset.load_case(case_id)
        native = [properties["spacing"][axis] for axis in transpose_forward]
        cropped = properties["shape_after_cropping_and_before_resampling"]
        spacing = part.grid.spacing_mm
        if len(spacing) < len(native):  # in 2D slices stay as they are
            spacing = (native[0], *spacing)
        expected = [int(size) for size in compute_new_shape(cropped, native, spacing)]
        if list(data.shape[1:]) != expected:
            raise NnmtlError(
                f"{dataset.source_folder}: expected the case {case_id!r} with {expected} voxels, "
                f"as {part.grid.name} plans it, but it has {list(data.shape[1:])}; run "
                "nnMTL_preprocess again."
            )


def _parts(trainer: "nnMTLTrainer", dataset: Any) -> list[GridCases]:
    table = trainer.table
    center_of = dict(zip(table.case_ids, table.centers, strict=True))
    return cases_by_grid(
        dataset.identifiers,
        center_of.__getitem__,
        trainer.grids.of_center,
        is_balanced=trainer.plan.spacing_policy != "pooled",
    )


def _subset(trainer: "nnMTLTrainer", dataset: Any, case_ids: Sequence[str]) -> Any:
    """The same dataset with some of its cases."""
    return type(dataset)(trainer.preprocessed_dataset_folder, list(case_ids))


def _batch_size(trainer: "nnMTLTrainer", grid: Grid) -> int:
    """Patches per batch of this process: of several GPUs each has its part."""
    shared = trainer.grids.reference.manager.batch_size
    return max(1, round(trainer.batch_size * grid.manager.batch_size / shared))


def _mix(trainer: "nnMTLTrainer", dataset: Any, *, is_training: bool) -> CenterMix:
    parts = _parts(trainer, dataset)
    loaders = [_patch_loader(trainer, dataset, part, is_training=is_training) for part in parts]
    return CenterMix(loaders, [part.share for part in parts])


def _patch_loader(
    trainer: "nnMTLTrainer", dataset: Any, part: GridCases, *, is_training: bool
) -> nnUNetDataLoader:
    with _on(trainer, part.grid):
        patch_size = trainer.configuration_manager.patch_size
        scales = trainer._get_deep_supervision_scales()
        rotation, is_2d, first_size, mirror_axes = (
            trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        )
        labels = trainer.label_manager
        common = {
            "is_cascaded": trainer.is_cascaded,
            "foreground_labels": labels.foreground_labels,
            "regions": labels.foreground_regions if labels.has_regions else None,
            "ignore_label": labels.ignore_label,
        }
        if is_training:
            transforms = trainer.get_training_transforms(
                patch_size,
                rotation,
                scales,
                mirror_axes,
                is_2d,
                use_mask_for_norm=trainer.configuration_manager.use_mask_for_norm,
                **common,
            )
        else:
            transforms = trainer.get_validation_transforms(scales, **common)
        return nnUNetDataLoader(
            _subset(trainer, dataset, part.case_ids),
            _batch_size(trainer, part.grid),
            first_size if is_training else patch_size,
            patch_size,
            labels,
            oversample_foreground_percent=trainer.oversample_foreground_percent,
            sampling_probabilities=part.chances,
            pad_sides=None,
            transforms=transforms,
            probabilistic_oversampling=trainer.probabilistic_oversampling,
        )


@contextmanager
def _on(trainer: "nnMTLTrainer", grid: Grid) -> Iterator[None]:
    """Within it the trainer's configuration is the grid's."""
    shared = trainer.configuration_manager
    trainer.configuration_manager = grid.manager
    try:
        yield
    finally:
        trainer.configuration_manager = shared


def _augmenter(
    loader: CenterMix, processes: int, cached: int, least: int, trainer: "nnMTLTrainer"
) -> Any:
    """In this process, where nnU-Net is allowed no other, else in workers."""
    if get_allowed_n_proc_DA() == 0:
        return SingleThreadedAugmenter(loader, None)
    return NonDetMultiThreadedAugmenter(
        data_loader=loader,
        transform=None,
        num_processes=max(1, processes),
        num_cached=max(least, cached),
        seeds=None,
        pin_memory=trainer.device.type == "cuda",
        wait_time=0.002,
    )
