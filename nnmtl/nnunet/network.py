"""The class that plans name: nnU-Net's U-Net with biomarker heads, built from JSON."""

import pydoc
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from torch import nn

from nnmtl.errors import NnmtlError
from nnmtl.network.multitask_unet import MultiTaskUNet
from nnmtl.network.self_attention import ConvolutionalSelfAttention
from nnmtl.network.tower import BiomarkerTower
from nnmtl.nnunet.allowed_names import UNETS
from nnmtl.planning.architecture import ArchitecturePlan, parse_architecture


class PlannedMultiTaskUNet(MultiTaskUNet):
    """nnU-Net's planned U-Net, handed to `MultiTaskUNet` with a tower built from the plans."""

    def __init__(
        self,
        *,
        input_channels: int,
        num_classes: int,
        unet_class_name: str,
        multitask: dict[str, Any],
        **unet_kwargs: Any,
    ) -> None:
        plan = parse_architecture(multitask)
        unet = _unet_class(unet_class_name)(
            input_channels=input_channels, num_classes=num_classes, **unet_kwargs
        )
        tower = BiomarkerTower(
            plan,
            stage_channels=_stage_channels(unet.encoder.output_channels),
            input_channels=input_channels,
        )
        super().__init__(
            encoder=unet.encoder,
            decoder=unet.decoder,
            tower=tower,
            plan=plan,
            head_encoder=None if plan.shared_encoder else deepcopy(unet.encoder),
            bottleneck=_bottleneck(plan, channels=int(unet.encoder.output_channels[-1])),
        )
        self._initialize_unet = type(unet).initialize
        self._tower_modules = set(self.tower.modules())

    def initialize(self, module: nn.Module) -> None:
        """nnU-Net applies this to every submodule; the tower keeps its own initialization."""
        if module is not self and module not in self._tower_modules:
            self._initialize_unet(module)


def _bottleneck(plan: ArchitecturePlan, *, channels: int) -> nn.Module | None:
    if not plan.self_attention:
        return None
    return ConvolutionalSelfAttention(channels, dimension=len(plan.spacing_mm))


def _unet_class(name: str) -> Any:
    """Stock nnU-Net builds this network too, and checks no name in the plans."""
    if name not in UNETS:
        raise NnmtlError(
            f"plans: arch_kwargs['unet_class_name'] names {name!r}, which nnMTL does not load; "
            f"expected one of {', '.join(sorted(UNETS))}."
        )
    return pydoc.locate(name)


def _stage_channels(channels: Sequence[int]) -> list[int]:
    return [int(number) for number in channels]
