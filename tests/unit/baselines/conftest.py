"""A ball in tissue in air, and a small raw dataset in which the ball's brightness tells ER."""

import csv
import json

import numpy as np
import pytest
import SimpleITK

SHAPE = (14, 34, 34)
SPACING_MM = (3.0, 1.5, 1.5)
NUM_TRAIN, NUM_TEST = 30, 8
DATASET_JSON = {
    "channel_names": {"0": "dce"},
    "labels": {"background": 0, "tumor": 1},
    "numTraining": NUM_TRAIN,
    "file_ending": ".nii.gz",
    "nnmtl": {
        "schema": 1,
        "tumor_labels": [1],
        "biomarkers": [
            {"name": "ER", "kind": "binary"},
            {"name": "HER2", "kind": "categorical", "categories": ["zero", "low", "positive"]},
            {"name": "Ki67", "kind": "continuous", "unit": "%", "range": [0, 100]},
        ],
        "covariates": ["age"],
    },
}


def ball(radius_mm, shape=SHAPE, spacing_mm=SPACING_MM):
    """A mask whose center is the array's."""
    axes = [
        (np.arange(size) - size // 2) * step for size, step in zip(shape, spacing_mm, strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return z**2 + y**2 + x**2 <= radius_mm**2


def image_of(mask, brightness, seed):
    """Air around tissue of intensity 100, the ball `brightness` times as bright."""
    generator = np.random.default_rng(seed)
    image = 100 + 5 * generator.standard_normal(mask.shape)
    image[mask] *= brightness
    image[:, :3], image[:, -3:] = generator.random((2, mask.shape[0], 3, mask.shape[2]))
    return image.astype(np.float32)


@pytest.fixture
def case():
    """Images (1, Z, Y, X), mask, spacing."""
    mask = ball(9.0)
    return image_of(mask, 2.0, seed=0)[None], mask, SPACING_MM


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """Training and test cases; the last test case has an empty label map in `predicted`."""
    folder = tmp_path_factory.mktemp("raw") / "Dataset001_Balls"
    generator = np.random.default_rng(1)
    rows = []
    for number in range(NUM_TRAIN + NUM_TEST):
        subset = "Tr" if number < NUM_TRAIN else "Ts"
        brightness = generator.uniform(1.2, 3.0)
        mask = ball(generator.uniform(6, 10))
        case_id = f"case_{number:02d}"
        write(folder / f"images{subset}", f"{case_id}_0000", image_of(mask, brightness, number))
        write(folder / f"labels{subset}", case_id, mask.astype(np.uint8))
        is_last = number == NUM_TRAIN + NUM_TEST - 1
        write(folder.parent / "predicted", case_id, (mask & (not is_last)).astype(np.uint8))
        category = ("zero", "low", "positive")[int((brightness - 1.2) / 0.601)]
        ki67 = round(30 * brightness - 10, 1)
        rows.append([case_id, f"patient_{number}", "A", int(brightness > 2), category, ki67, 50])
    (folder / "dataset.json").write_text(json.dumps(DATASET_JSON))
    with (folder / "targets.csv").open("w", newline="") as file:
        header = ["case_id", "patient_id", "center", "ER", "HER2", "Ki67", "age"]
        csv.writer(file).writerows([header, *rows])
    train = [row[0] for row in rows[:NUM_TRAIN]]
    folds = [{"train": train[5:], "val": train[:5]}]
    (folder.parent / "splits_final.json").write_text(json.dumps(folds))
    return folder


def write(folder, name, array):
    folder.mkdir(parents=True, exist_ok=True)
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(SPACING_MM[::-1])
    SimpleITK.WriteImage(image, str(folder / f"{name}.nii.gz"))


@pytest.fixture(name="ball")
def ball_of_radius():
    return ball
