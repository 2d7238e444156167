import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nnmtl.inference.roi import roi_box, roi_center


def voxels_of(*slices, shape=(40, 50, 60)):
    mask = np.zeros(shape, dtype=bool)
    mask[slices] = True
    return np.argwhere(mask)


def test_the_center_is_the_middle_of_a_box():
    assert roi_center(voxels_of(slice(10, 21), slice(20, 31), slice(5, 46))) == (15, 25, 25)


def test_a_stray_voxel_does_not_move_the_center():
    box = voxels_of(slice(10, 21), slice(20, 31), slice(30, 41))
    strayed = np.concatenate([box, [[0, 0, 0], [39, 0, 59]]])
    assert roi_center(strayed) == roi_center(box)


def test_an_irregular_tumor_is_centered_on_its_extent_not_on_its_mass():
    thick = voxels_of(slice(10, 20), slice(10, 20), slice(10, 20))
    tail = voxels_of(slice(14, 16), slice(14, 16), slice(20, 50))
    center = roi_center(np.concatenate([thick, tail]))
    mass = np.concatenate([thick, tail]).mean(0)
    assert center[2] > mass[2] + 3


def test_one_voxel_is_its_own_center():
    assert roi_center(np.array([[3, 4, 5]])) == (3, 4, 5)


@given(
    st.lists(st.tuples(st.integers(-20, 80), st.integers(1, 64)), min_size=2, max_size=3),
)
def test_a_box_has_its_size_and_holds_its_center(axes):
    center, size = zip(*axes, strict=True)
    for (first, last), middle, edge in zip(roi_box(center, size), center, size, strict=True):
        assert last - first == edge
        assert first <= middle < last
        assert abs((first + last) / 2 - middle) <= 1
