"""The image traits: the only way in which a patient's biomarkers reach the image.

A trait is normal with unit variance around a linear function of the biomarkers, so the posterior
of the biomarkers given the traits is exact, and no observer of the image can beat it.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from nnmtl.phantom.labels import HER2_CATEGORIES, HER2_POSITIVE, Labels

TraitRegion = Literal["core", "rim", "peri"]


@dataclass(frozen=True, kw_only=True)
class Trait:
    """One image property: where it shows, and how it depends on the biomarkers.

    Attributes:
        name: prefixed with the region's first letter.
        region: the only region in which the trait is visible.
        loadings: on centered ER, PR, HER2 positive, HER2 low, and standardized logit Ki-67.
    """

    name: str
    region: TraitRegion
    loadings: tuple[float, float, float, float, float]


TRAITS = (
    Trait(name="c_ktrans", region="core", loadings=(0.0, 0.0, 0.50, 0.0, 0.80)),
    Trait(name="c_hetero", region="core", loadings=(-0.55, -0.10, 0.0, 0.0, 0.30)),
    Trait(name="c_necro", region="core", loadings=(-0.45, 0.0, 0.10, 0.0, 0.25)),
    Trait(name="r_ratio", region="rim", loadings=(-1.0, -0.20, 0.0, 0.0, 0.30)),
    Trait(name="r_spic", region="rim", loadings=(0.35, 0.40, 0.0, 0.0, -0.15)),
    Trait(name="p_edema", region="peri", loadings=(-0.20, -0.90, 0.30, 0.0, 0.45)),
    Trait(name="p_vessel", region="peri", loadings=(0.0, 0.0, 1.6, 0.4, 0.15)),
    Trait(name="p_bpe", region="peri", loadings=(0.10, 0.80, -0.30, 0.0, 0.0)),
)
TRAIT_NAMES = tuple(trait.name for trait in TRAITS)
REGIONS: tuple[TraitRegion, ...] = ("core", "rim", "peri")
_LOADINGS = np.array([trait.loadings for trait in TRAITS])


def trait_means(labels: Labels, *, strength: float) -> npt.NDArray[np.float64]:
    """Expected traits (N, 8) of N patients; `strength` 0 makes them say nothing."""
    centered = np.stack(
        [
            labels.er - 0.5,
            labels.pr - 0.5,
            (labels.her2 == HER2_POSITIVE) - 0.18,
            (labels.her2 == HER2_CATEGORIES.index("low")) - 0.45,
            (logit(labels.ki67) + 1.15) / 1.15,
        ],
        axis=1,
    )
    means: npt.NDArray[np.float64] = strength * centered @ _LOADINGS.T
    return means


def sample_traits(
    rng: np.random.Generator, labels: Labels, *, strength: float
) -> npt.NDArray[np.float64]:
    """Draws the traits (N, 8) of N patients."""
    means = trait_means(labels, strength=strength)
    return means + rng.standard_normal(means.shape)


def rows_of_regions(regions: tuple[TraitRegion, ...]) -> tuple[int, ...]:
    """The indices of the traits that show in these regions."""
    return tuple(row for row, trait in enumerate(TRAITS) if trait.region in regions)


def traits_sha256() -> str:
    """A fingerprint of the loadings, by which cohorts of different trait models are told apart."""
    text = ";".join(f"{trait.name},{trait.region},{trait.loadings}" for trait in TRAITS)
    return hashlib.sha256(text.encode()).hexdigest()
