"""Regions that a case goes without in training, so that no head leans on one of them alone."""

import torch
from torch import Tensor, nn


class RegionDropout(nn.Module):
    """Zeroes all features of a region, in training; one region of every case always stays.

    Features that stay are divided by the probability of staying, so that their mean is that of
    prediction. With probability 0 nothing is drawn.
    """

    def __init__(self, p: float) -> None:
        """`p` is the probability of dropping a region, from 0 to below 1."""
        super().__init__()
        self.p = p

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, R, *features) → the same shape."""
        if not self.training or self.p == 0:
            return tokens
        num_cases, num_regions = tokens.shape[:2]
        stays = torch.rand(num_cases, num_regions) >= self.p
        spared = torch.randint(num_regions, (num_cases, 1))  # stays where all would go
        stays |= (torch.arange(num_regions) == spared) & ~stays.any(1, keepdim=True)
        p_stays = 1 - self.p + self.p**num_regions / num_regions
        factor = (stays / p_stays).to(tokens)
        return tokens * factor.view(num_cases, num_regions, *[1] * (tokens.ndim - 2))
