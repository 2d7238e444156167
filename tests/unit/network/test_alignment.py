"""Measurements are aligned between centers, which are told from the measurements themselves."""

import numpy as np
import pytest
import torch

from nnmtl.network.alignment import FEWEST_PATIENTS, CenterAlignment

NUM_FEATURES = 60


def draw(rng, shift, spread, number):
    return shift + spread * rng.normal(size=(number, NUM_FEATURES))


@pytest.fixture
def scanners():
    """Two centers: shift and spread of each feature, and 40 images of each."""
    rng = np.random.default_rng(0)
    laws = {name: (rng.normal(size=NUM_FEATURES), rng.uniform(0.5, 1.5)) for name in "AB"}
    images = {name: draw(rng, *law, 40) for name, law in laws.items()}
    return rng, laws, images


def fitted(images, num_centers=2):
    alignment = CenterAlignment(NUM_FEATURES, num_centers)
    rows = np.concatenate(list(images.values()))
    centers = [name for name, values in images.items() for _ in values]
    patients = [f"p{number}" for number in range(len(rows))]
    alignment.fit(torch.from_numpy(rows).float(), centers, patients)
    return alignment


def test_new_images_of_each_center_lie_alike(scanners):
    rng, laws, images = scanners
    alignment = fitted(images)
    for law in laws.values():
        aligned = alignment(torch.from_numpy(draw(rng, *law, 400)).float())
        before = float(torch.from_numpy(law[0]).abs().mean())
        assert float(aligned.mean(0).abs().mean()) < 0.4 * before  # 40 images, shrunk by 10 more
        assert float(aligned.std(0).mean()) == pytest.approx(1, abs=0.15)


def test_what_differs_between_patients_of_a_center_stays(scanners):
    rng, laws, images = scanners
    alignment = fitted(images)
    new = draw(rng, *laws["A"], 50)
    aligned = alignment(torch.from_numpy(new).float()).numpy()
    kept = [np.corrcoef(new[:, at], aligned[:, at])[0, 1] for at in range(NUM_FEATURES)]
    assert min(kept) > 0.98


def test_a_second_fit_without_two_large_centers_forgets_the_first(scanners):
    rng, laws, images = scanners
    alignment = fitted(images)
    rows = torch.from_numpy(images["A"]).float()
    alignment.fit(rows, ["A"] * len(rows), [f"p{number}" for number in range(len(rows))])
    new = torch.from_numpy(draw(rng, *laws["B"], 5)).float()
    torch.testing.assert_close(alignment(new), new)


def test_without_two_large_centers_nothing_changes(scanners):
    rng, laws, images = scanners
    images["B"] = images["B"][: FEWEST_PATIENTS - 1]
    alignment = fitted(images)
    new = torch.from_numpy(draw(rng, *laws["B"], 5)).float()
    torch.testing.assert_close(alignment(new), new)


def test_a_patient_with_many_images_is_one_patient(scanners):
    _, _, images = scanners
    alignment = CenterAlignment(NUM_FEATURES, 2)
    rows = torch.from_numpy(np.concatenate(list(images.values()))).float()
    centers = ["A"] * 40 + ["B"] * 40
    alignment.fit(rows, centers, [f"p{number // 4}" for number in range(80)])
    assert not bool(alignment.is_fitted)


def test_a_fold_without_one_of_the_planned_centers_aligns_the_others(scanners):
    rng, laws, images = scanners
    alignment, two = fitted(images, num_centers=3), fitted(images)
    new = torch.from_numpy(draw(rng, *laws["A"], 5)).float()
    torch.testing.assert_close(alignment(new), two(new))


def test_a_feature_that_never_varies_stays_a_number(scanners):
    _, _, images = scanners
    for values in images.values():
        values[:, 0] = 0
    aligned = fitted(images)(torch.from_numpy(images["A"]).float())
    assert torch.isfinite(aligned).all()
    assert (aligned[:, 0] == 0).all()
