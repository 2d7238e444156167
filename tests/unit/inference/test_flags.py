import numpy as np
import pytest

from nnmtl.inference.flags import case_flags

SPACING = (2.0, 1.0, 1.0)


def mask_of(*boxes, shape=(20, 40, 40)):
    mask = np.zeros(shape, dtype=bool)
    for box in boxes:
        mask[box] = True
    return mask


def flags(mask, *, is_truncated=False, is_phantom=False, spacing_mm=SPACING):
    return case_flags(mask, spacing_mm, is_truncated=is_truncated, is_phantom=is_phantom)


TUMOR = (slice(5, 10), slice(10, 20), slice(10, 20))  # 1 ml, 10 mm


def test_an_ordinary_tumor_has_no_flag():
    assert flags(mask_of(TUMOR)) == []


def test_an_empty_mask_is_flagged_and_nothing_else_is_said_of_it():
    assert flags(mask_of(), is_truncated=True) == ["EMPTY_SEG"]


@pytest.mark.parametrize(
    ("box", "spacing", "is_tiny"),
    [
        ((slice(5, 6), slice(10, 14), slice(10, 14)), SPACING, True),  # 0.03 ml, 4 mm
        ((slice(5, 6), slice(10, 11), slice(10, 30)), SPACING, True),  # 0.04 ml, though 20 mm
        ((slice(8, 12), slice(10, 14), slice(10, 14)), (1.2, 1.2, 1.2), True),  # 4.8 mm each way
        ((slice(8, 13), slice(10, 15), slice(10, 15)), (1.0, 1.0, 1.0), False),  # 0.125 ml, 5 mm
    ],
)
def test_a_tumor_under_a_tenth_of_a_milliliter_or_5_mm_is_tiny(box, spacing, is_tiny):
    assert ("TINY_LESION" in flags(mask_of(box), spacing_mm=spacing)) == is_tiny


def test_two_separate_parts_are_flagged():
    other = (slice(15, 18), slice(30, 35), slice(30, 35))
    assert flags(mask_of(TUMOR, other)) == ["MULTI_LESION"]


def test_parts_that_share_a_corner_are_one_lesion():
    corner = (slice(10, 13), slice(20, 25), slice(20, 25))
    assert flags(mask_of(TUMOR, corner)) == []


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("side", [0, -1])
def test_a_tumor_at_the_border_is_flagged(axis, side):
    mask = mask_of(TUMOR)
    box = list(TUMOR)
    box[axis] = slice(0, TUMOR[axis].stop) if side == 0 else slice(TUMOR[axis].start, None)
    mask[tuple(box)] = True
    assert flags(mask) == ["TOUCHES_FOV"]


def test_a_truncated_tumor_is_flagged():
    assert flags(mask_of(TUMOR), is_truncated=True) == ["ROI_TRUNCATED"]


@pytest.mark.parametrize("mask", [mask_of(TUMOR), mask_of()])
def test_a_model_of_phantoms_always_says_so_first(mask):
    assert flags(mask, is_phantom=True)[0] == "PHANTOM_MODEL"


def test_a_missing_covariate_is_flagged():
    found = case_flags(
        mask_of(TUMOR), SPACING, is_truncated=False, is_phantom=False, lacks_covariate=True
    )
    assert found == ["MISSING_COVARIATE"]
