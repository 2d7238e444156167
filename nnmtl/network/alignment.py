"""Takes from image measurements what is the scanner's: each center's mean and spread.

Which center an image is from is read off the measurements themselves, so that nobody has to name
it: an image of a new center is aligned as those of the centers that it looks like. Location and
scale of each center are what harmonization by ComBat removes, too (Johnson et al., Biostatistics
2007; in radiomics Orlhac et al., J Nucl Med 2018).
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold
from torch import Tensor, nn

from nnmtl.network.ridge import fit_ridge

FEWEST_PATIENTS = 20  # of a center, or its mean is noise
PRIOR_CASES = 10.0  # how many cases at mean 0 and spread 1 each center is shrunk by
SHARPNESS = 8.0  # scores are about 0 and 1: the odds of a clear case are exp(8)
FOLDS = 5
PENALTIES = (100.0, 1000.0, 10000.0)
LIMIT = 4.0


class CenterAlignment(nn.Module):
    """Standardized measurements → the same against those of similar scanners."""

    weight: Tensor
    bias: Tensor
    means: Tensor
    spreads: Tensor
    is_fitted: Tensor

    def __init__(self, num_features: int, num_centers: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(num_centers, num_features))
        self.register_buffer("bias", torch.zeros(num_centers))
        self.register_buffer("means", torch.zeros(num_centers, num_features))
        self.register_buffer("spreads", torch.ones(num_centers, num_features))
        self.register_buffer("is_fitted", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def fit(self, features: Tensor, centers: Sequence[str], patients: Sequence[str]) -> None:
        """Learns how the centers differ; with fewer than two of enough patients nothing is aligned.

        Args:
            features: (N, F) standardized, of training cases.
            centers: (N,) of each row.
            patients: (N,) of each row.
        """
        self.is_fitted.fill_(value=False)  # another fit was for another standardization
        known = _large_centers(centers, patients, at_most=len(self.bias))
        if len(known) < 2:
            return
        values = features.double().cpu().numpy()
        membership = (np.array(centers)[:, None] == np.array(known)).astype(float)
        folds = list(GroupKFold(FOLDS).split(values, groups=np.array(patients)))
        ridge = fit_ridge(values, membership, folds, PENALTIES)
        # Rows without a center are never the likeliest.
        absent = len(self.bias) - len(known)
        bias = np.concatenate([ridge.bias, np.full(absent, -np.inf)])
        self.bias.copy_(torch.from_numpy(bias))
        self.weight[: len(known)] = torch.from_numpy(ridge.weight).to(self.weight)
        for row, member in enumerate(membership.T.astype(bool)):
            mean, spread = _shrunken(values[member])
            self.means[row] = torch.from_numpy(mean).to(self.means)
            self.spreads[row] = torch.from_numpy(spread).to(self.spreads)
        self.is_fitted.fill_(value=True)

    def forward(self, features: Tensor) -> Tensor:
        """(B, F) → (B, F), within ±4."""
        scores = features @ self.weight.T + self.bias
        shares = torch.softmax(SHARPNESS * scores, dim=1)
        aligned = (features - shares @ self.means) / (shares @ self.spreads)
        return torch.where(self.is_fitted, aligned.clamp(-LIMIT, LIMIT), features)


def _large_centers(centers: Sequence[str], patients: Sequence[str], *, at_most: int) -> list[str]:
    """Names of the largest centers with enough patients, sorted."""
    counts = Counter(center for center, _ in set(zip(centers, patients, strict=True)))
    largest = sorted(counts, key=lambda center: (-counts[center], center))[:at_most]
    return sorted(center for center in largest if counts[center] >= FEWEST_PATIENTS)


def _shrunken(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation (F,) of a center's rows (N, F), shrunk to 0 and 1."""
    trust = len(values) / (len(values) + PRIOR_CASES)
    return trust * values.mean(0), np.sqrt(trust * values.var(0) + 1 - trust)
