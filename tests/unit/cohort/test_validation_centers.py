"""A center whose targets are coded or measured in another way is named; chance is not."""

import numpy as np
import pytest

from nnmtl.cohort.validation_centers import check_center_targets


@pytest.fixture
def check(make_table):
    def check_targets(centers, **targets):
        patients = [f"p{row}" for row in range(len(centers))]
        return check_center_targets(make_table(patients=patients, centers=centers, **targets))

    return check_targets


TWO_CENTERS = ["A"] * 30 + ["B"] * 30


@pytest.mark.parametrize("seed", range(5))
def test_centers_that_differ_by_chance_have_no_findings(check, seed):
    values = np.random.default_rng(seed).integers(0, 2, 60).tolist()
    assert check(TWO_CENTERS, binary=values, continuous=list(range(60))) == []


def test_one_class_only_is_a_warning_in_that_center(check):
    findings = check(TWO_CENTERS, binary=[0, 1] * 15 + [1] * 30)
    told = {finding.message.partition(" cases")[0]: finding.level for finding in findings}
    assert told["ER: in center 'B' 100% of 30"] == "warning"


def test_another_prevalence_is_a_note(check):
    findings = check(TWO_CENTERS, binary=[0, 0, 0, 0, 1] * 6 + [0, 1, 1, 1, 1] * 6)
    assert {finding.level for finding in findings} == {"note"}
    assert "20% of 30 cases are '1', elsewhere 80% of 30" in findings[0].message


def test_a_fraction_among_percents_is_a_warning(check):
    values = list(range(10, 40)) + [value / 100 for value in range(10, 40)]
    assert all("same unit" in finding.message for finding in check(TWO_CENTERS, continuous=values))
    assert len(check(TWO_CENTERS, continuous=values)) == 2


def test_a_biomarker_that_a_center_never_measured_is_a_note(check):
    (finding,) = check(TWO_CENTERS, binary=[0, 1] * 15 + [None] * 30)
    assert finding.level == "note"
    assert "no case of center 'B' (30) has it" in finding.message


def test_one_center_is_compared_with_nothing(check):
    assert check(["A"] * 30, binary=[1] * 30) == []
