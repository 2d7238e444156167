"""How far images are from training: the distance, its threshold, and what is kept of cases."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import mahalanobis

from nnmtl.cohort.appearance import (
    OTHERS,
    appearance_space,
    appearance_to_json,
    parse_appearance,
)
from nnmtl.cohort.case_intensity import measure_intensity
from nnmtl.errors import NnmtlError


def cases(num=40, features=5, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1.0, (num, features))


def two_centers(apart=3.0):
    values = np.concatenate([cases(seed=1), cases(seed=2, shift=apart)])
    return appearance_space(values, ["A"] * 40 + ["B"] * 40)


def test_the_distance_is_mahalanobis_over_the_root_of_the_number_of_features():
    space = two_centers()
    case = np.arange(5.0)
    expected = mahalanobis(case, space.means[1], np.linalg.inv(space.covariance)) / np.sqrt(5)
    assert space.distances(case[None])[0, 1] == pytest.approx(expected)


def test_the_threshold_holds_for_new_cases_of_the_same_centers():
    space = two_centers()
    fresh = space.distances(cases(2000, seed=3)).min(axis=1)
    assert 0.85 < (fresh <= space.threshold).mean() < 1


def test_the_threshold_is_what_leaving_cases_out_one_by_one_gives():
    values, centers = cases(12, features=2), ["A"] * 6 + ["B"] * 6
    nearest = []
    for left in range(12):
        kept = [row for row in range(12) if row != left]
        space = appearance_space(values[kept], [centers[row] for row in kept])
        nearest.append(space.distances(values[[left]]).min())
    whole = appearance_space(values, centers)
    assert whole.threshold == pytest.approx(np.quantile(nearest, 0.95))


def test_another_center_is_beyond_and_the_distance_between_centers_is_known():
    space = two_centers(apart=3.0)
    strange = space.distances(cases(50, seed=4, shift=-4.0)).min(axis=1)
    assert (strange > space.threshold).all()
    values = np.concatenate([cases(2000, seed=1), cases(2000, seed=2, shift=3.0)])
    many = appearance_space(values, ["A"] * 2000 + ["B"] * 2000)
    assert many.between == pytest.approx(np.sqrt(3.0**2 + 1), rel=0.05)


@settings(deadline=None, max_examples=25)
@given(st.floats(0.01, 100), st.floats(-1000, 1000))
def test_gain_and_offset_of_an_image_without_units_do_not_matter(gain, offset):
    voxels = np.random.default_rng(0).gamma(2.0, 1.0, (1, 500))
    first = measure_intensity(voxels, keeps_scale=[False])
    second = measure_intensity(gain * voxels + offset, keeps_scale=[False])
    np.testing.assert_allclose(first.appearance, second.appearance, rtol=1e-6, atol=1e-6)


def test_intensities_with_units_keep_them():
    voxels = np.random.default_rng(0).normal(40, 10, (1, 500))
    measured = measure_intensity(voxels, keeps_scale=[True], in_tumor=voxels[:, :50] + 100)
    np.testing.assert_array_equal(measured.appearance, measured.body)
    assert measured.tumor[0, 2] == pytest.approx(140, abs=5)


def test_a_channel_that_was_not_acquired_adds_no_distance():
    both = np.concatenate([cases(20, 1), np.zeros((20, 1))])
    channels = measure_intensity(np.stack([np.arange(9.0), np.zeros(9)]), keeps_scale=[False] * 2)
    assert np.isnan(channels.appearance[1]).all()
    space = appearance_space(np.hstack([both, cases(40, 1, seed=5)]), ["A"] * 40)
    known, missing = space.means[0].copy(), space.means[0].copy()
    missing[1] = np.nan
    np.testing.assert_allclose(space.distances(missing[None]), space.distances(known[None]))


def test_small_centers_are_taken_together_and_very_few_cases_tell_nothing():
    assert appearance_space(cases(4), ["A"] * 4) is None
    space = appearance_space(cases(15), ["A"] * 9 + ["B"] * 3 + ["C"] * 3)
    assert space.centers == ("A", OTHERS)
    alone = appearance_space(cases(10), ["A"] * 9 + ["B"])
    assert (alone.centers, alone.between) == (("A",), None)


def test_features_that_never_vary_and_more_features_than_cases_are_no_obstacle():
    values = cases(6, features=30)
    values[:, 0] = 1.0
    space = appearance_space(values, ["A"] * 6)
    assert np.isfinite(space.distances(cases(3, 30))).all()


def test_it_survives_json_and_a_damaged_file_is_refused():
    space = two_centers()
    content = json.loads(json.dumps(appearance_to_json(space)))
    again = parse_appearance(content, where="x.json")
    np.testing.assert_array_equal(again.distances(cases(3)), space.distances(cases(3)))
    assert appearance_to_json(None) is None
    del content["means"]
    with pytest.raises(NnmtlError, match=r"x\.json: expected the appearance"):
        parse_appearance(content, where="x.json")
