import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnmtl.errors import NnmtlError
from nnmtl.regions.distance import signed_distance_mm

SPACINGS = [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (3.0, 0.8, 0.8)]


def sphere(radius_mm, spacing_mm, shape):
    """True signed distance of a sphere whose center lies off the voxel grid."""
    axes = [
        (np.arange(size) - (size - 1) / 2 + 0.13) * step
        for size, step in zip(shape, spacing_mm, strict=True)
    ]
    return np.sqrt(sum(np.square(axis) for axis in np.meshgrid(*axes, indexing="ij"))) - radius_mm


def brute_force(mask, spacing_mm):
    """By definition: nearest voxel of the other side, less half a voxel along the way."""
    centers = np.argwhere(np.ones_like(mask))
    distance = np.empty(mask.shape)
    for index in itertools.product(*map(range, mask.shape)):
        steps = centers[(mask != mask[index])[tuple(centers.T)]] - index
        mm = np.linalg.norm(steps * spacing_mm, axis=1)
        candidates = mm * (1 - 0.5 / np.linalg.norm(steps, axis=1))
        sign = -1 if mask[index] else 1
        distance[index] = sign * candidates[np.isclose(mm, mm.min())].min()
    return distance


@pytest.mark.parametrize("spacing_mm", SPACINGS)
def test_sphere_is_right_within_a_voxel_and_without_much_bias(spacing_mm):
    true = sphere(9.3, spacing_mm, (40, 48, 48))
    error = (signed_distance_mm(true < 0, spacing_mm) - true)[np.abs(true) < 8]
    assert np.abs(error).max() < 0.5 * max(spacing_mm) + 0.5
    assert abs(error.mean()) < 0.2
    assert np.abs(error).mean() < 0.3


@pytest.mark.parametrize("spacing_mm", SPACINGS)
def test_a_plane_is_exact_along_every_axis(spacing_mm):
    for axis, step_mm in enumerate(spacing_mm):
        mask = np.zeros((8, 8, 8), dtype=bool)
        np.moveaxis(mask, axis, 0)[:4] = True
        line = np.moveaxis(signed_distance_mm(mask, spacing_mm), axis, 0)[:, 3, 3]
        np.testing.assert_allclose(line, (np.arange(8) - 3.5) * step_mm, rtol=1e-6)


def test_random_masks_agree_with_the_definition_up_to_ties():
    generator = np.random.default_rng(3)
    for spacing_mm in ((2.0, 1.0, 0.7), (1.0, 1.3, 1.1)):
        mask = generator.random((5, 6, 7)) < 0.3
        distance = signed_distance_mm(mask, spacing_mm)
        assert np.abs(distance - brute_force(mask, spacing_mm)).max() < 0.25
        assert np.mean(np.isclose(distance, brute_force(mask, spacing_mm), atol=1e-5)) > 0.9


def test_two_dimensions_equal_a_slice_of_a_long_cylinder():
    disc = sphere(6.0, (0.9, 1.4), (24, 20)) < 0
    cylinder = np.repeat(disc[None], 3, axis=0)
    middle = signed_distance_mm(cylinder, (50.0, 0.9, 1.4))[1]
    np.testing.assert_allclose(signed_distance_mm(disc, (0.9, 1.4)), middle, rtol=1e-6)


def test_complement_flips_the_sign():
    mask = sphere(5.0, (2.0, 1.0, 1.0), (14, 20, 20)) < 0
    inside, outside = (signed_distance_mm(side, (2.0, 1.0, 1.0)) for side in (mask, ~mask))
    np.testing.assert_allclose(inside, -outside, rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), reach_mm=st.floats(0.5, 20))
def test_reach_only_clips(seed, reach_mm):
    generator = np.random.default_rng(seed)
    mask = np.zeros((9, 12, 11), dtype=bool)
    corner = generator.integers(0, 8, 3)
    mask[tuple(slice(start, start + 4) for start in corner)] = generator.random() < 0.9
    everywhere = signed_distance_mm(mask, (2.0, 1.0, 1.5))
    reached = signed_distance_mm(mask, (2.0, 1.0, 1.5), reach_mm=reach_mm)
    expected = np.minimum(everywhere, reach_mm) if mask.any() else everywhere
    np.testing.assert_allclose(reached, expected, rtol=1e-6)


def test_sign_tells_inside_from_outside_and_is_never_zero():
    mask = np.random.default_rng(0).random((6, 7, 8)) < 0.5
    assert np.array_equal(signed_distance_mm(mask, (1.0, 2.0, 3.0)) < 0, mask)
    assert np.all(signed_distance_mm(mask, (1.0, 2.0, 3.0)) != 0)


def test_empty_and_full_masks_are_infinite():
    empty = np.zeros((3, 4, 5), dtype=bool)
    assert np.all(signed_distance_mm(empty, (1, 1, 1), reach_mm=5) == np.inf)
    assert np.all(signed_distance_mm(~empty, (1, 1, 1)) == -np.inf)


def test_result_is_float32_and_the_mask_is_untouched():
    mask = sphere(4.0, (1, 1, 1), (12, 12, 12)) < 0
    before = mask.copy()
    assert signed_distance_mm(mask, (1, 1, 1)).dtype == np.float32
    assert np.array_equal(mask, before)


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0), (1.0, 0.0, 1.0), (1.0, np.nan, 1.0)])
def test_impossible_spacing_is_refused(spacing_mm):
    with pytest.raises(NnmtlError, match="3 positive spacings"):
        signed_distance_mm(np.ones((2, 2, 2), dtype=bool), spacing_mm)


def test_a_region_of_interest_takes_milliseconds():
    mask = sphere(11.0, (1.2, 1.2, 1.2), (40, 48, 48)) < 0
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        signed_distance_mm(mask, (1.2, 1.2, 1.2))
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.05  # 4 ms when the machine is idle
