import math

import numpy as np
import pytest

from nnmtl.cohort.case_geometry import CaseGeometry, check_geometries, measure_tumor
from nnmtl.errors import NnmtlError


def geometry(shape=(20, 30, 40), spacing_mm=(1.0, 1.0, 1.0)):
    return CaseGeometry(
        shape=shape, spacing_mm=spacing_mm, tumor_extent_mm=None, tumor_volume_ml=None
    )


def test_lesions_that_share_a_corner_are_one():
    mask = np.zeros((6, 6, 6), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    mask[5, 5, 5] = True
    assert measure_tumor(mask, (1, 1, 1)).num_lesions == 2


def test_without_tumor_there_is_no_lesion():
    assert measure_tumor(np.zeros((3, 3, 3), bool), (1, 1, 1)).num_lesions == 0


def test_the_extent_spans_all_lesions():
    mask = np.zeros((10, 10, 10), bool)
    mask[1:3, 4, 4] = mask[8, 2, 4] = True
    measured = measure_tumor(mask, (2.0, 0.5, 1.0))
    assert measured.tumor_extent_mm == (16.0, 1.5, 1.0)
    assert measured.tumor_volume_ml == pytest.approx(3 / 1000)


@pytest.mark.parametrize("spacing", [0.0, -1.0, math.nan, math.inf])
def test_an_impossible_spacing_is_refused_with_its_case(spacing):
    cases = {"good": geometry(), "bad": geometry(spacing_mm=(1.0, spacing, 1.0))}
    with pytest.raises(NnmtlError, match=r"^raw: case 'bad': expected a positive voxel spacing"):
        check_geometries(cases, where="raw")


def test_two_and_three_dimensions_in_one_cohort_are_refused_with_a_case_of_each():
    cases = {"flat": geometry(shape=(1, 30, 40)), "solid": geometry()}
    with pytest.raises(NnmtlError, match=r"1 have one slice .*'flat'.* 1 have several .*'solid'"):
        check_geometries(cases, where="raw")


@pytest.mark.parametrize("shape", [(1, 30, 40), (20, 30, 40)])
def test_a_cohort_of_either_is_accepted(shape):
    check_geometries({"a": geometry(shape=shape), "b": geometry(shape=shape)}, where="raw")
