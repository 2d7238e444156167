"""One synthetic case: a function of preset, center, seed and index, and of nothing else."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnmtl.phantom.anatomy import build_scene
from nnmtl.phantom.centers import center_named
from nnmtl.phantom.labels import HER2_CATEGORIES, HER2_POSITIVE, Labels, sample_labels
from nnmtl.phantom.nuisance import Nuisance, sample_nuisance
from nnmtl.phantom.posterior import posterior
from nnmtl.phantom.presets import Preset, preset_named
from nnmtl.phantom.render import render
from nnmtl.phantom.traits import REGIONS, TRAIT_NAMES, rows_of_regions, sample_traits


@dataclass(frozen=True, kw_only=True, eq=False)
class PhantomCase:
    """An examination of a synthetic patient, with everything that is true about it.

    Attributes:
        image: (Z, Y, X) post-contrast image.
        label_map: (Z, Y, X) tumor 1, background 0.
        spacing_mm: voxel size in the order Z, Y, X.
        targets: the cells of targets.csv: ER, PR, HER2, HER2_3, Ki67 (in %).
        traits: by name.
        nuisance: what does not depend on the biomarkers.
        posterior: exact probabilities given the traits and the center's prevalence: p_ER, p_PR,
            p_HER2 (positive), p_HER2_zero, p_HER2_low, and Ki67_median in %.
    """

    image: npt.NDArray[np.int16]
    label_map: npt.NDArray[np.uint8]
    spacing_mm: tuple[float, float, float]
    targets: Mapping[str, str | int | float]
    traits: Mapping[str, float]
    nuisance: Nuisance
    posterior: Mapping[str, float]


def generate_case(preset: str, center: str, seed: int, index: int) -> PhantomCase:
    """Generates one case; equal arguments give equal cases, bit by bit.

    Args:
        preset: one of PRESETS.
        center: one of CENTERS.
        seed: of the cohort, not negative.
        index: of the case within center and cohort, not negative.

    Raises:
        NnmtlError: if there is no such preset or center.
    """
    settings, scanner = preset_named(preset), center_named(center)
    of_labels, of_traits, of_nuisance, of_scene, of_image = random_generators(
        preset, center, seed, index
    )
    labels = sample_labels(of_labels, 1, group_shares=settings.shares_at(center))
    traits = sample_traits(of_traits, labels, strength=settings.strength)
    nuisance = sample_nuisance(of_nuisance, preset=settings, center=scanner, traits=traits[0])
    named_traits = dict(zip(TRAIT_NAMES, traits[0].tolist(), strict=True))
    scene = build_scene(of_scene, traits=named_traits, nuisance=nuisance)
    image, label_map = render(of_image, scene, center=scanner, nuisance=nuisance)
    return PhantomCase(
        image=image,
        label_map=label_map,
        spacing_mm=scanner.spacing_mm,
        targets=_targets(labels),
        traits=named_traits,
        nuisance=nuisance,
        posterior=_posterior(traits, settings, center),
    )


def random_generators(preset: str, center: str, seed: int, index: int) -> list[np.random.Generator]:
    """One generator per step, so that a change in one step leaves the others' draws alone."""
    digest = hashlib.sha256(f"{preset}/{center}".encode()).digest()
    entropy = [seed, index, int.from_bytes(digest[:8], "little")]
    return [np.random.default_rng(child) for child in np.random.SeedSequence(entropy).spawn(5)]


def _targets(labels: Labels) -> dict[str, str | int | float]:
    her2 = int(labels.her2[0])
    return {
        "ER": int(labels.er[0]),
        "PR": int(labels.pr[0]),
        "HER2": int(her2 == HER2_POSITIVE),
        "HER2_3": HER2_CATEGORIES[her2],
        "Ki67": round(100 * float(labels.ki67[0]), 1),
    }


def _posterior(traits: npt.NDArray[np.float64], preset: Preset, center: str) -> dict[str, float]:
    exact = posterior(
        traits,
        strength=preset.strength,
        group_shares=preset.shares_at(center),
        rows=rows_of_regions(REGIONS),
    )
    zero, low, positive = exact.her2[0]
    return {
        "p_ER": float(exact.er[0]),
        "p_PR": float(exact.pr[0]),
        "p_HER2": float(positive),
        "p_HER2_zero": float(zero),
        "p_HER2_low": float(low),
        "Ki67_median": 100 * float(exact.ki67_median()[0]),
    }
