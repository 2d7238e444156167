"""Batches of tumor-centered regions of interest, loaded by nnU-Net's own loader."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from batchgenerators.dataloading.single_threaded_augmenter import SingleThreadedAugmenter
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from batchgeneratorsv2.transforms.intensity.brightness import (
    MultiplicativeBrightnessTransform,
)
from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.random import RandomTransform
from batchgeneratorsv2.transforms.utils.remove_label import RemoveLabelTansform
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetBaseDataset
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from numpy.typing import NDArray

from nnmtl.inference.roi import roi_box, roi_center
from nnmtl.nnunet.center_mix import CenterMix

SHIFT_VOXELS = 3  # how far a predicted tumor's center may be off


class RoiLoader(nnUNetDataLoader):
    """nnU-Net's loader, with the patch placed on the tumor instead of drawn at random."""

    def __init__(
        self,
        data: nnUNetBaseDataset,
        *,
        batch_size: int,
        roi_size: Sequence[int],
        label_manager: LabelManager,
        tumor_labels: Sequence[int],
        transforms: BasicTransform,
        shift_voxels: int,
        chances: Sequence[float] | None = None,
    ) -> None:
        super().__init__(
            data,
            batch_size,
            roi_size,
            roi_size,
            label_manager,
            1.0,
            sampling_probabilities=chances,
            transforms=transforms,
        )
        self.tumor_labels = tumor_labels
        self.shift_voxels = shift_voxels

    def draw_by(self, case_ids: Sequence[str], shares: NDArray[np.float64] | None) -> None:
        """Draws each of the loader's cases with its share, which sum to 1; None: all alike."""
        if shares is not None:
            share_of = dict(zip(case_ids, shares.tolist(), strict=True))
            self.sampling_probabilities = [share_of[str(case)] for case in self.indices]

    def get_bbox(
        self,
        data_shape: np.ndarray,
        force_fg: bool,
        class_locations: dict[Any, Any] | None,
        overwrite_class: int | tuple[int, ...] | None = None,
        verbose: bool = False,
    ) -> tuple[list[int], list[int]]:
        """The region of interest around the tumor, or around the image's middle without one."""
        center = tumor_center(class_locations or {}, self.tumor_labels)
        if center is None:
            center = tuple(int(size) // 2 for size in data_shape)
        shift = np.random.randint(-self.shift_voxels, self.shift_voxels + 1, len(center))  # noqa: NPY002 nnU-Net's stream
        if self.patch_size_was_2d:
            shift[0] = 0
        moved = [int(middle + step) for middle, step in zip(center, shift, strict=True)]
        box = roi_box(moved, self.patch_size)
        return [first for first, _ in box], [last for _, last in box]


def tumor_center(
    class_locations: dict[Any, Any], tumor_labels: Sequence[int]
) -> tuple[int, ...] | None:
    """The tumor's middle from nnU-Net's sampled foreground coordinates; None without a tumor."""
    found = [
        np.asarray(coordinates)[:, 1:]
        for label, coordinates in class_locations.items()
        if len(coordinates) and not isinstance(label, tuple) and int(label) in tumor_labels
    ]
    return roi_center(np.concatenate(found)) if found else None


def batch_of(loader: RoiLoader, case_ids: Sequence[str]) -> dict[str, Any]:
    """These cases, in this order, instead of cases that are drawn."""
    drawn, loader.get_indices = loader.get_indices, lambda: list(case_ids)
    size, loader.batch_size = loader.batch_size, len(case_ids)
    try:
        batch: dict[str, Any] = loader.generate_train_batch()
    finally:
        loader.get_indices, loader.batch_size = drawn, size
    return batch


def roi_batches(loader: CenterMix) -> SingleThreadedAugmenter:
    """Endless batches, made in this process."""
    return SingleThreadedAugmenter(loader, None)


def training_transforms(dimension: int) -> BasicTransform:
    """Mirroring and a mild gain: nothing that changes sizes or the relations of intensities."""
    return ComposeTransforms(
        [
            RandomTransform(
                MultiplicativeBrightnessTransform(
                    multiplier_range=(0.9, 1.1), synchronize_channels=False, p_per_channel=1
                ),
                apply_probability=0.3,
            ),
            MirrorTransform(allowed_axes=tuple(range(dimension))),
            RemoveLabelTansform(-1, 0),
        ]
    )


def plain_transforms() -> BasicTransform:
    """What validation sees."""
    return RemoveLabelTansform(-1, 0)
