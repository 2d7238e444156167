"""Planted defects of grids, intensities and masks are found, each once; a sound center has none."""

import numpy as np
import pytest

from nnmtl.cohort.validation_grids import check_grids
from nnmtl.cohort.validation_intensity import check_intensities
from nnmtl.cohort.validation_masks import check_masks

SHAPE = (8, 12, 12)


@pytest.fixture
def check(make_content):
    def check_with(*odd, is_reoriented=False):
        """All findings about ten sound cases and some that are odd."""
        cases = [*(make_content(number) for number in range(10)), *odd]
        return [
            *check_grids(cases, is_reoriented=is_reoriented),
            *check_intensities(cases),
            *check_masks(cases, known_labels={0, 1}),
        ]

    return check_with


def noise(low=50, high=900):
    return np.random.default_rng(99).integers(low, high, SHAPE)


def box(*edges):
    tumor = np.zeros(SHAPE, bool)
    tumor[tuple(slice(*edge) for edge in edges)] = True
    return tumor


def specks():
    """Single voxels apart from each other."""
    tumor = np.zeros(SHAPE, bool)
    tumor[1:7:2, 1:11:2, 1:11:2] = True
    return tumor


def almost_empty():
    image = np.zeros(SHAPE)
    image[4, 4, 4] = 9
    return image


DEFECTS = {
    "another orientation": ({"orientation": "LPI"}, "warning", "orientation: the images of center"),
    "another spacing": ({"spacing_mm": (3.0, 1.0, 4.0)}, "warning", "voxels of 4 mm along x"),
    "shear": ({"shear": 0.1}, "warning", "'case_77' are not at right angles"),
    "constant": ({"image": np.full(SHAPE, 3)}, "error", "one value in every voxel of channel 0"),
    "nearly empty": ({"image": almost_empty()}, "warning", "nearly empty in channel 0: 0.09%"),
    "lost slope": ({"image": 1000 * noise()}, "warning", "channel 0 span 1"),
    "fractions": ({"image": noise() / 1000}, "warning", "channel 0 span 0.001"),
    "negative": ({"image": noise() - 300}, "warning", "channel 0 has negative values"),
    "copy": (
        {"channels": {0: noise(), 1: 2 * noise() + 5}}, "warning", "channels 0 and 1 of 'case_77'",
    ),
    "outside": ({"body": box((0, 2), (0, 2), (0, 2))}, "warning", "100% outside the body"),
    "tiny": ({"tumor": box((3, 4), (3, 5), (3, 6))}, "warning", "has 6 voxels"),
    "many parts": ({"tumor": specks()}, "warning", "has 75 parts, 75 of them under 8 voxels"),
    "border": ({"tumor": box((0, 4), (3, 8), (3, 8))}, "note", "touches the image's border"),
    "unknown label": (
        {"split": "Ts", "label_map": np.full(SHAPE, 5)}, "error", "'case_77' holds [5]",
    ),
}  # fmt: skip


def test_a_sound_center_has_no_findings(check):
    assert check() == []


@pytest.mark.parametrize(("changes", "level", "message"), DEFECTS.values(), ids=DEFECTS)
def test_a_planted_defect_is_the_one_finding(check, make_content, changes, level, message):
    (finding,) = check(make_content(77, **changes))
    assert message in finding.message
    assert (finding.level, finding.case_ids) == (level, ("case_77",))
    assert "case_77" in finding.message
    assert "\n" not in finding.message


def test_orientations_do_not_matter_to_a_reader_that_turns_them(check, make_content):
    assert check(make_content(77, orientation="LPI"), is_reoriented=True) == []


def test_centers_of_different_orientation_are_one_finding(check, make_content):
    others = [make_content(50 + at, center="B", orientation="LPI") for at in range(3)]
    (finding,) = check(*others)
    assert "'A' RAS, 'B' LPI" in finding.message


def test_a_center_of_various_spacings_and_gains_has_no_outlier(make_content):
    cases = [
        make_content(at, image=noise(0, 900) * 1.8**at, spacing_mm=(1.0 + at, 1.0, 1.0))
        for at in range(10)
    ]
    assert check_grids(cases, is_reoriented=True) + check_intensities(cases) == []


def test_too_few_cases_tell_nothing_of_what_is_usual(make_content):
    cases = [make_content(at) for at in range(3)]
    cases.append(make_content(9, image=1000 * noise(), spacing_mm=(30.0, 1.0, 1.0)))
    assert check_grids(cases, is_reoriented=True) + check_intensities(cases) == []


def test_a_lost_offset_of_ct_is_found(make_content):
    cases = [make_content(at, image=noise() - 400 + at) for at in range(12)]
    (finding,) = check_intensities([*cases, make_content(77)])
    assert "no negative values" in finding.message
    assert finding.case_ids == ("case_77",)


def test_many_lesions_are_usual_where_all_have_them(make_content):
    cases = [make_content(at, tumor=specks()) for at in range(6)]
    assert check_masks(cases, known_labels={0, 1}) == []


def test_a_flat_image_has_no_border_across_its_slice(make_content):
    tumor = np.zeros((1, 12, 12), bool)
    tumor[0, 4:8, 4:8] = True
    case = make_content(0, image=noise()[:1], tumor=tumor)
    assert not case.mask.touches_border
