"""Dice and HD95 on shapes whose values are known."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from nnmtl.evaluation.segmentation import diagonal_mm, dice, hausdorff_95_mm


def cube(shape: tuple[int, int, int], start: tuple[int, int, int], size: int) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(first, first + size) for first in start)] = True
    return mask


def ball(shape: tuple[int, ...], radius_mm: float, spacing_mm: tuple[float, ...]) -> np.ndarray:
    axes = [
        (np.arange(length) - (length - 1) / 2) * step
        for length, step in zip(shape, spacing_mm, strict=True)
    ]
    squares = np.meshgrid(*[axis**2 for axis in axes], indexing="ij")
    return np.asarray(sum(squares) <= radius_mm**2)


def test_dice_of_half_overlapping_cubes_is_a_half() -> None:
    first = cube((20, 20, 20), (4, 4, 4), 8)
    second = cube((20, 20, 20), (8, 4, 4), 8)
    assert dice(first, second) == 0.5
    assert dice(first, first) == 1


@pytest.mark.parametrize(("axis", "expected_mm"), [(0, 3 * 4.0), (1, 3 * 1.0), (2, 3 * 0.5)])
def test_the_distance_of_a_shifted_cube_is_the_shift_in_mm(axis: int, expected_mm: float) -> None:
    # A flat slab: every voxel of it is surface, so far more than 5 % are at the full shift.
    slab = np.zeros((12, 12, 12), dtype=bool)
    slab[tuple(slice(3, 4) if axis == other else slice(2, 10) for other in range(3))] = True
    shifted = np.roll(slab, 3, axis=axis)
    assert hausdorff_95_mm(slab, shifted, (4.0, 1.0, 0.5)) == pytest.approx(expected_mm)


def test_concentric_balls_are_apart_by_the_difference_of_radii() -> None:
    spacing_mm = (2.0, 1.0, 1.0)
    small, large = (ball((31, 61, 61), radius, spacing_mm) for radius in (12, 20))
    assert hausdorff_95_mm(small, large, spacing_mm) == pytest.approx(8, abs=1.0)


def test_the_distance_equals_brute_force_over_surface_points() -> None:
    generator = np.random.default_rng(0)
    spacing_mm = (3.0, 1.0, 0.7)
    masks = [generator.random((9, 11, 13)) < 0.1 for _ in range(2)]
    # Such sparse masks consist of surface only, so their points can be taken as they are.
    points = [np.argwhere(mask) * spacing_mm for mask in masks]
    directed = [
        np.percentile(cKDTree(points[1 - side]).query(points[side])[0], 95) for side in (0, 1)
    ]
    assert hausdorff_95_mm(masks[0], masks[1], spacing_mm) == pytest.approx(max(directed))


def test_the_distance_is_symmetric_and_zero_for_equal_masks() -> None:
    first = cube((20, 20, 20), (4, 4, 4), 8)
    second = cube((20, 20, 20), (0, 9, 2), 5)
    spacing_mm = (2.0, 1.0, 1.0)
    assert hausdorff_95_mm(first, second, spacing_mm) == hausdorff_95_mm(second, first, spacing_mm)
    assert hausdorff_95_mm(first, first, spacing_mm) == 0


def test_a_missed_tumor_gets_the_worst_values() -> None:
    tumor, empty = cube((10, 20, 20), (2, 2, 2), 4), np.zeros((10, 20, 20), dtype=bool)
    spacing_mm = (3.0, 1.0, 1.0)
    worst = np.sqrt(30**2 + 20**2 + 20**2)
    assert diagonal_mm(tumor.shape, spacing_mm) == pytest.approx(worst)
    for predicted, truth in ((empty, tumor), (tumor, empty)):
        assert dice(predicted, truth) == 0
        assert hausdorff_95_mm(predicted, truth, spacing_mm) == pytest.approx(worst)


def test_agreeing_that_there_is_no_tumor_is_right() -> None:
    empty = np.zeros((4, 4, 4), dtype=bool)
    assert dice(empty, empty) == 1
    assert hausdorff_95_mm(empty, empty, (1.0, 1.0, 1.0)) == 0
