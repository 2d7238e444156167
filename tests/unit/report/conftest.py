"""Writes a small raw dataset of bright ellipsoids and a folder of plausible predictions for it."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from scipy import ndimage

from nnmtl.cohort.biomarker import (
    BinaryBiomarker,
    CategoricalBiomarker,
    ContinuousBiomarker,
    biomarker_to_json,
)
from nnmtl.inference.predictions import (
    BiomarkerPrediction,
    CasePrediction,
    PredictionSet,
    write_predictions,
)

BIOMARKERS = (
    BinaryBiomarker(name="ER"),
    CategoricalBiomarker(name="HER2_3", categories=("zero", "low", "positive"), ordered=True),
    ContinuousBiomarker(name="Ki67", unit="%", range=(0.0, 100.0), cutoffs=(14.0, 20.0, 30.0)),
)
NAN = float("nan")


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The raw folder and predictions of 12 phantom cases from 2 centers, nnUNet_raw set."""
    raw, predictions = write_all(tmp_path, num_cases=12)
    monkeypatch.setenv("nnUNet_raw", str(raw))
    return raw, predictions


def write_all(
    root: Path,
    *,
    num_cases: int,
    shape: tuple[int, int, int] = (16, 40, 40),
    centers: tuple[str, ...] = ("A", "B"),
    is_phantom: bool = True,
    seed: int = 0,
) -> tuple[Path, Path]:
    """Writes `root/raw/Dataset999_*` and `root/predictions`.

    The last case has no answer and an empty mask; the first two cases are of one patient; the
    fourth has a set and an interval as target.

    Returns:
        The raw folder (what nnUNet_raw names) and the predictions.
    """
    generator = np.random.default_rng(seed)
    dataset = root / "raw" / "Dataset999_PHANTOM_Test"
    predictions = root / "predictions"
    for folder in (dataset / "imagesTs", dataset / "labelsTs", predictions / "regions"):
        folder.mkdir(parents=True)
    rows, cases, posteriors = [], [], []
    for number in range(num_cases):
        case_id = f"case_{number:03d}"
        center = centers[number % len(centers)] if number > 1 else centers[0]
        is_missed = number == num_cases - 1
        volume_ml = _write_images(dataset, predictions, case_id, shape, generator, is_missed)
        truth = _draw_truth(generator, number)
        rows.append([case_id, f"p{max(number, 1)}", center, *truth["cells"]])
        cases.append(_predict(case_id, center, truth, volume_ml, generator, is_missed))
        posteriors.append([case_id, truth["p_ER"], 0.8 * truth["Ki67"] + 5])
    _write_csv(
        dataset / "targets.csv", ["case_id", "patient_id", "center", "ER", "HER2_3", "Ki67"], rows
    )
    if is_phantom:
        _write_csv(dataset / "phantom_truth.csv", ["case_id", "p_ER", "Ki67_median"], posteriors)
    declared = {
        "schema": 1,
        "tumor_labels": [1],
        "biomarkers": [biomarker_to_json(biomarker) for biomarker in BIOMARKERS],
    }
    if is_phantom:
        declared["synthetic"] = {"generator": "test"}
    content = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "tumor": 1},
        "file_ending": ".nii.gz",
        "numTraining": 0,
        "nnmtl": declared,
    }
    (dataset / "dataset.json").write_text(json.dumps(content))
    write_predictions(
        PredictionSet(
            trained_on="phantom" if is_phantom else "patients",
            model="nnMTLTrainer__nnMTLPlans__3d_fullres",
            folds=(0,),
            biomarkers=BIOMARKERS,
            thresholds={"ER": 0.62},
            training_median={"Ki67": 22.8},
            cases=tuple(cases),
        ),
        predictions,
    )
    return root / "raw", predictions


def _draw_truth(generator: np.random.Generator, number: int) -> dict:
    er, her2, ki67 = generator.random() < 0.75, generator.integers(3), generator.beta(2, 5) * 100
    er = er if number > 3 else number % 2 == 0
    cells = [str(int(er)), BIOMARKERS[1].categories[her2], f"{ki67:.1f}"]
    if number == 3:
        cells = ["", "zero|low", "20-30"]
    exact = 1 / (1 + np.exp(-(2.6 * er - 1.0 + generator.normal(0, 0.9))))
    return {"cells": cells, "ER": er, "HER2_3": her2, "Ki67": ki67, "p_ER": exact}


def _predict(
    case_id: str,
    center: str,
    truth: dict,
    volume_ml: float,
    generator: np.random.Generator,
    is_missed: bool,
) -> CasePrediction:
    er = 1 / (1 + np.exp(-(1.7 * truth["ER"] - 0.4 + generator.normal(0, 1.1))))
    logits = 1.1 * (np.arange(3) == truth["HER2_3"]) + generator.normal(0, 0.8, 3)
    her2 = np.exp(logits) / np.exp(logits).sum()
    ki67 = float(np.clip(0.55 * truth["Ki67"] + 11 + generator.normal(0, 9), 0, 100))
    answers = {"ER": (er,), "HER2_3": tuple(her2.tolist()), "Ki67": (ki67,)}
    if is_missed:
        answers = {"ER": (NAN,), "HER2_3": (NAN,) * 3, "Ki67": (NAN,)}
    return CasePrediction(
        case_id=case_id,
        center=center,
        status="empty_segmentation" if is_missed else "ok",
        reason="No tumor was found." if is_missed else None,
        flags=("EMPTY_SEG",) if is_missed else ("TINY_LESION",) if volume_ml < 0.3 else (),
        tumor_volume_ml=volume_ml,
        biomarkers={
            name: BiomarkerPrediction(answer=tuple(map(float, answer)))
            for name, answer in answers.items()
        },
    )


def _write_images(
    dataset: Path,
    predictions: Path,
    case_id: str,
    shape: tuple[int, int, int],
    generator: np.random.Generator,
    is_missed: bool,
) -> float:
    spacing_mm = np.array([2.0, 1.0, 1.0])
    center = np.array(shape) * generator.uniform(0.42, 0.58, 3)
    radii_mm = generator.uniform(0.14, 0.24) * shape[1] * generator.uniform(0.8, 1.2, 3)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    noise = ndimage.gaussian_filter(generator.normal(size=shape), 3)
    depth = np.sqrt((((grid - center) * spacing_mm / radii_mm) ** 2).sum(-1)) + 1.2 * noise
    truth = depth < 1
    shift = generator.integers(-1, 2, 3) * [0, 1, 1] * generator.integers(0, 3)
    predicted = np.roll(depth, shift, (0, 1, 2)) < generator.uniform(0.85, 1.1)
    predicted &= not is_missed
    texture = ndimage.gaussian_filter(generator.normal(size=shape), 1.2)
    body = grid[..., 1] > 0.15 * shape[1]
    image = body * (300 + 130 * texture) + truth * (420 - 180 * (depth < 0.55)) + 20 * noise
    distance = np.where(
        predicted,
        -ndimage.distance_transform_edt(predicted, spacing_mm),
        ndimage.distance_transform_edt(~predicted, spacing_mm),
    )
    regions = np.select([distance < -2.5, distance < 0, distance < 5], [1, 2, 3], 0)
    regions = regions * predicted.any()
    for path, array in (
        (dataset / "imagesTs" / f"{case_id}_0000.nii.gz", image.astype(np.int16)),
        (dataset / "labelsTs" / f"{case_id}.nii.gz", truth.astype(np.uint8)),
        (predictions / f"{case_id}.nii.gz", predicted.astype(np.uint8)),
        (predictions / "regions" / f"{case_id}.nii.gz", regions.astype(np.uint8)),
    ):
        written = SimpleITK.GetImageFromArray(array)
        written.SetSpacing(spacing_mm[::-1].tolist())
        SimpleITK.WriteImage(written, str(path))
    return float(predicted.sum() * spacing_mm.prod() / 1000)


def _write_csv(path: Path, header: list[str], rows: list[list]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
