"""What limits the biomarkers on the phantom: what is measured, or how many patients there are.

    python benchmarks/phantom_statistics.py [--preset reference] [--per-center 450] [--workers 2]

Generates patients of the centers A, B and D that no other benchmark uses, measures their images in
their true masks (no network takes part), and fits ridge regressions as the heads' linear part is
fitted. Prints for each block of measurements, and for fewer training patients, the share of the
exact posterior's accuracy that is reached on the patients left out, and how well each trait of the
phantom is told.
"""

import argparse
import multiprocessing
from functools import partial

import numpy as np

CENTERS = ("A", "B", "D")
BINARY = ("ER", "PR", "HER2")
SEED = 777
SPACING_MM = (1.5, 1.0, 1.0)
ROI = (32, 48, 48)
SHELLS = (("core", None, -2.5), ("rim", -2.5, 0.0), ("peri", 0.0, 5.0), ("distant", 5.0, 10.0))
SOFTNESS_MM, REFERENCE_MM = 0.7, 12.0
PENALTIES = (30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)
TO_FIT = 200  # patients of each center, twice; all others are left out
FEWER = (34, 67, 134, 200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="reference")
    parser.add_argument("--per-center", type=int, default=450)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    orders = [(center, index) for center in CENTERS for index in range(arguments.per_center)]
    with multiprocessing.get_context("spawn").Pool(arguments.workers) as pool:
        rows = pool.map(partial(describe, arguments.preset), orders, chunksize=8)
    table = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    report(table, blocks())


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
    from nnmtl.regions.body import body_mask
    from nnmtl.regions.distance import signed_distance_mm
    from nnmtl.regions.weights import Region, reference_weights, region_weights

    torch.set_num_threads(1)
    zoom = [have / want for have, want in zip(case.spacing_mm, SPACING_MM, strict=True)]
    image = ndimage.zoom(case.image.astype(np.float32), zoom, order=3, mode="nearest")
    mask = ndimage.zoom(case.label_map.astype(np.float32), zoom, order=1, mode="nearest") > 0.5
    image, mask = crop(image, mask, roi_box(roi_center(np.argwhere(mask)), ROI))
    distance = torch.from_numpy(signed_distance_mm(mask, SPACING_MM))[None]
    body = torch.from_numpy(body_mask(image))[None]
    regions = [Region(name, -np.inf if low is None else low, high) for name, low, high in SHELLS]
    weights = region_weights(distance, regions, body=body, softness_mm=SOFTNESS_MM)
    reference = reference_weights(distance, body=body, reference_mm=REFERENCE_MM)
    images = torch.from_numpy(image)[None, None]
    intensity, structures = statistics()
    parts = [
        intensity(images, weights, reference),
        structures(images, weights, distance, distance < 0, body, SPACING_MM),
        torch.log(torch.tensor([[mask.sum() * np.prod(SPACING_MM) / 1000]])),
    ]
    return torch.cat(parts, 1)[0].float().numpy()


def crop(image, mask, box):
    """Both in the box; what lies outside the image is its edge continued, and no tumor."""
    pad = [(max(0, -start), max(0, stop - size)) for (start, stop), size in
           zip(box, image.shape, strict=True)]  # fmt: skip
    inside = tuple(slice(start + before, stop + before) for (start, stop), (before, _) in
                   zip(box, pad, strict=True))  # fmt: skip
    return np.pad(image, pad, mode="edge")[inside], np.pad(mask, pad)[inside]


def statistics():
    from nnmtl.network.intensity import IntensityStatistics
    from nnmtl.network.structures import StructureStatistics
    from nnmtl.planning.architecture import RegionPlan

    shells = [RegionPlan(name=name, inner_mm=low, outer_mm=high) for name, low, high in SHELLS]
    return IntensityStatistics(1, len(shells)), StructureStatistics(1, shells)


def blocks() -> dict[str, np.ndarray]:
    """Name → columns of the measurements."""
    intensity, structures = statistics()
    columns = np.arange(intensity.num_features + structures.num_features + 1)
    first_spot = len(columns) - 1 - structures.num_spots
    return {
        "intensities": columns[: intensity.num_features],
        "small structures": columns[intensity.num_features : first_spot],
        "without spots on shells": np.delete(columns, np.arange(first_spot, len(columns) - 1)),
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
    print(line("all, centers not aligned", [
        evaluate(table, everything, split, aligned=False) for split in splits(centers, TO_FIT)
    ]))  # fmt: skip
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


def evaluate(table, columns, split, *, aligned=True):
    """AUC of each biomarker, efficiency, and the error of Ki-67 beside its bound."""
    from scipy.special import expit, logit
    from sklearn.metrics import roc_auc_score

    fitted, out = split
    features = scaled(table["measured"][:, columns], fitted, table["center"], aligned=aligned)
    labels = table["labels"][out].T
    scores = [predict(features, split, table["labels"][:, [number]])[:, 0] for number in range(3)]
    aucs = [roc_auc_score(*pair) for pair in zip(labels, scores, strict=True)]
    bound = [roc_auc_score(*pair) for pair in zip(labels, table["exact"][out].T, strict=True)]
    share = np.clip(table["ki67"] / 100, 0.005, 0.995)[:, None]
    told = 100 * expit(predict(features, split, logit(share))[:, 0])
    errors = [np.abs(each - table["ki67"][out]).mean() for each in (told, table["exact_ki67"][out])]
    return [*aucs, (sum(aucs) - 1.5) / (sum(bound) - 1.5), *errors]


def traits_told(table, columns, split):
    fitted, out = split
    features = scaled(table["measured"][:, columns], fitted, table["center"], aligned=True)
    traits = table["traits"]
    told = predict(features, split, traits)
    return 1 - np.square(told - traits[out]).mean(0) / traits[out].var(0)


def scaled(features, fitted, centers, *, aligned):
    import torch

    from nnmtl.network.alignment import CenterAlignment
    from nnmtl.network.intensity import RunningStandardizer

    values, fitted = torch.from_numpy(features).float(), torch.from_numpy(fitted)
    standardize = RunningStandardizer(values.shape[1])
    standardize.fit(values[fitted])
    values = standardize(values)
    if aligned:
        alignment = CenterAlignment(values.shape[1], len(CENTERS))
        names = list(centers[fitted.numpy()])
        alignment.fit(values[fitted], names, [str(row) for row in range(len(names))])
        values = alignment(values)
    return values.numpy()


def predict(features, split, targets):
    """(M, T) of the patients left out; the penalty is chosen among those that are fitted."""
    from sklearn.model_selection import KFold

    from nnmtl.network.ridge import fit_ridge

    fitted, out = split
    folds = list(KFold(5, shuffle=True, random_state=0).split(features[fitted]))
    ridge = fit_ridge(features[fitted], targets[fitted], folds, PENALTIES)
    return features[out] @ ridge.weight.T + ridge.bias


def line(name, found) -> str:
    er, pr, her2, share, error, bound = np.mean(found, 0)
    return (
        f"{name:26s} ER {er:.3f}  PR {pr:.3f}  HER2 {her2:.3f}  efficiency {share:.3f}  "
        f"Ki-67 {error:.1f} (exact {bound:.1f})"
    )


if __name__ == "__main__":
    main()
