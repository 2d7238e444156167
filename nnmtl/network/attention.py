"""Multi-scale spatial attention: where to look, agreed on by several encoder stages."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class SpatialAttention(nn.Module):
    """One attention map from a feature map, after CBAM (Woo et al., ECCV 2018), in 2D or 3D.

    The convolution reads the channel mean and maximum. It starts at zero, so that training starts
    from even attention.
    """

    def __init__(self, dimension: int, *, kernel_size: int = 3) -> None:
        super().__init__()
        convolution = nn.Conv3d if dimension == 3 else nn.Conv2d
        self.convolution = convolution(2, 1, kernel_size, padding=kernel_size // 2)
        for parameter in self.convolution.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, *spatial) → logits (B, 1, *spatial)."""
        summary = torch.cat([features.mean(1, keepdim=True), features.amax(1, keepdim=True)], 1)
        return self.convolution(summary)


class MultiScaleAttention(nn.Module):
    """Attention maps of several stages, fused by learned weights and applied to each stage.

    The factor is 2·sigmoid, hence exactly 1 at the start.
    """

    def __init__(self, num_stages: int, *, dimension: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(SpatialAttention(dimension) for _ in range(num_stages))
        self.fusion = nn.Parameter(torch.zeros(num_stages))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Stage features (B, C_s, *spatial_s), fine to coarse → the same, weighted."""
        logits = [stage(feature) for stage, feature in zip(self.stages, features, strict=True)]
        share = torch.softmax(self.fusion, 0)
        weighted = []
        for feature in features:
            maps = [_resize(logit, feature.shape[2:]) for logit in logits]
            fused = torch.stack([share[i] * one for i, one in enumerate(maps)]).sum(0)
            weighted.append(feature * 2 * torch.sigmoid(fused))
        return weighted


def _resize(logit: Tensor, spatial: torch.Size) -> Tensor:
    if logit.shape[2:] == spatial:
        return logit
    mode = "trilinear" if len(spatial) == 3 else "bilinear"
    return functional.interpolate(logit, size=tuple(spatial), mode=mode, align_corners=False)
