"""What is told of a center that the model has not seen."""

import math

import numpy as np
import pytest

from nnmtl.cohort.appearance import appearance_space
from nnmtl.cohort.center_facts import CenterFacts
from nnmtl.cohort.group_geometry import CohortGeometry
from nnmtl.planning.new_center import differences, verdict


def images(num, shift=0.0, seed=0):
    return np.random.default_rng(seed).normal(shift, 1.0, (num, 5))


@pytest.fixture
def facts(make_center):
    space = appearance_space(
        np.concatenate([images(30), images(30, shift=2.0)]), ["A"] * 30 + ["B"] * 30
    )
    return CenterFacts(
        centers=("A", "B"),
        geometry=CohortGeometry(overall=make_center("overall"), centers=()),
        view_range_mm=((100.0, 150.0),) * 3,
        spacing_range_mm=((1.0, 2.0),) * 3,
        orientations={"LPS": 60},
        appearance=space,
    )


@pytest.fixture
def compare(facts, make_center):
    def compare(spacing=(1.5,) * 3, shift=0.0, num=12, **options):
        shape = [120 / mm for mm in spacing]
        options = {"orientations": {"LPS": num}, "reorients": False} | options
        center = make_center("C", num, spacing=spacing, shape=shape)
        found = differences(center, images(num, shift, seed=9), facts, **options)
        return {each.item: each for each in found}

    return compare


def test_images_like_those_of_training_are_so_in_every_respect(compare):
    found = compare()
    assert {each.level for each in found.values()} == {"as in training"}
    assert "most like A" in found["intensity"].sentence
    assert "still check" in verdict(list(found.values()), center="C")


@pytest.mark.parametrize(
    ("spacing", "level", "told"),
    [
        (2.01, "as in training", "as large as"),
        (2.5, "at the edge", "1.25 times larger"),
        (3.0, "outside training", "1.50 times larger than any"),
        (0.5, "outside training", "2.00 times smaller than any"),
    ],
)
def test_voxels_are_judged_by_their_factor_beyond_the_training_centers(
    compare, spacing, level, told
):
    found = compare(spacing=(1.5, spacing, 1.5))["spacing"]
    assert found.level == level
    assert told in found.sentence
    expected = max(0.0, math.log(max(spacing / 2, 1 / spacing)))
    assert found.distance == pytest.approx(expected)


def test_intensity_beyond_all_centers_is_outside_and_between_them_at_the_edge(compare):
    assert compare(shift=-3.0)["intensity"].level == "outside training"
    assert compare(shift=-1.4)["intensity"].level == "at the edge"


def test_axes_in_another_order_matter_unless_the_reader_turns_images(compare):
    turned = compare(orientations={"AIL": 12}, reorients=True)["orientation"]
    assert turned.level == "as in training"
    kept = compare(orientations={"AIL": 12})["orientation"]
    assert kept.level == "outside training"
    assert "store the images as LPS" in kept.sentence


def test_few_images_are_said_to_be_few(compare):
    assert "3 are fewer than 5" in compare(num=3)["images"].sentence


def test_the_verdict_names_the_worst_items_only(compare):
    found = list(compare(spacing=(5.0, 1.5, 1.5), shift=-3.0, num=3).values())
    sentence = verdict(found, center="St Mary")
    assert "(spacing and intensity)" in sentence
    assert "do not rely" in sentence
    assert sentence.count(". ") == 0
