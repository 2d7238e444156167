"""One image under two ids is found, however it was stored, and judged by whom it belongs to."""

import numpy as np
import pytest
from scipy import ndimage

from nnmtl.cohort.validation_duplicates import check_duplicates

SHAPE = (16, 64, 64)


def picture(seed):
    detail = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), 3)
    return np.rint(500 + 300 * detail / detail.std()).astype(np.int16)


@pytest.fixture
def case(make_content):
    def make(number, image=None, **changes):
        image = picture(number) if image is None else image
        return make_content(number, image=image, tumor=np.zeros(image.shape, bool), **changes)

    return make


def rescaled(image):
    return (image * 0.25 - 40).astype(np.float32)


def resaved(image):
    """Every second voxel of 8 bits: nothing equal is left."""
    low, high = np.percentile(image, (1, 99))
    return np.clip((image[:, ::2, ::2] - low) / (high - low) * 255, 0, 255).astype(np.uint8)


def test_different_images_have_no_findings(case):
    assert check_duplicates([case(number) for number in range(8)]) == []


@pytest.mark.parametrize("store", [np.copy, rescaled, resaved])
def test_a_training_image_among_the_test_cases_is_an_error(case, store):
    cases = [*map(case, range(4)), case(9, store(picture(2)), split="Ts")]
    (finding,) = check_duplicates(cases)
    assert (finding.level, finding.case_ids) == ("error", ("case_02", "case_09"))
    assert "testing is not on new patients" in finding.message


@pytest.mark.parametrize(
    ("store", "patient", "level"),
    [
        (np.copy, "p99", "error"),
        (rescaled, "p99", "warning"),
        (resaved, "p99", "warning"),
        (np.copy, "p02", "warning"),
        (resaved, "p02", "warning"),
    ],
)
def test_among_training_cases_two_patients_of_one_image_weigh_more(case, store, patient, level):
    cases = [*map(case, range(4)), case(9, store(picture(2)), patient_id=patient)]
    (finding,) = check_duplicates(cases)
    assert (finding.level, finding.case_ids) == (level, ("case_02", "case_09"))


def test_a_channel_of_one_case_in_another_channel_of_the_other_is_found(make_content):
    nothing = np.zeros(SHAPE, bool)
    one = make_content(1, tumor=nothing, channels={0: picture(1), 1: picture(2)})
    other = make_content(2, tumor=nothing, channels={0: picture(3), 1: picture(1)})
    (finding,) = check_duplicates([one, other])
    assert "in channel 0 of one and 1 of the other" in finding.message


def test_constant_images_are_not_duplicates(case):
    assert check_duplicates([case(at, np.zeros(SHAPE)) for at in range(3)]) == []


def test_all_pairs_are_compared_when_cases_exceed_a_block(case, monkeypatch):
    monkeypatch.setattr("nnmtl.cohort.validation_duplicates._AT_ONCE", 2)
    cases = [*map(case, range(5)), case(9, rescaled(picture(0))), case(10, rescaled(picture(4)))]
    found = {finding.case_ids for finding in check_duplicates(cases)}
    assert found == {("case_00", "case_09"), ("case_04", "case_10")}
