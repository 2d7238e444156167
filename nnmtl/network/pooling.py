"""Feature map and region weights → one vector per region: mean, spread and learned attention."""

import torch
from torch import Tensor, nn
from torch.nn import functional

EMPTY = 1e-4  # share of the volume below which a region counts as empty


def resize_weights(weights: Tensor, spatial: tuple[int, ...]) -> Tensor:
    """Average-pools fine region weights (B, R, *fine) to a stage's grid (B, R, *spatial).

    Averaging keeps the share of each coarse voxel that lies in the region; thresholding a coarse
    mask would lose a rim thinner than the voxel.
    """
    if len(spatial) == 3:
        return functional.adaptive_avg_pool3d(weights, spatial)
    return functional.adaptive_avg_pool2d(weights, spatial)  # type: ignore[arg-type]


class RegionPooling(nn.Module):
    """Mean, standard deviation and gated attention of the features of every region.

    The spread is pooled because heterogeneity is invisible to a mean; the attention follows Ilse
    et al., "Attention-based deep multiple instance learning", ICML 2018.
    """

    def __init__(self, channels: int, *, hidden: int = 8) -> None:
        super().__init__()
        self.value = nn.Linear(channels, hidden)
        self.gate = nn.Linear(channels, hidden)
        self.score = nn.Linear(hidden, 1)
        self.num_features = 3 * channels

    def forward(self, features: Tensor, weights: Tensor) -> Tensor:
        """(B, C, *spatial) and (B, R, *spatial) → (B, R, 3C); an empty region gives zeros."""
        voxels = features.flatten(2).transpose(1, 2)  # B V C
        shares = weights.flatten(2).to(voxels.dtype)  # B R V
        total = shares.sum(-1, keepdim=True)
        present = (total > EMPTY * shares.shape[-1]).to(voxels.dtype)
        shares = shares / total.clamp_min(1e-6)
        mean = shares @ voxels
        spread = (shares @ voxels.square() - mean.square()).clamp_min(1e-6).sqrt()
        attended = self._attention(voxels, shares) @ voxels
        return torch.cat([mean, spread, attended], dim=-1) * present

    def _attention(self, voxels: Tensor, shares: Tensor) -> Tensor:
        score = self.score(torch.tanh(self.value(voxels)) * torch.sigmoid(self.gate(voxels)))
        weight = shares * torch.exp(score.squeeze(-1).clamp(-8, 8)).unsqueeze(1)
        return weight / weight.sum(-1, keepdim=True).clamp_min(1e-6)
