from dataclasses import astuple

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from nnmtl.phantom.bounds import OBSERVERS, bayes_bounds, bounds_table
from nnmtl.phantom.labels import HOSPITAL, sample_labels
from nnmtl.phantom.posterior import posterior
from nnmtl.phantom.traits import REGIONS, TRAITS, rows_of_regions, sample_traits, trait_means

# (ER, PR, HER2, HER2 three-class, Ki-67 MAE, Ki-67 >= 20) of the preset `reference`.
REFERENCE = {
    "all": (0.952, 0.914, 0.882, 0.748, 9.5, 0.890),
    "no peri": (0.929, 0.832, 0.722, 0.632, 10.1, 0.874),
    "no rim": (0.913, 0.890, 0.881, 0.744, 9.9, 0.880),
    "no core": (0.935, 0.908, 0.868, 0.737, 11.9, 0.814),
    "core only": (0.844, 0.754, 0.710, 0.620, 10.9, 0.856),
    "rim only": (0.886, 0.804, 0.612, 0.576, 13.6, 0.738),
    "peri only": (0.865, 0.876, 0.866, 0.732, 13.0, 0.778),
}
# Standard errors of both sides at 20,000 patients, three of them.
TOLERANCE = (0.008, 0.008, 0.011, 0.011, 0.25, 0.010)


@pytest.mark.parametrize("observer", OBSERVERS)
def test_reference_bounds_are_as_specified(observer):
    bounds = bayes_bounds("reference", OBSERVERS[observer], num_patients=20_000, seed=1)
    difference = np.subtract(astuple(bounds), REFERENCE[observer])
    assert np.all(np.abs(difference) < TOLERANCE), difference


def test_easy_bounds_are_as_specified():
    bounds = bayes_bounds("easy", num_patients=20_000, seed=1)
    specified = (0.987, 0.969, 0.960)
    assert (bounds.auc_er, bounds.auc_pr, bounds.auc_her2) == pytest.approx(specified, abs=0.005)
    assert bounds.mae_ki67 == pytest.approx(7.2, abs=0.15)


def test_null_leaves_chance_and_the_median():
    bounds = bayes_bounds("null", num_patients=5000)
    chance = (bounds.auc_er, bounds.auc_pr, bounds.auc_her2, bounds.auc_ki67_20)
    assert chance == pytest.approx((0.5,) * 4)
    assert bounds.mae_ki67 == pytest.approx(16.4, abs=0.6)


def test_more_regions_never_lower_a_bound():
    everything = bayes_bounds("reference", num_patients=10_000)
    for regions in OBSERVERS.values():
        part = bayes_bounds("reference", regions, num_patients=10_000)
        assert part.auc_er <= everything.auc_er + 0.002
        assert part.mae_ki67 >= everything.mae_ki67 - 0.05


@pytest.mark.parametrize("biomarker", ["er", "pr"])
def test_logistic_regression_on_true_traits_comes_close_but_never_beats_the_bound(biomarker):
    rng = np.random.default_rng(5)
    labels = sample_labels(rng, 24_000)
    traits = sample_traits(rng, labels, strength=1.0)
    positive = getattr(labels, biomarker)
    train, test = slice(0, 8000), slice(8000, None)
    model = LogisticRegression(max_iter=500).fit(traits[train], positive[train])
    learned = roc_auc_score(positive[test], model.decision_function(traits[test]))
    rows = rows_of_regions(REGIONS)
    exact = posterior(traits[test], strength=1.0, group_shares=HOSPITAL, rows=rows)
    bound = roc_auc_score(positive[test], getattr(exact, biomarker))
    standard_error = 0.003
    assert bound - 0.03 <= learned <= bound + 2 * standard_error


def test_posterior_is_a_distribution_for_every_biomarker():
    known = posterior(
        np.random.default_rng(0).normal(0, 3, (5000, len(TRAITS))),
        strength=1.6,
        group_shares=HOSPITAL,
        rows=rows_of_regions(REGIONS),
    )
    for probabilities in (known.her2, known.ki67):
        assert probabilities.min() >= 0
        assert probabilities.sum(axis=1) == pytest.approx(1)
    assert np.all((known.er >= 0) & (known.er <= 1) & (known.pr >= 0) & (known.pr <= 1))
    assert np.all((known.ki67_median() > 0) & (known.ki67_median() < 1))


def test_posterior_is_calibrated():
    rng = np.random.default_rng(7)
    labels = sample_labels(rng, 40_000)
    traits = sample_traits(rng, labels, strength=1.0)
    known = posterior(traits, strength=1.0, group_shares=HOSPITAL, rows=rows_of_regions(REGIONS))
    middle = (known.er > 0.4) & (known.er < 0.6)
    assert labels.er[middle].mean() == pytest.approx(known.er[middle].mean(), abs=0.05)
    assert np.mean(labels.ki67 < known.ki67_median()) == pytest.approx(0.5, abs=0.01)


def test_posterior_without_traits_is_the_prior():
    traits = np.random.default_rng(0).standard_normal((3, len(TRAITS)))
    known = posterior(traits, strength=1.0, group_shares=HOSPITAL, rows=())
    assert known.er == pytest.approx(0.66 * 0.99 + 0.12 * 0.97)
    assert known.her2_positive == pytest.approx(0.19)


def test_expected_traits_follow_the_loadings():
    labels = sample_labels(np.random.default_rng(0), 100)
    twice = trait_means(labels, strength=2.0)
    assert twice == pytest.approx(2 * trait_means(labels, strength=1.0))
    vessel = [trait.name for trait in TRAITS].index("p_vessel")
    gap = twice[labels.her2 == 2, vessel].mean() - twice[labels.her2 == 0, vessel].mean()
    assert gap == pytest.approx(2 * 1.6, abs=0.4)


def test_table_has_a_row_per_observer():
    lines = bounds_table("reference", num_patients=500).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == list(OBSERVERS)
