"""The subtypes that what is known of a tumor leaves possible, by published rules."""

from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnmtl.cohort.subtype import TumorFacts, possible_subtypes
from nnmtl.cohort.subtype_probabilities import subtype_probabilities
from nnmtl.cohort.subtype_rules import SUBTYPES
from nnmtl.errors import NnmtlError

RULES = tuple(SUBTYPES)
A, B, B_HER2, HER2, TN = SUBTYPES["st_gallen_2011"]
NONE = "unclassified"

every_rule = pytest.mark.parametrize("rule", RULES)


def facts(er=None, pr=None, her2=None, ki67=None, pr_percent=None):
    """A number of percent is an interval of no width."""
    ki67, pr_percent = (
        (value, value) if isinstance(value, int | float) else value for value in (ki67, pr_percent)
    )
    return TumorFacts(er=er, pr=pr, her2=her2, ki67_percent=ki67, pr_percent=pr_percent)


# The rows of the publications' tables: ER, PR, HER2, Ki-67 in %, PR in %, subtype.
TABLES = {
    "st_gallen_2013": [
        (True, True, False, 19.9, 20, A),
        (True, True, False, 20, 90, B),
        (True, True, False, 5, 19.9, B),
        (True, False, False, 5, 0, B),
        (True, True, True, 5, 90, B_HER2),
        (True, False, True, 60, 0, B_HER2),
        (False, False, True, 60, 0, HER2),
        (False, False, False, 5, 0, TN),
        (False, True, False, 5, 90, NONE),
        (False, True, True, 5, 90, NONE),
    ],
    "st_gallen_2011": [
        (True, True, False, 13.9, 5, A),
        (True, False, False, 13.9, 0, A),
        (False, True, False, 13.9, 90, A),
        (True, True, False, 14, 90, B),
        (False, True, False, 14, 90, B),
        (True, False, True, 5, 0, B_HER2),
        (False, True, True, 60, 90, B_HER2),
        (False, False, True, 60, 0, HER2),
        (False, False, False, 60, 0, TN),
    ],
    "maisonneuve": [
        (True, True, False, 13.9, 5, A),
        (True, False, False, 13.9, 0, A),
        (True, True, False, 14, 20, A),
        (True, True, False, 19.9, 19.9, B),
        (True, False, False, 14, 0, B),
        (True, True, False, 20, 90, B),
        (True, True, True, 5, 90, B_HER2),
        (False, False, True, 5, 0, HER2),
        (False, False, False, 5, 0, TN),
        (False, True, False, 5, 90, NONE),
    ],
    "ihc4": [
        (True, True, False, 5, 90, "hr_positive_her2_negative"),
        (False, True, False, 60, 90, "hr_positive_her2_negative"),
        (True, False, True, 5, 0, "hr_positive_her2_positive"),
        (False, True, True, 60, 5, "hr_positive_her2_positive"),
        (False, False, True, 60, 0, "hr_negative_her2_positive"),
        (False, False, False, 60, 0, TN),
    ],
}
COMPLETE = [(rule, *row) for rule, rows in TABLES.items() for row in rows]


@pytest.mark.parametrize(("rule", "er", "pr", "her2", "ki67", "pr_percent", "subtype"), COMPLETE)
def test_a_complete_case_has_the_published_subtype(rule, er, pr, her2, ki67, pr_percent, subtype):
    assert possible_subtypes(facts(er, pr, her2, ki67, pr_percent), rule=rule) == {subtype}


@every_rule
def test_every_subtype_of_a_rule_is_had_by_some_case_and_nothing_known_excludes_none(rule):
    assert {row[-1] for row in TABLES[rule]} == set(SUBTYPES[rule])
    assert possible_subtypes(TumorFacts(), rule=rule) == set(SUBTYPES[rule])


def test_the_page_names_every_rule_and_subtype():
    page = (Path(__file__).parents[3] / "docs" / "reference" / "subtypes.md").read_text()
    names = {*RULES, *(name for rule in RULES for name in SUBTYPES[rule])}
    assert [name for name in sorted(names) if f"`{name}`" not in page] == []


@pytest.mark.parametrize(
    ("rule", "known", "subtypes"),
    [
        ("st_gallen_2013", {"er": True, "her2": True}, {B_HER2}),
        ("st_gallen_2013", {"er": True, "her2": False, "ki67": 20}, {B}),
        ("st_gallen_2013", {"er": True, "pr": True, "her2": False, "ki67": 5}, {A, B}),
        ("st_gallen_2013", {"er": True, "pr": False, "her2": False}, {B}),
        ("st_gallen_2013", {"er": True, "her2": False, "ki67": 5, "pr_percent": 20}, {A}),
        ("st_gallen_2013", {"er": False, "her2": True}, {HER2, NONE}),
        ("st_gallen_2013", {"er": False, "pr": False}, {HER2, TN}),
        ("st_gallen_2013", {"pr": False, "her2": False, "ki67": 60}, {B, TN}),
        ("st_gallen_2011", {"er": True, "her2": False, "ki67": 5}, {A}),
        ("st_gallen_2011", {"pr": True, "her2": True}, {B_HER2}),
        ("maisonneuve", {"er": True, "her2": False, "ki67": 5}, {A}),
        ("maisonneuve", {"er": True, "her2": False, "ki67": 14}, {A, B}),
        ("maisonneuve", {"er": True, "her2": False, "ki67": (5, 19), "pr_percent": 50}, {A}),
        ("ihc4", {"pr": True, "her2": False}, {"hr_positive_her2_negative"}),
        ("ihc4", {"er": False, "her2": False}, {"hr_positive_her2_negative", TN}),
    ],
)
def test_a_case_known_in_part_keeps_what_is_possible(rule, known, subtypes):
    assert possible_subtypes(facts(**known), rule=rule) == subtypes


@pytest.mark.parametrize(
    ("ki67", "by_2013", "by_2011"),
    [
        ((10, 30), {A, B}, {A, B}),
        ((15, 19), {A}, {B}),
        ((10, 19.9), {A}, {A, B}),
        ((10, 20), {A, B}, {A, B}),
        ((14, 20), {A, B}, {B}),
        ((20, 30), {B}, {B}),
    ],
)
def test_an_interval_decides_where_the_cutoff_is_outside(ki67, by_2013, by_2011):
    case = facts(True, True, False, ki67, 80)
    assert possible_subtypes(case, rule="st_gallen_2013") == by_2013
    assert possible_subtypes(case, rule="st_gallen_2011") == by_2011


@pytest.mark.parametrize(
    ("pr_percent", "subtypes"),
    [(0, {TN}), (0.5, {TN}), (1, {TN, NONE}), (9, {TN, NONE}), (10, {NONE}), (60, {NONE})],
)
def test_a_percentage_tells_the_status_where_laboratories_agree(pr_percent, subtypes):
    assert possible_subtypes(facts(er=False, her2=False, pr_percent=pr_percent)) == subtypes


@every_rule
def test_filling_in_an_unknown_never_adds_a_subtype(rule):
    """All 3^4 states, each against all of its fillings by one more fact."""
    status, ki67 = (False, True, None), (5, 60, None)
    for state in product(status, status, status, ki67):
        before = possible_subtypes(facts(*state), rule=rule)
        assert before
        after = set()
        for index, fact in enumerate(state):
            for value in () if fact is not None else (5, 60) if index == 3 else (False, True):
                filled = possible_subtypes(
                    facts(*state[:index], value, *state[index + 1 :]), rule=rule
                )
                assert filled <= before
                after |= filled
        assert after in (set(), before)


status = st.none() | st.booleans()
percent = st.integers(0, 100) | st.sampled_from([1, 10, 14, 20, 19.9])
interval = st.none() | st.tuples(percent, percent).map(sorted).map(tuple)


def agrees(pr, pr_percent):
    """As laboratories with the cutoffs 1 % and 10 % write it."""
    return pr_percent >= 1 if pr else pr_percent < 10


@st.composite
def known_in_part(draw):
    """A complete tumor, and facts that are true of it."""
    pr = draw(st.booleans())
    whole = {
        "er": draw(st.booleans()),
        "pr": pr,
        "her2": draw(st.booleans()),
        "ki67": draw(percent),
        "pr_percent": draw(percent.filter(lambda value: agrees(pr, value))),
    }
    known = {name: draw(st.none() | st.just(whole[name])) for name in ("er", "pr", "her2")}
    for name in ("ki67", "pr_percent"):
        below, above = draw(percent), draw(percent)
        width = (min(below, whole[name]), max(above, whole[name]))
        known[name] = draw(st.none() | st.just(width))
    return whole, known


@given(known_in_part(), st.sampled_from(RULES))
def test_the_truth_is_always_possible_and_every_single_fact_narrows(case, rule):
    whole, known = case
    possible = possible_subtypes(facts(**known), rule=rule)
    assert possible_subtypes(facts(**whole), rule=rule) <= possible
    for name in whole:
        assert possible_subtypes(facts(**known | {name: whole[name]}), rule=rule) <= possible


@settings(max_examples=50, deadline=None)
@given(known_in_part(), st.sampled_from(RULES))
def test_what_is_possible_is_what_some_tumor_has(case, rule):
    """Against a search through tumors of every whole percentage, and ends of intervals."""
    known = case[1]
    ki67_ends, pr_ends = (known[name] or (0, 100) for name in ("ki67", "pr_percent"))
    grid = [0, 0.5, 1, 9, 10, 13, 14, 19, 20, 60]
    tumors = product(
        *([value] if value is not None else [False, True] for value in list(known.values())[:3]),
        {*ki67_ends, *(value for value in grid if ki67_ends[0] <= value <= ki67_ends[1])},
        {*pr_ends, *(value for value in grid if pr_ends[0] <= value <= pr_ends[1])},
    )
    found = [
        possible_subtypes(facts(*tumor), rule=rule)
        for tumor in tumors
        if agrees(tumor[1], tumor[4])
    ]
    assert all(len(subtypes) == 1 for subtypes in found)
    assert set().union(*found) == possible_subtypes(facts(**known), rule=rule)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ki67": (30, 20)}, r"Ki-67 as an interval within 0 to 100 %, .* got \(30, 20\)"),
        ({"ki67": 101}, "Ki-67 as an interval"),
        ({"pr_percent": float("nan")}, "PR as an interval"),
        ({"pr": True, "pr_percent": 0}, "PR that is positive, got"),
        ({"pr": False, "pr_percent": (15, 30)}, "PR that is negative, got"),
    ],
)
def test_facts_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(NnmtlError, match=message):
        facts(**wrong)


def test_a_fact_told_by_numpy_is_that_fact():
    case = facts(True, True, False, 5, 80)
    again = replace(case, er=np.True_, pr=np.True_, her2=np.False_)
    assert asdict(again) == asdict(case)
    assert possible_subtypes(again) == {A}


def sure(er, pr, her2, ki67, pr_percent):
    """The same tumor as predictions of 0 and 1."""
    return {
        "p_er": er,
        "p_pr": pr,
        "p_her2": her2,
        "p_ki67_14": ki67 >= 14,
        "p_ki67_20": ki67 >= 20,
        "p_pr_20": pr_percent >= 20,
    }


@pytest.mark.parametrize(("rule", "er", "pr", "her2", "ki67", "pr_percent", "subtype"), COMPLETE)
def test_sure_predictions_have_one_sure_subtype(rule, er, pr, her2, ki67, pr_percent, subtype):
    (row,) = subtype_probabilities(**sure(er, pr, her2, ki67, pr_percent), rule=rule)
    assert row.tolist() == [name == subtype for name in SUBTYPES[rule]]


p = st.floats(0, 1)


@every_rule
def test_unknown_probabilities_and_unknown_facts_exclude_the_same(rule):
    """Of all 3^4 states: probability 0 where impossible, 1 where known, nan where open."""
    probability = {False: 0, True: 1, None: np.nan}
    for er, pr, her2, high in product(*[(False, True, None)] * 4):
        ki67 = {False: 5, True: 60, None: None}[high]
        pr_percent = {False: 0, True: 80, None: None}[pr]
        possible = possible_subtypes(facts(er, pr, her2, ki67, pr_percent), rule=rule)
        (row,) = subtype_probabilities(
            p_er=probability[er],
            p_pr=probability[pr],
            p_her2=probability[her2],
            p_ki67_14=probability[high],
            p_ki67_20=probability[high],
            p_pr_20=probability[pr],
            rule=rule,
        )
        left = np.nan if len(possible) > 1 else 1
        np.testing.assert_array_equal(
            row, [left if name in possible else 0 for name in SUBTYPES[rule]]
        )
