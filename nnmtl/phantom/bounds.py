"""What the best possible observer reaches: bounds that no model of the image can beat."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from nnmtl.evaluation.discrimination import auc, macro_auc
from nnmtl.phantom.labels import HER2_POSITIVE, Labels, sample_labels
from nnmtl.phantom.posterior import Posterior, posterior
from nnmtl.phantom.presets import PRESETS, preset_named
from nnmtl.phantom.traits import REGIONS, TraitRegion, rows_of_regions, sample_traits

OBSERVERS: Mapping[str, tuple[TraitRegion, ...]] = MappingProxyType(
    {
        "all": REGIONS,
        "no peri": ("core", "rim"),
        "no rim": ("core", "peri"),
        "no core": ("rim", "peri"),
        "core only": ("core",),
        "rim only": ("rim",),
        "peri only": ("peri",),
    }
)


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The best that an observer of some regions' traits can reach on average.

    Attributes:
        auc_er: area under the ROC curve of ER.
        auc_pr: of PR.
        auc_her2: of HER2 positive against the rest.
        auc_her2_3: mean of zero, low and positive, each against the rest.
        mae_ki67: mean absolute error in points of Ki-67 (0 to 100).
        auc_ki67_20: of Ki-67 of at least 20 %.
    """

    auc_er: float
    auc_pr: float
    auc_her2: float
    auc_her2_3: float
    mae_ki67: float
    auc_ki67_20: float


def bayes_bounds(
    preset: str,
    regions: tuple[TraitRegion, ...] = REGIONS,
    *,
    center: str = "A",
    num_patients: int = 40_000,
    seed: int = 0,
) -> Bounds:
    """Bounds from the exact posterior of simulated patients of one center; no image is made.

    They hold for observers of the image because the image depends on the biomarkers through the
    traits alone. With fewer regions they bound observers of those traits: an image of the rim
    alone also shows c_ktrans, as the rim's transfer constant is a multiple of the core's.

    Args:
        preset: one of PRESETS.
        regions: whose traits the observer sees.
        center: where the patients come from; it sets the prevalence in the preset `shortcut`.
        num_patients: 40,000 give standard errors below .003.
        seed: of the simulated patients.

    Raises:
        NnmtlError: if there is no such preset.
    """
    settings = preset_named(preset)
    rng = np.random.default_rng(seed)
    shares = settings.shares_at(center)
    labels = sample_labels(rng, num_patients, group_shares=shares)
    known = posterior(
        sample_traits(rng, labels, strength=settings.strength),
        strength=settings.strength,
        group_shares=shares,
        rows=rows_of_regions(regions),
    )
    return _bounds(labels, known)


def _bounds(labels: Labels, known: Posterior) -> Bounds:
    is_her2_positive = labels.her2 == HER2_POSITIVE
    return Bounds(
        auc_er=float(auc(known.er, labels.er == 1)),
        auc_pr=float(auc(known.pr, labels.pr == 1)),
        auc_her2=float(auc(known.her2_positive, is_her2_positive)),
        auc_her2_3=float(macro_auc(known.her2, labels.her2)),
        mae_ki67=100 * float(np.mean(np.abs(known.ki67_median() - labels.ki67))),
        auc_ki67_20=float(auc(known.ki67_above(0.20), labels.ki67 >= 0.20)),
    )


def bounds_table(preset: str, *, num_patients: int = 40_000, seed: int = 0) -> str:
    """The bounds of every observer in OBSERVERS as a Markdown table."""
    lines = [
        f"| {preset} | ER | PR | HER2 | HER2 three-class | Ki-67 MAE | Ki-67 >= 20 % |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, regions in OBSERVERS.items():
        bounds = bayes_bounds(preset, regions, num_patients=num_patients, seed=seed)
        lines.append(
            f"| {name} | {bounds.auc_er:.3f} | {bounds.auc_pr:.3f} | {bounds.auc_her2:.3f} "
            f"| {bounds.auc_her2_3:.3f} | {bounds.mae_ki67:.1f} | {bounds.auc_ki67_20:.3f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for chosen in sys.argv[1:] or PRESETS:
        sys.stdout.write(bounds_table(chosen) + "\n")
