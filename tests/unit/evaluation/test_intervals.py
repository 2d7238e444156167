"""The bootstrap: it covers, it keeps patients together, it repeats."""

from functools import partial

import numpy as np
import pytest
from scipy import stats

from nnmtl.evaluation.discrimination import auc
from nnmtl.evaluation.intervals import bootstrap, paired_difference, resample_patients
from nnmtl.evaluation.weighted import mean


def patients(num_cases: int) -> list[str]:
    return [f"p{number}" for number in range(num_cases)]


def test_every_resample_has_as_many_patients_as_the_sample() -> None:
    weights = resample_patients(patients(17)).weights
    assert weights.shape == (2000, 17)
    assert (weights.sum(axis=1) == 17).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.1)


def test_cases_of_one_patient_are_drawn_together() -> None:
    weights = resample_patients(["a", "b", "a", "c", "b"]).weights
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_doubling_every_case_of_a_patient_leaves_the_interval_but_not_as_strangers() -> None:
    values = np.random.default_rng(0).normal(size=40)
    twice = np.concatenate([values, values])
    one = bootstrap(partial(mean, values), resample_patients(patients(40)))
    both = bootstrap(partial(mean, twice), resample_patients(patients(40) * 2))
    strangers = bootstrap(partial(mean, twice), resample_patients(patients(80)))
    assert (one.lower, one.upper) == pytest.approx((both.lower, both.upper))
    assert strangers.upper - strangers.lower < 0.8 * (one.upper - one.lower)


def test_strata_keep_their_size_in_every_resample() -> None:
    strata = [0] * 3 + [1] * 20
    weights = resample_patients(patients(23), strata=strata).weights
    assert (weights[:, :3].sum(axis=1) == 3).all()


def test_a_patient_with_both_classes_is_a_stratum_of_its_own() -> None:
    weights = resample_patients(["a", "a", "b", "c"], strata=[0, 1, 0, 1]).weights
    assert (weights == 1).all()


def test_equal_seeds_repeat_and_the_order_of_patients_does_not_matter() -> None:
    values = np.random.default_rng(0).normal(size=30)
    ids = patients(30)
    order = np.random.default_rng(1).permutation(30)
    first = bootstrap(partial(mean, values), resample_patients(ids))
    second = bootstrap(
        partial(mean, values[order]), resample_patients([ids[position] for position in order])
    )
    assert (first.lower, first.upper) == pytest.approx((second.lower, second.upper))


def test_the_interval_contains_the_estimate_and_is_that_of_scipy() -> None:
    values = np.random.default_rng(3).gamma(2, size=60)
    ours = bootstrap(partial(mean, values), resample_patients(patients(60)))
    scipys = stats.bootstrap(
        (values,), np.mean, n_resamples=5000, method="percentile", rng=0
    ).confidence_interval
    assert ours.lower < ours.value < ours.upper
    assert (ours.lower, ours.upper) == pytest.approx((scipys.low, scipys.high), abs=0.05)


def test_the_interval_of_an_auc_covers_the_true_auc() -> None:
    generator = np.random.default_rng(7)
    true_auc = stats.norm.cdf(1 / np.sqrt(2))
    covered = 0
    for _ in range(200):
        positive = np.arange(80) < 35
        scores = generator.normal(size=80) + positive
        resamples = resample_patients(patients(80), strata=positive.tolist(), num_resamples=400)
        interval = bootstrap(partial(auc, scores, positive), resamples)
        covered += interval.lower <= true_auc <= interval.upper
    assert 0.89 <= covered / 200 <= 0.99


def test_a_paired_difference_is_narrower_than_its_parts() -> None:
    generator = np.random.default_rng(5)
    positive = np.arange(100) < 40
    first = generator.normal(size=100) + 1.2 * positive
    second = first + 0.2 * generator.normal(size=100)
    resamples = resample_patients(patients(100), strata=positive.tolist())
    single = bootstrap(partial(auc, first, positive), resamples)
    difference = paired_difference(
        partial(auc, first, positive), partial(auc, second, positive), resamples
    )
    assert difference.value == pytest.approx(auc(first, positive) - auc(second, positive))
    assert difference.upper - difference.lower < 0.6 * (single.upper - single.lower)
    same = paired_difference(
        partial(auc, first, positive), partial(auc, first, positive), resamples
    )
    assert (same.value, same.lower, same.upper) == (0, 0, 0)


def test_one_patient_has_no_interval_and_no_case_no_value() -> None:
    one = bootstrap(partial(mean, np.array([0.4, 0.6])), resample_patients(["a", "a"]))
    assert one.value == 0.5
    assert np.isnan(one.lower)
    assert np.isnan(bootstrap(partial(mean, np.array([])), resample_patients([])).value)
