"""Self-attention over the deepest feature map, with convolutions for its projections."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvolutionalSelfAttention(nn.Module):
    """Every place of a feature map gathers from all others, and adds what it finds.

    Queries, keys and values come from depthwise convolutions, which tell each place its
    surroundings and make a position code needless (Wu et al., "CvT", ICCV 2021). The factor on
    what is added starts at 0: the network begins as it would be without.
    """

    def __init__(self, channels: int, *, dimension: int, num_heads: int = 4) -> None:
        """Takes as many attention heads as divide the channels, at most `num_heads`."""
        super().__init__()
        convolution = nn.Conv3d if dimension == 3 else nn.Conv2d
        norm = nn.InstanceNorm3d if dimension == 3 else nn.InstanceNorm2d
        self.num_heads = max(count for count in range(1, num_heads + 1) if channels % count == 0)
        self.norm = norm(channels, affine=True)
        self.surroundings = convolution(channels, channels, 3, padding=1, groups=channels)
        self.projections = convolution(channels, 3 * channels, 1)
        self.output = convolution(channels, channels, 1)
        self.factor = nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, *spatial) → (B, C, *spatial)."""
        normed = self.norm(features)
        projected = self.projections(self.surroundings(normed) + normed)
        query, key, value = (self._tokens(part) for part in projected.chunk(3, dim=1))
        gathered = functional.scaled_dot_product_attention(query, key, value)
        gathered = gathered.transpose(-1, -2).reshape(features.shape)
        return features + self.factor * self.output(gathered)

    def _tokens(self, features: Tensor) -> Tensor:
        """(B, C, *spatial) → (B, heads, places, C / heads)."""
        batch, channels = features.shape[:2]
        split = features.reshape(batch, self.num_heads, channels // self.num_heads, -1)
        return split.transpose(-1, -2)
