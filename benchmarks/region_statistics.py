"""What a ridge classifier gets from each block of measurements, beside the network itself.

    python benchmarks/region_statistics.py DEMO_FOLDER

DEMO_FOLDER is the output of nnMTL_demo. All blocks are measured by its trained network with its
own, predicted masks; the classifiers are fitted to the fold's training cases, their penalty is
chosen by cross-validation there, and they are scored on the held-out patients (imagesTs).
"""

import argparse
import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

BINARY = ("ER", "PR", "HER2")
PENALTIES = (30, 100, 300, 1000, 3000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ[variable] = str(folder / variable)
    dataset = next((folder / "nnUNet_raw").glob("Dataset*")).name
    predictor = load(next((folder / "nnUNet_results" / dataset).iterdir()))
    cases, rows, own = [], [], []
    for case, data in all_cases(folder, dataset, predictor):
        measured, answers = measure(predictor, data)
        cases.append(case)
        rows.append(measured)
        own.append(answers)
    raw = folder / "nnUNet_raw" / dataset
    targets, truth = (read(raw / name) for name in ("targets.csv", "phantom_truth.csv"))
    held_out = np.array([(raw / "imagesTs" / f"{case}_0000.nii.gz").exists() for case in cases])
    report(np.array(rows), blocks(predictor), held_out, cases, own, targets, truth)


def load(model: Path):
    import torch

    from nnmtl.nnunet.extension import make_trainer_findable
    from nnmtl.nnunet.predictor import load_predictor

    make_trainer_findable()
    predictor = load_predictor(model, [0], device=torch.device("cpu"), exact=False)
    predictor.grid = predictor.grids.reference
    predictor.multitask.load_state_dict(predictor.list_of_parameters[0])
    predictor.multitask.eval()
    return predictor


def all_cases(folder: Path, dataset: str, predictor) -> Iterator[tuple[str, object]]:
    """The fold's training cases, then the held-out ones, preprocessed."""
    from nnmtl.nnunet.cohort_files import read_json

    train = read_json(folder / "nnUNet_preprocessed" / dataset / "splits_final.json")[0]["train"]
    raw = folder / "nnUNet_raw" / dataset
    paths = [raw / "imagesTr" / f"{case}_0000.nii.gz" for case in sorted(train)]
    for path in [*paths, *sorted((raw / "imagesTs").glob("*_0000.nii.gz"))]:
        yield path.name.removesuffix("_0000.nii.gz"), predictor.preprocess([str(path)])[0]


def measure(predictor, data) -> tuple[np.ndarray, dict[str, float]]:
    """(F,) what the linear part sees of a case, and the network's own outputs."""
    import torch

    from nnmtl.nnunet.precision import autocast_for

    with torch.inference_mode():
        logits = predictor.predict_sliding_window_return_logits(data)
        mask = (logits.argmax(0) == 1).numpy()
        if not mask.any():
            mask[tuple(size // 2 for size in mask.shape)] = True
        image, mask, _ = predictor._regions_of_interest(data.numpy(), mask)
        with autocast_for(torch.device("cpu")):
            output = predictor.multitask(image, with_biomarkers=True, mask=mask)
    outputs = {name: float(output.biomarkers[name].flatten()[0]) for name in BINARY}
    seen = predictor.multitask.tower.scalars(output.measured)[0, : output.measured.shape[1]]
    return seen.float().numpy(), outputs


def blocks(predictor) -> dict[str, np.ndarray]:
    """Name → columns of the measured vector."""
    tower = predictor.multitask.tower
    intensity = tower.intensity.num_features
    columns = np.arange(len(tower.standardize.mean))
    return {
        "intensities": columns[:intensity],
        "small structures": columns[intensity : tower.num_of_image],
        "all statistics": columns[: tower.num_statistics],
        "pooled encoder features": columns[tower.num_statistics :],
        "all": columns,
    }


def report(rows, columns, held_out, cases, own, targets, truth) -> None:
    """One line per block: held-out AUC per biomarker and their mean."""
    from sklearn.linear_model import RidgeCV
    from sklearn.metrics import roc_auc_score

    labels = {name: np.array([float(targets[case][name]) for case in cases]) for name in BINARY}
    mean, sd = rows[~held_out].mean(0), rows[~held_out].std(0)
    scaled = np.clip((rows - mean) / np.where(sd > 1e-6, sd, np.inf), -4, 4)
    lines = {
        block: {
            name: RidgeCV(alphas=PENALTIES, cv=5)
            .fit(scaled[~held_out, part], labels[name][~held_out])
            .predict(scaled[held_out, part])
            for name in BINARY
        }
        for block, part in columns.items()
    }
    chosen = np.flatnonzero(held_out)
    lines["the network"] = {name: [own[i][name] for i in chosen] for name in BINARY}
    lines["the exact posterior"] = {
        name: [float(truth[cases[i]][f"p_{name}"]) for i in chosen] for name in BINARY
    }
    print(f"{(~held_out).sum()} patients to fit, {held_out.sum()} held out")
    for label, scores in lines.items():
        aucs = [roc_auc_score(labels[name][held_out], scores[name]) for name in BINARY]
        print(f"{label:30s}", *(f"{value:.3f}" for value in aucs), f"mean {np.mean(aucs):.3f}")


def read(path: Path) -> dict[str, dict[str, str]]:
    with path.open() as stream:
        return {row["case_id"]: row for row in csv.DictReader(stream)}


if __name__ == "__main__":
    main()
