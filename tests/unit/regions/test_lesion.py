import numpy as np

from nnmtl.regions.lesion import largest_lesion


def test_only_the_largest_part_stays():
    mask = np.zeros((6, 8, 8), dtype=bool)
    mask[1:4, 1:4, 1:4] = True
    mask[5, 7, 7] = True
    kept = largest_lesion(mask)
    assert kept.sum() == 27
    assert not kept[5, 7, 7]


def test_parts_that_share_a_corner_are_one():
    mask = np.zeros((4, 4), dtype=bool)
    mask[0, 0] = mask[1, 1] = True
    assert np.array_equal(largest_lesion(mask), mask)


def test_an_empty_mask_stays_empty():
    assert not largest_lesion(np.zeros((3, 3, 3), dtype=bool)).any()
