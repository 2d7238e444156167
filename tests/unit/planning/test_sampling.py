"""How often a case is drawn: by center and class, of the cases given and of nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnmtl.cohort.targets import ClassTarget, ContinuousTarget, TargetTable
from nnmtl.planning.sampling import case_shares


def target(classes, num_classes=2):
    """Class numbers; -1 is not observed, -2 a set of all but the first."""
    classes = np.array(classes)
    possible = np.eye(num_classes, dtype=bool)[np.maximum(classes, 0)]
    possible[classes == -1] = True
    possible[classes == -2] = np.arange(num_classes) > 0
    return ClassTarget(possible=possible, observed=classes != -1)


def table(centers, **targets):
    case_ids = tuple(f"case_{number:03d}" for number in range(len(centers)))
    return TargetTable(
        case_ids=case_ids, patient_ids=case_ids, centers=tuple(centers), targets=targets
    )


def shares(centers, **targets):
    return case_shares(table(centers, **targets), list(targets), "balanced")


def test_uniform_needs_no_shares():
    assert case_shares(table("AB", ER=target([0, 1])), ["ER"], "uniform") is None


def test_a_class_of_a_tenth_is_drawn_for_a_quarter():
    positive = np.arange(100) < 10
    found = shares("A" * 100, ER=target(positive.astype(int)))
    assert found[positive].sum() == pytest.approx(0.25)


def test_centers_are_drawn_by_the_square_root_of_their_cases():
    centers = np.array(list("A" * 64 + "B" * 4))
    found = shares(centers, ER=target(np.arange(68) % 3 == 0))
    assert found[centers == "A"].sum() == pytest.approx(8 / (8 + 2))


def test_classes_are_counted_within_the_center():
    """Else a center that has one class only would be what is drawn for it."""
    centers = ["A"] * 20 + ["B"] * 20
    found = shares(centers, ER=target([1] + [0] * 19 + [0] + [1] * 19))
    assert found[0] == pytest.approx(found[20])
    assert found[0] > 3 * found[1]
    np.testing.assert_allclose(found[1:20], found[21:])


def test_what_is_not_known_or_continuous_counts_as_one():
    values = np.arange(4.0)
    ki67 = ContinuousTarget(lower=values, upper=values, observed=values > 0)
    for unknown in (-1, -2):
        found = shares("AAAA", ER=target([0, 1, unknown, 0], 3), Ki67=ki67)
        weights = [(1 / 2) ** 0.5, 1.0, 1.0, (1 / 2) ** 0.5]
        np.testing.assert_allclose(found, np.array(weights) / sum(weights))
    assert shares("AAAA", Ki67=ki67).tolist() == [0.25] * 4
    assert shares("AAAA", ER=target([-1] * 4)).tolist() == [0.25] * 4


def test_biomarkers_that_have_no_head_do_not_count():
    both = table("AAA", ER=target([1, 0, 0]), PR=target([0, 0, 1]))
    alone = case_shares(table("AAA", PR=target([0, 0, 1])), ["PR"], "balanced")
    np.testing.assert_array_equal(case_shares(both, ["PR"], "balanced"), alone)


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(-1, 1)), min_size=1, max_size=30))
def test_shares_are_positive_and_sum_to_one(rows):
    found = shares([center for center, _ in rows], ER=target([value for _, value in rows]))
    assert found.sum() == pytest.approx(1)
    assert (found > 0).all()
