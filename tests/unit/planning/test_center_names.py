import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnmtl.errors import NnmtlError
from nnmtl.planning.center_names import center_slug, configuration_name, refuse_equal_slugs


@pytest.mark.parametrize(
    ("center", "slug"),
    [
        ("DUKE", "duke"),
        ("St. Mary's (2)", "st-mary-s-2"),
        ("  A__B--C ", "a-b-c"),
        ("Universitätsklinik Gießen", "universitatsklinik-giessen"),
    ],
)
def test_a_slug_has_small_letters_digits_and_single_hyphens(center, slug):
    assert center_slug(center) == slug


@given(st.text(max_size=30))
def test_a_configuration_can_stand_in_nnunets_folder_names(center):
    try:
        name = configuration_name(center)
    except NnmtlError:
        return
    assert re.fullmatch(r"3d_fullres_[a-z0-9]+(-[a-z0-9]+)*", name)
    assert "__" not in name


def test_a_name_without_letter_or_digit_is_refused():
    with pytest.raises(NnmtlError, match="center '北京': expected a name with a letter"):
        center_slug("北京")


def test_two_names_with_one_slug_are_refused():
    with pytest.raises(NnmtlError, match="'St Mary' and 'st-mary' are both 'st-mary'"):
        refuse_equal_slugs(["st-mary", "Other", "St Mary"])


def test_names_that_differ_are_accepted():
    refuse_equal_slugs(["A1", "A2", "B"])
