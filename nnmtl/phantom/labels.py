"""The label model: how receptors and Ki-67 are distributed in a hospital's patients.

Sources: SEER-22 2017-21 and Howlader 2014 (groups), NCDB (hormone receptor patterns), published
HER2-low shares and Ki-67 distributions; the patterns of HER2-positive tumors are an assumption.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from scipy.stats import beta

GROUPS = ("HR+/HER2-", "HR+/HER2+", "HR-/HER2+", "HR-/HER2-")
HOSPITAL = (0.66, 0.12, 0.07, 0.15)
REGISTRY = (0.727, 0.103, 0.046, 0.124)

HER2_CATEGORIES = ("zero", "low", "positive")
HER2_POSITIVE = HER2_CATEGORIES.index("positive")

# (ER, PR) of the four patterns, in the order of _PATTERN_SHARES.
_PATTERNS = ((1, 1), (1, 0), (0, 1), (0, 0))
_PATTERN_SHARES: Mapping[str, tuple[float, float, float, float]] = MappingProxyType(
    {
        "HR+/HER2-": (0.877, 0.113, 0.010, 0.0),
        "HR+/HER2+": (0.70, 0.27, 0.03, 0.0),
        "HR-/HER2+": (0.0, 0.0, 0.0, 1.0),
        "HR-/HER2-": (0.0, 0.0, 0.0, 1.0),
    }
)
# P(zero, low, positive)
_HER2_SHARES: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        "HR+/HER2-": (0.40, 0.60, 0.0),
        "HR+/HER2+": (0.0, 0.0, 1.0),
        "HR-/HER2+": (0.0, 0.0, 1.0),
        "HR-/HER2-": (0.63, 0.37, 0.0),
    }
)
# Mixtures of (share, mean, concentration): Ki-67 ~ Beta(mean * conc, (1 - mean) * conc).
_KI67_MIXTURES: Mapping[str, tuple[tuple[float, float, float], ...]] = MappingProxyType(
    {
        "HR+/HER2-": ((0.60, 0.11, 14.0), (0.40, 0.32, 9.0)),
        "HR+/HER2+": ((1.0, 0.31, 8.0),),
        "HR-/HER2+": ((1.0, 0.38, 8.0),),
        "HR-/HER2-": ((1.0, 0.55, 6.0),),
    }
)
# Pathology reports no 0 % or 100 %, and the logit of Ki-67 must be finite.
_KI67_LIMITS = (0.01, 0.99)
_NUM_KI67_BINS = 60
# Equally wide in the logit, on which the traits depend; the end bins take the tails.
KI67_EDGES: npt.NDArray[np.float64] = expit(
    np.linspace(logit(_KI67_LIMITS[0]), logit(_KI67_LIMITS[1]), _NUM_KI67_BINS + 1)
)
KI67_MIDDLES: npt.NDArray[np.float64] = expit((logit(KI67_EDGES[1:]) + logit(KI67_EDGES[:-1])) / 2)


@dataclass(frozen=True, kw_only=True, eq=False)
class Labels:
    """The biomarkers of N patients.

    Attributes:
        er: (N,) 0 or 1.
        pr: (N,) 0 or 1.
        her2: (N,) index into HER2_CATEGORIES.
        ki67: (N,) share of stained nuclei, 0 to 1.
    """

    er: npt.NDArray[np.int64]
    pr: npt.NDArray[np.int64]
    her2: npt.NDArray[np.int64]
    ki67: npt.NDArray[np.float64]


def sample_labels(
    rng: np.random.Generator, num_patients: int, *, group_shares: tuple[float, ...] = HOSPITAL
) -> Labels:
    """Draws the biomarkers of patients whose groups have these shares."""
    group = rng.choice(len(GROUPS), size=num_patients, p=group_shares)
    pattern = _choose(rng, np.array([_PATTERN_SHARES[name] for name in GROUPS])[group])
    er, pr = np.array(_PATTERNS)[pattern].T
    return Labels(
        er=er,
        pr=pr,
        her2=_choose(rng, np.array([_HER2_SHARES[name] for name in GROUPS])[group]),
        ki67=_sample_ki67(rng, group),
    )


def label_grid(group_shares: tuple[float, ...]) -> tuple[Labels, npt.NDArray[np.float64]]:
    """Every combination of ER, PR, HER2 category and Ki-67 bin, and its prior probability.

    Returns:
        The M = 2 * 2 * 3 * 60 combinations, ER outermost and the Ki-67 bins innermost, and their
        prior (M,), which sums to 1.
    """
    er, pr, her2, ki67_bin = (
        axis.ravel() for axis in np.indices((2, 2, len(HER2_CATEGORIES), _NUM_KI67_BINS))
    )
    prior = np.zeros((2, 2, len(HER2_CATEGORIES), _NUM_KI67_BINS))
    for name, share in zip(GROUPS, group_shares, strict=True):
        her2_and_ki67 = np.outer(_HER2_SHARES[name], _ki67_bin_shares(name))
        for (has_er, has_pr), of_pattern in zip(_PATTERNS, _PATTERN_SHARES[name], strict=True):
            prior[has_er, has_pr] += share * of_pattern * her2_and_ki67
    return Labels(er=er, pr=pr, her2=her2, ki67=KI67_MIDDLES[ki67_bin]), prior.ravel()


def _choose(rng: np.random.Generator, shares: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """One index per row of `shares` (N, K), whose rows sum to 1."""
    uniform = rng.random((len(shares), 1))
    # The last bound is left out, so that rounding of the sum cannot lead past the last index.
    return np.sum(uniform >= np.cumsum(shares, axis=1)[:, :-1], axis=1)


def _sample_ki67(rng: np.random.Generator, group: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    ki67 = np.empty(len(group))
    for index, name in enumerate(GROUPS):
        rows = np.flatnonzero(group == index)
        shares, means, concentrations = np.array(_KI67_MIXTURES[name]).T
        component = _choose(rng, np.tile(shares, (len(rows), 1)))
        mean, concentration = means[component], concentrations[component]
        ki67[rows] = rng.beta(mean * concentration, (1 - mean) * concentration)
    return np.clip(ki67, *_KI67_LIMITS)


def _ki67_bin_shares(group: str) -> npt.NDArray[np.float64]:
    inner_edges = KI67_EDGES[1:-1]
    cumulative = sum(
        share * beta.cdf(inner_edges, mean * concentration, (1 - mean) * concentration)
        for share, mean, concentration in _KI67_MIXTURES[group]
    )
    shares: npt.NDArray[np.float64] = np.diff(cumulative, prepend=0.0, append=1.0)
    return shares
