"""What limits the biomarkers on the phantom: what is measured, or how many patients there are.

    python benchmarks/phantom_statistics.py [--preset reference] [--per-center 450] [--workers 2]

Generates patients of the centers A, B and D that no other benchmark uses, measures their images in
their true masks as the preset tiny_cpu does, and fits the heads' linear part; no encoder takes
part. Prints for each block of measurements, and for fewer training patients, the share of the exact
posterior's accuracy that is reached on the patients left out, and how well each trait of the
phantom is told.
"""

import argparse
import multiprocessing
from dataclasses import replace
from functools import cache, partial

import numpy as np

NOT_PLANNED = ("heads", "continuous_likelihood")  # a plan has the heads that come of them
CENTERS = ("A", "B", "D")
BINARY = ("ER", "PR", "HER2")
SEED = 777
SPACING_MM = (1.5, 1.0, 1.0)
ROI = (32, 48, 48)
TO_FIT = 200  # patients of each center, twice; all others are left out
FEWER = (34, 67, 134, 200)


def main() -> None:
    report(patients(describe, arguments_of(__doc__)), blocks())


def arguments_of(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--preset", default="reference")
    parser.add_argument("--per-center", type=int, default=450)
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def patients(describe, arguments: argparse.Namespace) -> dict[str, np.ndarray]:
    """What `describe` tells of (preset, (center, index)), as columns over all patients."""
    orders = [(center, index) for center in CENTERS for index in range(arguments.per_center)]
    with multiprocessing.get_context("spawn").Pool(arguments.workers) as pool:
        rows = pool.map(partial(describe, arguments.preset), orders, chunksize=8)
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


def describe(preset: str, order: tuple[str, int]) -> dict[str, object]:
    """One patient: what is measured, and what is true."""
    from nnmtl.phantom.case import generate_case

    center, index = order
    case = generate_case(preset, center, SEED, index)
    return {
        "center": center,
        "measured": measure(case),
        "traits": list(case.traits.values()),
        "labels": [float(case.targets[name]) for name in BINARY],
        "exact": [case.posterior[f"p_{name}"] for name in BINARY],
        "ki67": float(case.targets["Ki67"]),
        "exact_ki67": case.posterior["Ki67_median"],
    }


def measure(case) -> np.ndarray:
    import torch
    from scipy import ndimage

    from nnmtl.inference.roi import roi_box, roi_center

    torch.set_num_threads(1)
    zoom = [have / want for have, want in zip(case.spacing_mm, SPACING_MM, strict=True)]
    image = ndimage.zoom(case.image.astype(np.float32), zoom, order=3, mode="nearest")
    mask = ndimage.zoom(case.label_map.astype(np.float32), zoom, order=1, mode="nearest") > 0.5
    image, mask = crop(image, mask, roi_box(roi_center(np.argwhere(mask)), ROI))
    images, masks = torch.from_numpy(image)[None, None], torch.from_numpy(mask)[None]
    return network().measure(images, masks, SPACING_MM).statistics[0].float().numpy()


def crop(image, mask, box):
    """Both in the box; what lies outside the image is its edge continued, and no tumor."""
    pad = [(max(0, -start), max(0, stop - size)) for (start, stop), size in
           zip(box, image.shape, strict=True)]  # fmt: skip
    inside = tuple(slice(start + before, stop + before) for (start, stop), (before, _) in
                   zip(box, pad, strict=True))  # fmt: skip
    return np.pad(image, pad, mode="edge")[inside], np.pad(mask, pad)[inside]


@cache
def network():
    """Measures as tiny_cpu does; it has no encoder."""
    from torch import nn

    from nnmtl.network.multitask_unet import MultiTaskUNet

    tower = tower_of([])
    parts = {"encoder": nn.Identity(), "decoder": nn.Identity()}
    return MultiTaskUNet(tower=tower, plan=plan_of([]), **parts).eval()


def tower_of(heads, *, aligned: bool = True):
    from nnmtl.network.tower import BiomarkerTower

    plan = plan_of(heads, aligned=aligned)
    return BiomarkerTower(plan, stage_channels=(), input_channels=1)


def plan_of(heads, *, aligned: bool = True):
    from nnmtl.planning.architecture import parse_architecture
    from nnmtl.planning.preset import load_preset

    preset = load_preset("tiny_cpu").architecture
    cohort = {
        "spacing_mm": SPACING_MM,
        "tumor_labels": (1,),
        "num_centers": len(CENTERS) if aligned else 1,
        "covariates": (),
        "taps": (),
        "attention": "none",
    }
    kept = {key: value for key, value in preset.items() if key not in NOT_PLANNED}
    return replace(parse_architecture({**kept, **cohort, "heads": ()}), heads=tuple(heads))


def blocks() -> dict[str, np.ndarray]:
    """Name → columns of the measurements."""
    tower = tower_of([])
    intensity, structures = tower.intensity, tower.structures
    columns = np.arange(tower.num_statistics)
    first_spot = tower.num_of_image - structures.num_spots
    return {
        "intensities": columns[: intensity.num_features],
        "small structures": columns[intensity.num_features : first_spot],
        "without spots on shells": np.delete(columns, np.arange(first_spot, tower.num_of_image)),
        "all": columns,
    }


def report(table, parts) -> None:
    centers = table["center"]
    print(
        f"{3 * TO_FIT} patients to fit, {len(centers) - 3 * TO_FIT} left out; twice, then the mean"
    )
    for name, columns in parts.items():
        print(line(name, [evaluate(table, columns, split) for split in splits(centers, TO_FIT)]))
    everything = parts["all"]
    for name, changed in (
        ("all, centers not aligned", {"aligned": False}),
        ("all, each biomarker alone", {"together": False}),
    ):
        found = [evaluate(table, everything, split, **changed) for split in splits(centers, TO_FIT)]
        print(line(name, found))
    for number in FEWER:
        found = [evaluate(table, everything, split) for split in splits(centers, number)]
        print(line(f"all, {3 * number} patients", found))
    told = np.mean([traits_told(table, everything, split) for split in splits(centers, TO_FIT)], 0)
    from nnmtl.phantom.traits import TRAIT_NAMES

    print(
        "R2 of the traits:",
        *(f"{name} {r2:.2f}" for name, r2 in zip(TRAIT_NAMES, told, strict=True)),
    )


def splits(centers, number):
    """Two disjoint choices of `number` patients of each center; never tested on either's own."""
    for first in (0, TO_FIT):
        fitted = np.zeros(len(centers), bool)
        taken = np.zeros(len(centers), bool)
        for center in CENTERS:
            rows = np.flatnonzero(centers == center)
            fitted[rows[first : first + number]] = True
            taken[rows[first : first + TO_FIT]] = True
        yield fitted, ~taken


def evaluate(table, columns, split, *, aligned=True, together=True):
    """AUC of each biomarker, efficiency, and the error of Ki-67 beside its bound."""
    from scipy.special import expit, logit
    from sklearn.metrics import roc_auc_score

    from nnmtl.planning.architecture import HeadPlan

    _, out = split
    share = logit(np.clip(table["ki67"] / 100, 0.005, 0.995))
    values = dict(zip(BINARY, table["labels"].T, strict=True)) | {"Ki67": standardized(share)}
    heads = [HeadPlan(name=name, kind="binary", num_outputs=1) for name in BINARY]
    heads.append(HeadPlan(name="Ki67", kind="continuous", num_outputs=1, range=(0.0, 100.0)))
    groups = [heads] if together else [[head] for head in heads]
    told = {}
    for group in groups:
        told |= predict(table, columns, split, values, group, aligned=aligned)
    labels = table["labels"][out].T
    aucs = [roc_auc_score(*pair) for pair in zip(labels, map(told.get, BINARY), strict=True)]
    bound = [roc_auc_score(*pair) for pair in zip(labels, table["exact"][out].T, strict=True)]
    percent = 100 * expit(told["Ki67"] * share.std() + share.mean())
    errors = [
        np.abs(each - table["ki67"][out]).mean() for each in (percent, table["exact_ki67"][out])
    ]
    return [*aucs, (sum(aucs) - 1.5) / (sum(bound) - 1.5), *errors]


def traits_told(table, columns, split):
    """R² of each trait on the patients left out."""
    from nnmtl.planning.architecture import HeadPlan

    _, out = split
    found = []
    for values in map(standardized, table["traits"].T):
        head = HeadPlan(name="trait", kind="continuous", num_outputs=1)
        told = predict(table, columns, split, {"trait": values}, [head])["trait"]
        found.append(1 - np.square(told - values[out]).mean() / values[out].var())
    return found


def standardized(values):
    return (values - values.mean()) / values.std()


def predict(table, columns, split, values, heads, *, aligned=True):
    """Head name → (M,) its linear part's answers for the patients left out."""
    import torch

    from nnmtl.network.linear_start import start_linear_heads

    fitted, out = split
    measured = np.zeros_like(table["measured"])  # what does not vary is not fitted to
    measured[:, columns] = table["measured"][:, columns]
    rows = [torch.from_numpy(measured[part]).float() for part in (fitted, out)]
    tower = tower_of(heads, aligned=aligned)
    names = list(table["center"][fitted])
    start_linear_heads(
        tower,
        rows[0],
        {name: each[fitted] for name, each in values.items()},
        heads,
        centers=names,
        patients=[str(row) for row in range(len(names))],
    )
    with torch.no_grad():
        scalars = tower.scalars(rows[1])
        return {head.name: tower.head(head.name).linear(scalars)[:, 0].numpy() for head in heads}


def line(name, found) -> str:
    er, pr, her2, share, error, bound = np.mean(found, 0)
    return (
        f"{name:26s} ER {er:.3f}  PR {pr:.3f}  HER2 {her2:.3f}  efficiency {share:.3f}  "
        f"Ki-67 {error:.1f} (exact {bound:.1f})"
    )


if __name__ == "__main__":
    main()
