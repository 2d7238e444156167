"""The grid and patch that all centers share, and what a patch costs in memory."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nnmtl.planning.rules import total_stride


@dataclass(frozen=True, kw_only=True)
class Topology:
    """What the shared weights fix: every tuple has one entry per axis.

    Attributes:
        spacing_mm: voxel size of the shared grid.
        strides: per stage and axis.
        patch_size: voxels of its patch.
        batch_size: patches per batch.
        max_patch_voxels: the memory budget of one patch.
        budget: where that comes from, in words.
    """

    spacing_mm: tuple[float, ...]
    strides: tuple[tuple[int, ...], ...]
    patch_size: tuple[int, ...]
    batch_size: int
    max_patch_voxels: int
    budget: str

    @property
    def divisor(self) -> tuple[int, ...]:
        """Product of the strides per axis, of which every size is a multiple."""
        return total_stride(self.strides)


def feature_map_size(
    patch_size: Sequence[int],
    strides: Sequence[Sequence[int]],
    *,
    features: Sequence[int],
    num_classes: int,
    convolutions: int = 2,
) -> int:
    """Values in all feature maps of nnU-Net's plain U-Net, by which it estimates memory.

    Each stage has as many convolutions in the encoder as in the decoder, where one more value per
    feature comes from the transposed convolution; the deepest stage is in the encoder only.
    (Isensee et al. 2021; `PlainConvUNet.compute_conv_feature_map_size`.)

    Args:
        patch_size: voxels per axis.
        strides: per stage and axis.
        features: channels per stage.
        num_classes: outputs of the segmentation.
        convolutions: per stage and side.
    """
    size, total = list(patch_size), 0
    for stage, (stride, channels) in enumerate(zip(strides, features, strict=True)):
        size = [voxels // step for voxels, step in zip(size, stride, strict=True)]
        is_deepest = stage == len(strides) - 1
        maps = convolutions if is_deepest else 2 * convolutions + 1
        total += maps * channels * math.prod(size)
    return total + num_classes * math.prod(patch_size)
