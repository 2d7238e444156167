"""The exact posterior of the biomarkers given the traits, by enumeration."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nnmtl.phantom.labels import HER2_POSITIVE, KI67_EDGES, label_grid
from nnmtl.phantom.traits import trait_means

_PATIENTS_AT_ONCE = 4096


@dataclass(frozen=True, kw_only=True, eq=False)
class Posterior:
    """What an observer of the true traits knows of N patients, and nobody can know more.

    Attributes:
        er: (N,) probability of being positive.
        pr: (N,) probability of being positive.
        her2: (N, 3) probabilities of zero, low, positive.
        ki67: (N, 60) probabilities of the bins of labels.KI67_EDGES.
    """

    er: npt.NDArray[np.float64]
    pr: npt.NDArray[np.float64]
    her2: npt.NDArray[np.float64]
    ki67: npt.NDArray[np.float64]

    @property
    def her2_positive(self) -> npt.NDArray[np.float64]:
        """(N,) probability of HER2 positive."""
        return self.her2[:, HER2_POSITIVE]

    def ki67_median(self) -> npt.NDArray[np.float64]:
        """(N,) posterior median, 0 to 1, interpolated inside its bin; it minimizes the MAE."""
        cumulative = np.cumsum(self.ki67, axis=1)
        row = np.arange(len(self.ki67))
        bin_ = np.minimum(np.sum(cumulative < 0.5, axis=1), self.ki67.shape[1] - 1)
        below = cumulative[row, bin_] - self.ki67[row, bin_]
        inside = np.clip((0.5 - below) / self.ki67[row, bin_], 0, 1)
        median: npt.NDArray[np.float64] = KI67_EDGES[bin_] + inside * (
            KI67_EDGES[bin_ + 1] - KI67_EDGES[bin_]
        )
        return median

    def ki67_above(self, cutoff: float) -> npt.NDArray[np.float64]:
        """(N,) probability of at least this share, 0 to 1; bins are cut proportionally."""
        covered = np.clip((KI67_EDGES[1:] - cutoff) / np.diff(KI67_EDGES), 0, 1)
        above: npt.NDArray[np.float64] = self.ki67 @ covered
        return above


def posterior(
    traits: npt.NDArray[np.float64],
    *,
    strength: float,
    group_shares: tuple[float, ...],
    rows: tuple[int, ...],
) -> Posterior:
    """The posterior given some of the traits, p(y) N(u; strength * A t(y), I), normalized.

    Args:
        traits: (N, 8) true traits.
        strength: of the preset.
        group_shares: prior of labels.GROUPS where the patients come from.
        rows: the traits that the observer sees; none leaves the prior.
    """
    parts = [
        _joint(traits[start : start + _PATIENTS_AT_ONCE], strength, group_shares, rows)
        for start in range(0, len(traits), _PATIENTS_AT_ONCE)
    ]
    return Posterior(
        er=np.concatenate([part[:, 1].sum(axis=(1, 2, 3)) for part in parts]),
        pr=np.concatenate([part[:, :, 1].sum(axis=(1, 2, 3)) for part in parts]),
        her2=np.concatenate([part.sum(axis=(1, 2, 4)) for part in parts]),
        ki67=np.concatenate([part.sum(axis=(1, 2, 3)) for part in parts]),
    )


def _joint(
    traits: npt.NDArray[np.float64],
    strength: float,
    group_shares: tuple[float, ...],
    rows: tuple[int, ...],
) -> npt.NDArray[np.float64]:
    """(N, ER, PR, HER2, Ki-67 bin) posterior probabilities."""
    means, log_prior = _grid(strength, group_shares)
    seen, expected = traits[:, rows], means[:, rows]
    # |u|^2 is the same for every combination, so it cancels in the normalization.
    log_joint = seen @ expected.T + (log_prior - (expected**2).sum(axis=1) / 2)
    joint = np.exp(log_joint - log_joint.max(axis=1, keepdims=True))
    joint /= joint.sum(axis=1, keepdims=True)
    return joint.reshape(len(traits), 2, 2, 3, -1)


@lru_cache(maxsize=16)
def _grid(
    strength: float, group_shares: tuple[float, ...]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Expected traits (M, 8) of every combination of biomarkers, and its log prior (M,)."""
    labels, prior = label_grid(group_shares)
    with np.errstate(divide="ignore"):  # impossible combinations have the log prior -inf
        return trait_means(labels, strength=strength), np.log(prior)
