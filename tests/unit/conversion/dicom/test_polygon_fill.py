import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline

from nnmtl.dataset_conversion._polygon_fill import fill_polygons
from nnmtl.errors import NnmtlError

SHAPE = (9, 11)


def square(low, high):
    return np.array([(low, low), (high, low), (high, high), (low, high)], dtype=float)


def centers():
    y, x = np.indices(SHAPE)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def distances(polygon):
    """From each voxel's center to the nearest edge."""
    start, way = polygon, np.roll(polygon, -1, axis=0) - polygon
    from_start = centers()[:, None] - start
    share = ((from_start * way).sum(-1) / (way**2).sum(-1)).clip(0, 1)
    nearest = np.linalg.norm(from_start - share[..., None] * way, axis=-1).min(axis=1)
    return nearest.reshape(SHAPE)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), corners=st.integers(3, 12))
@example(seed=880, corners=4)  # a center 0.00015 beside an edge, which counts as on it
def test_any_polygon_encloses_what_matplotlib_says(seed, corners):
    polygon = np.random.default_rng(seed).uniform(-2, 12, (corners, 2)).round(3) + 0.0005
    expected = Outline(polygon).contains_points(centers()).reshape(SHAPE)
    is_told = distances(polygon) > 0.002  # nearer ones are on the border, whatever their side
    assert is_told.mean() > 0.9
    filled = fill_polygons([polygon], SHAPE, may_cross=False)
    np.testing.assert_array_equal(filled[is_told], expected[is_told])


def test_a_polygon_within_another_is_a_hole_and_one_within_that_an_island():
    rings = [square(0.5, 7.5), square(2.5, 5.5), square(3.5, 4.5)]
    expected = np.zeros(SHAPE, dtype=bool)
    expected[1:8, 1:8] = True
    expected[3:6, 3:6] = False
    expected[4, 4] = True
    np.testing.assert_array_equal(fill_polygons(rings, SHAPE, may_cross=False), expected)


def test_a_polygon_that_runs_in_around_and_back_has_a_hole():
    keyhole = np.concatenate([square(0.5, 7.5), square(0.5, 7.5)[:1], square(2.5, 5.5)[::-1]])
    keyhole = np.concatenate([keyhole, square(2.5, 5.5)[-1:], square(0.5, 7.5)[:1]])
    rings = [square(0.5, 7.5), square(2.5, 5.5)]
    np.testing.assert_array_equal(
        fill_polygons([keyhole], SHAPE, may_cross=False)[:, 3:],
        fill_polygons(rings, SHAPE, may_cross=False)[:, 3:],
    )


@pytest.mark.parametrize("error", [0, 3e-5, -3e-5])
def test_voxels_on_the_border_count_however_files_round(error):
    expected = np.zeros(SHAPE, dtype=bool)
    expected[2:6, 2:6] = True
    filled = fill_polygons([square(2 + error, 5 - error)], SHAPE, may_cross=False)
    np.testing.assert_array_equal(filled, expected)


def test_a_contour_that_stands_twice_counts_once():
    once, twice = ([square(0.5, 4.5)] * count for count in (1, 2))
    np.testing.assert_array_equal(
        fill_polygons(twice, SHAPE, may_cross=False), fill_polygons(once, SHAPE, may_cross=False)
    )


def test_crossing_contours_are_refused_unless_the_shared_area_is_meant_to_be_left_out():
    crossing = [square(0.5, 4.5), square(2.5, 7.5)]
    with pytest.raises(NnmtlError, match="two that cross in a slice"):
        fill_polygons(crossing, SHAPE, may_cross=False)
    assert fill_polygons(crossing, SHAPE, may_cross=True).sum() == 16 + 25 - 2 * 4
