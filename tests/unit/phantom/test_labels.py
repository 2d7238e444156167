import numpy as np
import pytest

from nnmtl.phantom.labels import (
    GROUPS,
    HER2_CATEGORIES,
    HOSPITAL,
    REGISTRY,
    Labels,
    label_grid,
    sample_labels,
)

NUM_PATIENTS = 200_000
# Four standard errors of a share near one half.
TOLERANCE = 4 * 0.5 / NUM_PATIENTS**0.5


@pytest.fixture(scope="module")
def hospital() -> Labels:
    return sample_labels(np.random.default_rng(1), NUM_PATIENTS, group_shares=HOSPITAL)


def test_hospital_has_the_specified_prevalences(hospital):
    shares = {
        "ER": hospital.er.mean(),
        "PR": hospital.pr.mean(),
        **{name: np.mean(hospital.her2 == k) for k, name in enumerate(HER2_CATEGORIES)},
    }
    expected = {"ER": 0.771, "PR": 0.673, "zero": 0.358, "low": 0.452, "positive": 0.190}
    assert shares == pytest.approx(expected, abs=TOLERANCE + 5e-4)


def test_hospital_has_the_specified_distribution_of_ki67(hospital):
    ki67 = 100 * hospital.ki67
    assert ki67.mean() == pytest.approx(27.4, abs=0.3)
    assert np.median(ki67) == pytest.approx(22.8, abs=0.3)
    shares = [np.mean(ki67 <= 5), np.mean(ki67 >= 20), np.mean(ki67 >= 30)]
    assert shares == pytest.approx([0.106, 0.55, 0.386], abs=TOLERANCE + 5e-3)


def test_receptors_are_associated_as_specified(hospital):
    her2 = hospital.her2 == HER2_CATEGORIES.index("positive")
    assert np.corrcoef(hospital.er, hospital.pr)[0, 1] == pytest.approx(0.73, abs=0.015)
    assert np.corrcoef(hospital.er, her2)[0, 1] == pytest.approx(-0.18, abs=0.015)


def test_registry_has_the_specified_prevalences():
    labels = sample_labels(np.random.default_rng(2), NUM_PATIENTS, group_shares=REGISTRY)
    her2 = labels.her2 == HER2_CATEGORIES.index("positive")
    triple_negative = (labels.er == 0) & (labels.pr == 0) & ~her2
    shares = [labels.er.mean(), labels.pr.mean(), her2.mean(), triple_negative.mean()]
    assert shares == pytest.approx([0.820, 0.719, 0.150, 0.124], abs=TOLERANCE + 1.5e-3)


@pytest.mark.parametrize("only", range(len(GROUPS)), ids=GROUPS)
def test_grid_agrees_with_samples_of_every_group(only):
    group_shares = tuple(float(index == only) for index in range(len(GROUPS)))
    grid, prior = label_grid(group_shares)
    drawn = sample_labels(np.random.default_rng(3), 20_000, group_shares=group_shares)
    assert prior.sum() == pytest.approx(1)
    for name in ("er", "pr", "her2", "ki67"):
        assert prior @ getattr(grid, name) == pytest.approx(getattr(drawn, name).mean(), abs=0.015)
