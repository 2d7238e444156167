"""A picture of the phantom: four kinds of tumor at every center."""

import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from nnmtl.phantom.anatomy import build_scene
from nnmtl.phantom.centers import CENTERS
from nnmtl.phantom.labels import HER2_CATEGORIES, Labels
from nnmtl.phantom.nuisance import sample_nuisance
from nnmtl.phantom.presets import PRESETS
from nnmtl.phantom.render import render
from nnmtl.phantom.traits import TRAIT_NAMES, trait_means

# (ER, PR, HER2 category, Ki-67)
_PATIENTS: Mapping[str, tuple[int, int, str, float]] = MappingProxyType(
    {
        "luminal A": (1, 1, "low", 0.08),
        "luminal B": (1, 0, "zero", 0.35),
        "HER2": (0, 0, "positive", 0.40),
        "triple negative": (0, 0, "zero", 0.70),
    }
)
_SEED = 20


def draw_montage(path: Path, *, seed: int = _SEED) -> None:
    """Draws the slice through the tumor's middle, one row per patient and column per center.

    Traits are those expected in the preset `easy`, so that the kinds of tumor look typical.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.6 * len(CENTERS), 2.75 * len(_PATIENTS)), layout="constrained")
    axes = figure.subplots(len(_PATIENTS), len(CENTERS))
    for row, (name, patient) in enumerate(_PATIENTS.items()):
        for column, center in enumerate(CENTERS):
            axis = axes[row, column]
            image, label_map, middle_mm = _patient_at(patient, center, seed + row)
            spacing_mm = CENTERS[center].spacing_mm
            index = round(middle_mm / spacing_mm[0])
            window = np.percentile(image, (0, 99.98))
            axis.imshow(image[index], cmap="gray", vmin=window[0], vmax=window[1], aspect="equal")
            axis.contour(label_map[index], levels=[0.5], colors="tab:red", linewidths=0.7)
            axis.set_title(f"{name}, center {center}", fontsize=9)
            axis.set_axis_off()
    figure.suptitle("SYNTHETIC PHANTOM - NOT PATIENT DATA", fontsize=10)
    figure.savefig(path, dpi=110)


def _patient_at(
    patient: tuple[int, int, str, float], center: str, seed: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Image and label map of the same patient at a center, and the tumor's Z in mm."""
    er, pr, her2, ki67 = patient
    labels = Labels(
        er=np.array([er]),
        pr=np.array([pr]),
        her2=np.array([HER2_CATEGORIES.index(her2)]),
        ki67=np.array([ki67]),
    )
    preset = PRESETS["easy"]
    traits = trait_means(labels, strength=preset.strength)[0]
    nuisance = sample_nuisance(
        np.random.default_rng(seed), preset=preset, center=CENTERS[center], traits=traits
    )
    scene = build_scene(
        np.random.default_rng(seed + 1),
        traits=dict(zip(TRAIT_NAMES, traits.tolist(), strict=True)),
        nuisance=nuisance,
    )
    image, label_map = render(
        np.random.default_rng(seed + 2), scene, center=CENTERS[center], nuisance=nuisance
    )
    return image, label_map, nuisance.center_mm[0]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m nnmtl.phantom.montage OUT.png")
    draw_montage(Path(sys.argv[1]))
