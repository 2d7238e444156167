"""What a voxel's surroundings look like, averaged over a region: a distribution, not its margins.

Quantiles of one filter after the other do not tell which responses come together: bright over 1 mm
and dark over 4 mm is a vessel, bright over both is a lesion. The mean of many random cosines of the
joint responses does. It is the kernel mean embedding of their distribution (Muandet et al.,
"Kernel mean embedding of distributions", 2017) with random features (Rahimi and Recht, NeurIPS
2007), on which a linear head is distribution regression.
"""

import math

import torch
from torch import Tensor, nn

from nnmtl.network.filters import BRIGHT_MM, DARK_MM, SCALES_MM, FilterBank
from nnmtl.network.intensity import MIN_WEIGHT

NUM_RESPONSES = 2 + len(SCALES_MM) - 1 + len(BRIGHT_MM) + 1 + len(DARK_MM)
BANDWIDTHS = (0.3, 0.8)  # coarse and fine, in inverse standard deviations of a response
PER_BANDWIDTH = 96
PER_REGION = len(BANDWIDTHS) * PER_BANDWIDTH
MAX_VOXELS = 16384  # a region's mean over a tenth of them is within .02 of its mean over all
LIMIT = 4.0
SEED = 1  # one network is like the next, however its training is seeded

# About the mean and spread of each kind of response; the level has no unit, so they hold for any
# scanner, and a factor of two would only change the bandwidth.
_LEVEL, _BAND, _TOP_HAT = (-0.5, 0.6), (0.0, 0.15), (0.1, 0.1)


class LocalPatterns(nn.Module):
    """A filtered image and soft regions → mean random cosines of the joint filter responses."""

    directions: Tensor
    phases: Tensor
    means: Tensor
    spreads: Tensor

    def __init__(self) -> None:
        super().__init__()
        drawn = torch.Generator().manual_seed(SEED)
        shape = (NUM_RESPONSES, PER_BANDWIDTH)
        directions = [torch.randn(shape, generator=drawn) * width for width in BANDWIDTHS]
        self.register_buffer("directions", torch.cat(directions, 1))
        self.register_buffer("phases", 2 * math.pi * torch.rand(PER_REGION, generator=drawn))
        num_bands = len(SCALES_MM) - 1
        kinds = [_LEVEL] * 2 + [_BAND] * num_bands
        kinds += [_TOP_HAT] * (NUM_RESPONSES - len(kinds))
        self.register_buffer("means", torch.tensor([mean for mean, _ in kinds]))
        self.register_buffer("spreads", torch.tensor([spread for _, spread in kinds]))

    @torch.no_grad()
    def forward(self, bank: FilterBank, weights: Tensor) -> Tensor:
        """Soft regions (R, *spatial), none of them empty → (R, PER_REGION), each in -1 to 1."""
        weights = weights.flatten(1)
        chosen = (weights > MIN_WEIGHT).any(0).nonzero()[:, 0]
        chosen = chosen[:: 1 + len(chosen) // MAX_VOXELS]
        responses = torch.stack([image.flatten()[chosen] for image in _responses(bank)], 1)
        scaled = ((responses - self.means) / self.spreads).clamp(-LIMIT, LIMIT)
        share = weights[:, chosen]
        share = share / share.sum(1, keepdim=True).clamp_min(1e-6)
        return share @ torch.cos(scaled @ self.directions + self.phases)


def _responses(bank: FilterBank) -> tuple[Tensor, ...]:
    top_hats = (*bank.bright, bank.smooth_bright[-1], *bank.dark)
    return (*bank.log_level, *bank.bands, *top_hats)
