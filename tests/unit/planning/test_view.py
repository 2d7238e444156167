"""Patches and regions of interest that show the same millimeters on every grid."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnmtl.planning.view import batch_size_within, covering_view, equal_view, within_images

steps = st.sampled_from([1, 2, 4, 8, 16, 32])
axes = st.tuples(st.integers(1, 12), steps, st.floats(0.3, 8.0), st.floats(1 / 1.4, 1.4))


@given(st.lists(axes, min_size=3, max_size=3))
def test_a_patch_has_the_same_view_within_one_step(each):
    size = [count * step for count, step, _, _ in each]
    divisor = [step for _, step, _, _ in each]
    of_mm = [mm for _, _, mm, _ in each]
    at_mm = [mm * factor for _, _, mm, factor in each]
    found = equal_view(size, of_mm=of_mm, at_mm=at_mm, divisor=divisor)
    for axis in range(3):
        assert found[axis] % divisor[axis] == 0
        assert found[axis] >= min(2 * divisor[axis], size[axis])
        missing = abs(found[axis] * at_mm[axis] - size[axis] * of_mm[axis])
        assert missing <= divisor[axis] * at_mm[axis] * (1 + 1e-9)


@given(st.lists(axes, min_size=3, max_size=3))
def test_a_region_of_interest_covers_the_view_with_less_than_a_step_more(each):
    size = [count * step for count, step, _, _ in each]
    divisor = [step for _, step, _, _ in each]
    of_mm = [mm for _, _, mm, _ in each]
    at_mm = [mm * factor for _, _, mm, factor in each]
    found = covering_view(size, of_mm=of_mm, at_mm=at_mm, divisor=divisor)
    for axis in range(3):
        more = found[axis] * at_mm[axis] - size[axis] * of_mm[axis]
        step_mm = divisor[axis] * at_mm[axis]
        assert found[axis] % divisor[axis] == 0
        assert -1e-5 * step_mm <= more < step_mm


def test_a_finer_center_takes_more_voxels():
    found = equal_view([64, 128, 128], of_mm=[2, 1, 1], at_mm=[1, 1, 0.8], divisor=[8, 16, 16])
    assert found == (128, 128, 160)


def test_a_patch_is_nearest_and_a_region_of_interest_is_rounded_up():
    grids = {"of_mm": [1.0], "at_mm": [0.9], "divisor": [16]}
    assert equal_view([64], **grids) == (64,)
    assert covering_view([64], **grids) == (80,)


def test_a_view_that_fits_exactly_takes_no_step_more():
    assert covering_view([96], of_mm=[0.1], at_mm=[0.3], divisor=[32]) == (32,)


@pytest.mark.parametrize(
    ("view", "size"),
    [(200.0, 128), (100.0, 112), (10.0, 32)],  # two steps stay, however small the images
)
def test_a_patch_is_no_larger_than_the_images(view, size):
    found = within_images([128], view_mm=[view], spacing_mm=[1.0], divisor=[16], reference=[128])
    assert found == (size,)


@given(st.integers(2, 40), st.lists(st.integers(16, 256), min_size=6, max_size=6))
def test_a_batch_holds_no_more_voxels_than_the_shared_one(batch, edges):
    shared, patch = edges[:3], edges[3:]
    found = batch_size_within(batch, of=shared, patch=patch)
    assert 2 <= found <= batch
    assert found == 2 or found * math.prod(patch) <= batch * math.prod(shared)
