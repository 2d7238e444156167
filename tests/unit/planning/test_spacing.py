"""Voxel sizes: the shared one and each center's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnmtl.planning.spacing import (
    balanced_median,
    clamped_spacing,
    reference_spacing,
    reference_view_mm,
    spacing_alone,
)

millimeters = st.floats(0.3, 8.0)
groups = st.lists(st.tuples(millimeters, st.integers(1, 500)), min_size=1, max_size=12)


def test_a_center_alone_has_its_median_spacing(make_center):
    assert spacing_alone(make_center(spacing=(2.0, 1.0, 0.9))) == (2.0, 1.0, 0.9)


@pytest.mark.parametrize(
    ("fine", "planned"),
    [(5.0, 5.0), (0.5, 1.5 + 1e-5)],  # never finer than the other axes
)
def test_thick_and_few_slices_take_the_fine_end_as_in_nnunet(fine, planned, make_center):
    center = make_center(spacing=(10.0, 1.5, 1.5), fine=(fine, 1.5, 1.5), shape=(12, 200, 200))
    assert spacing_alone(center) == (planned, 1.5, 1.5)


@pytest.mark.parametrize(
    ("spacing", "shape"),
    [((3.0, 1.0, 1.0), (12, 200, 200)), ((10.0, 1.5, 1.5), (70, 200, 200))],
)
def test_thick_slices_that_are_many_or_not_so_thick_stay(spacing, shape, make_center):
    assert spacing_alone(make_center(spacing=spacing, fine=(1, 1, 1), shape=shape)) == spacing


def test_one_large_center_does_not_set_the_shared_grid(make_center):
    thick = make_center("Thick", 900, (3.0, 1.0, 1.0))
    others = [make_center(name, 100, (1.0, 1.0, 1.0)) for name in "ABCD"]
    assert reference_spacing([thick, *others]) == (1.0, 1.0, 1.0)


def test_one_small_center_weighs_less_than_a_large_one(make_center):
    large = make_center("Large", 100, (2.0, 2.0, 2.0))
    assert reference_spacing([large, make_center("Small", 99)]) == (2.0, 2.0, 2.0)


def test_between_two_equal_centers_it_is_midway_in_proportion(make_center):
    both = [make_center("A", 10, (1, 1, 1)), make_center("B", 10, (4, 1, 1))]
    assert reference_spacing(both) == (2.0, 1.0, 1.0)


def test_the_shared_view_is_balanced_alike(make_center):
    both = [make_center("A", 9, shape=(100, 50, 50)), make_center("B", 4, shape=(64, 64, 64))]
    assert reference_view_mm(both) == (100, 50, 50)


def test_a_single_center_shares_its_own_grid(make_center):
    center = make_center(spacing=(2.03125, 0.7031, 0.7))
    assert reference_spacing([center]) == spacing_alone(center)


@given(groups)
def test_the_balanced_median_has_half_of_the_weight_on_either_side(pairs):
    values, counts = zip(*pairs, strict=True)
    median = balanced_median(values, counts)
    weights, array = np.sqrt(counts), np.array(values)
    half = weights.sum() / 2 * (1 + 1e-9)
    assert weights[array < median].sum() <= half
    assert weights[array > median].sum() <= half


@given(groups, st.randoms())
def test_the_balanced_median_does_not_depend_on_the_order(pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    assert balanced_median(*zip(*pairs, strict=True)) == balanced_median(
        *zip(*shuffled, strict=True)
    )


@given(millimeters, millimeters, st.floats(1.0, 2.0))
def test_a_center_stays_in_the_band_and_moves_no_more_than_it_must(alone, shared, factor):
    (planned,) = clamped_spacing([alone], [shared], factor=factor)
    assert shared / factor <= planned <= shared * factor
    if shared / factor <= alone <= shared * factor:
        assert planned == alone or (planned == shared and abs(alone / shared - 1) < 0.0101)
    else:
        assert math.isclose(planned, shared * factor if alone > shared else shared / factor) or (
            planned == shared
        )


def test_a_band_of_one_puts_all_centers_on_one_grid():
    assert clamped_spacing([3.0, 0.5], [1.0, 0.7], factor=1) == (1.0, 0.7)


def test_rounding_in_a_header_is_no_other_grid():
    assert clamped_spacing([0.703125], [0.7031], factor=1.4) == (0.7031,)
    assert clamped_spacing([0.72], [0.7031], factor=1.4) == (0.72,)
