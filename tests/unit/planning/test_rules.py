"""Decisions of the planner: what they guarantee for any cohort."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnmtl.planning.rules import (
    ROI_MARGIN_MM,
    aligned_centers,
    planned_epochs,
    roi_size_voxels,
    shrink_patch,
    tap_stages,
    total_stride,
)

STRIDES = [[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2]]
millimeters = st.floats(1.0, 120.0)
spacings = st.floats(0.5, 6.0)
steps = st.sampled_from([1, 2, 4, 8, 16])


@given(st.lists(st.tuples(millimeters, spacings, steps), min_size=2, max_size=3))
def test_the_region_of_interest_covers_tumor_and_margins_in_whole_steps(axes):
    extent, spacing, divisor = (list(values) for values in zip(*axes, strict=True))
    size = roi_size_voxels(
        extent, spacing_mm=spacing, peritumoral_mm=5, divisor=divisor, largest=[10**4] * len(axes)
    )
    for voxels, (tumor_mm, voxel_mm, step) in zip(size, axes, strict=True):
        needed_mm = tumor_mm + 2 * (5 + ROI_MARGIN_MM)
        assert voxels % step == 0
        assert voxels * voxel_mm >= needed_mm * (1 - 1e-12)
        assert (voxels - step) * voxel_mm < needed_mm  # and no step more than that


def test_a_region_of_interest_stays_within_its_bound_but_has_one_step():
    size = roi_size_voxels(
        [100, 100, 100], spacing_mm=[1, 1, 1], peritumoral_mm=5, divisor=[8, 8, 8],
        largest=[50, 64, 3],
    )  # fmt: skip
    assert size == (48, 64, 8)


def test_the_total_stride_multiplies_the_stages():
    assert total_stride(STRIDES) == (4, 8, 8)


@given(
    st.lists(st.tuples(st.integers(2, 12), steps), min_size=2, max_size=3), st.integers(64, 10**6)
)
def test_a_patch_is_shrunk_to_its_budget_in_whole_steps(axes, budget):
    divisor = [step for _, step in axes]
    patch = [count * step for count, step in axes]
    shrunk = shrink_patch(patch, divisor=divisor, max_voxels=budget)
    assert all(size % step == 0 for size, step in zip(shrunk, divisor, strict=True))
    assert all(2 * step <= size for size, step in zip(shrunk, divisor, strict=True))
    assert all(size <= whole for size, whole in zip(shrunk, patch, strict=True))
    smallest = math.prod(2 * step for step in divisor)
    assert math.prod(shrunk) <= max(budget, smallest)


def test_a_patch_within_its_budget_stays():
    assert shrink_patch([32, 64, 48], divisor=[4, 8, 8], max_voxels=32 * 64 * 48) == (32, 64, 48)


def test_a_shrunk_patch_keeps_its_proportions():
    shrunk = shrink_patch([64, 128, 128], divisor=[4, 8, 8], max_voxels=64 * 128 * 128 // 8)
    assert shrunk == (32, 64, 64)


@pytest.mark.parametrize(
    ("spacing", "roi_size", "thinnest", "taps"),
    [
        ((1, 1, 1), (64, 64, 64), 2.5, (0, 1, 2, 3)),
        ((3, 3, 3), (64, 64, 64), 2.5, (0, 1, 2)),  # finest edge of a voxel: 3, 3, 6, 12 mm
        ((1, 1, 1), (64, 16, 64), 2.5, (0, 1, 2)),  # the last map would be 2 voxels high
        ((20, 20, 20), (8, 8, 8), 2.5, (0,)),
        ((1, 1, 1), (64, 64, 64), math.inf, (0, 1, 2, 3)),
    ],
)
def test_stages_too_coarse_for_the_regions_are_not_tapped(spacing, roi_size, thinnest, taps):
    found = tap_stages(STRIDES, spacing_mm=spacing, roi_size=roi_size, thinnest_mm=thinnest)
    assert found == taps


@given(st.integers(1, 10**5), st.integers(1, 64), st.integers(1, 500))
def test_epochs_stay_within_bounds(num_train, batch, iterations):
    epochs = planned_epochs(num_train, roi_batch_size=batch, iterations_per_epoch=iterations)
    assert 40 <= epochs <= 1000


def test_epochs_show_every_case_250_times():
    assert planned_epochs(800, roi_batch_size=8, iterations_per_epoch=250) == 100
    assert planned_epochs(80, roi_batch_size=8, iterations_per_epoch=250) == 40


@given(st.integers(1, 10**4))
def test_more_cases_never_mean_fewer_epochs(num_train):
    def epochs(number):
        return planned_epochs(number, roi_batch_size=8, iterations_per_epoch=250)

    assert epochs(num_train + 1) >= epochs(num_train)


def test_centers_are_aligned_where_a_fold_trains_on_enough_patients_of_them():
    assert aligned_centers([500]) == 1
    assert aligned_centers([25, 24, 300]) == 2
    assert aligned_centers([3, 4]) == 1
    assert aligned_centers([]) == 1
