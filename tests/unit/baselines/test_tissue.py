"""The hard shells are those of nnmtl.regions, and the intensity scale is free of the scanner's."""

import math
import subprocess
import sys

import numpy as np
import pytest

from nnmtl.baselines.tissue import REFERENCE_MM, SHELLS, find_surroundings, log_enhancement
from nnmtl.regions.body import body_mask
from nnmtl.regions.distance import signed_distance_mm
from nnmtl.regions.weights import CORE, DISTANT, PERITUMORAL, RIM, region_label_map


@pytest.mark.parametrize("radius_mm", [3.0, 9.0])
def test_shells_are_the_regions_of_the_package(case, ball, radius_mm):
    images, _, spacing_mm = case
    mask = ball(radius_mm)
    shells = find_surroundings(images[0], mask, spacing_mm).shells
    regions = (CORE, RIM, PERITUMORAL, DISTANT)
    label_map = region_label_map(mask, spacing_mm, regions, body=body_mask(images[0]))
    assert tuple(shells) == SHELLS == tuple(region.name for region in regions)
    for number, name in enumerate(SHELLS, start=1):
        np.testing.assert_array_equal(shells[name], label_map == number, err_msg=name)


def test_only_the_largest_lesion_has_surroundings(case):
    images, mask, spacing_mm = case
    with_speck = mask.copy()
    with_speck[1, 5, 5] = True
    found = find_surroundings(images[0], with_speck, spacing_mm)
    np.testing.assert_array_equal(found.lesion, mask)


def test_reference_is_tissue_away_from_the_tumor(case):
    images, mask, spacing_mm = case
    reference = find_surroundings(images[0], mask, spacing_mm).reference
    assert (images[0][reference] > 50).mean() > 0.95  # the rest is air along the skin
    assert signed_distance_mm(mask, spacing_mm)[reference].min() > REFERENCE_MM


def test_an_image_without_distant_tissue_still_has_a_reference(case):
    images, _, spacing_mm = case
    everywhere = np.ones(images[0].shape, dtype=bool)
    assert find_surroundings(images[0], everywhere, spacing_mm).reference.any()


def test_enhancement_is_one_in_the_reference_and_two_in_a_tumor_twice_as_bright(case):
    images, mask, spacing_mm = case
    reference = find_surroundings(images[0], mask, spacing_mm).reference
    values = log_enhancement(images[0], reference)
    assert np.median(values[reference]) == pytest.approx(math.log(1.1), abs=0.01)
    assert np.median(values[mask]) == pytest.approx(math.log(2.1), abs=0.02)


def test_gain_and_offset_do_not_matter(case):
    images, mask, spacing_mm = case
    reference = find_surroundings(images[0], mask, spacing_mm).reference
    scaled = log_enhancement(0.03 * images[0] + 700, reference)
    np.testing.assert_allclose(scaled, log_enhancement(images[0], reference), atol=1e-3)


def test_a_constant_image_is_a_missing_channel(case):
    _, mask, _ = case
    assert log_enhancement(np.zeros(mask.shape, np.float32), ~mask) is None


def test_the_room_works_without_torch():
    code = (
        "import sys, nnmtl.baselines.fold, nnmtl.baselines.radiomics\n"
        "assert 'torch' not in sys.modules and 'nnunetv2' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
