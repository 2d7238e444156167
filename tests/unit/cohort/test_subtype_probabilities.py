"""From predicted probabilities of the receptors to those of the subtypes."""

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

p = st.floats(0, 1)


@st.composite
def predictions(draw):
    p_ki67_20, p_ki67_14 = sorted([draw(p), draw(p)])
    p_pr_20, p_pr = sorted([draw(p), draw(p)])
    return {
        "p_er": draw(p),
        "p_pr": p_pr,
        "p_her2": draw(p),
        "p_ki67_14": p_ki67_14,
        "p_ki67_20": p_ki67_20,
        "p_pr_20": p_pr_20,
    }


@settings(deadline=None)
@given(predictions(), st.sampled_from(RULES))
def test_probabilities_are_positive_and_sum_to_one(predicted, rule):
    (row,) = subtype_probabilities(**predicted, rule=rule)
    assert row.min() >= 0
    assert row.sum() == pytest.approx(1)


@settings(deadline=None)
@given(predictions())
def test_probabilities_are_those_of_the_rule_written_out(predicted):
    """St Gallen 2013, as products over independent biomarkers."""
    p = predicted
    (row,) = subtype_probabilities(**predicted)
    luminal = p["p_er"] * (1 - p["p_her2"])
    luminal_a = luminal * (1 - p["p_ki67_20"]) * p["p_pr_20"]
    neither = (1 - p["p_er"]) * (1 - p["p_pr"])
    expected = {
        A: luminal_a,
        B: luminal - luminal_a,
        B_HER2: p["p_er"] * p["p_her2"],
        HER2: neither * p["p_her2"],
        TN: neither * (1 - p["p_her2"]),
        NONE: (1 - p["p_er"]) * p["p_pr"],
    }
    assert dict(zip(SUBTYPES["st_gallen_2013"], row, strict=True)) == pytest.approx(expected)


UNSURE = {
    "p_er": 0.7,
    "p_pr": 0.5,
    "p_her2": 0.3,
    "p_ki67_14": 0.6,
    "p_ki67_20": 0.4,
    "p_pr_20": 0.35,
}


@every_rule
def test_probabilities_are_the_shares_of_tumors_drawn_from_the_predictions(rule):
    rng = np.random.default_rng(0)
    counts = dict.fromkeys(SUBTYPES[rule], 0)
    num = 4000
    for er, her2, pr, ki67 in rng.random((num, 4)):
        ki67_percent = 30 if ki67 < 0.4 else 17 if ki67 < 0.6 else 5
        pr_percent = 80 if pr < 0.35 else 12 if pr < 0.5 else 0
        tumor = TumorFacts(
            er=er < 0.7,
            pr=pr < 0.5,
            her2=her2 < 0.3,
            ki67_percent=(ki67_percent, ki67_percent),
            pr_percent=(pr_percent, pr_percent),
        )
        (subtype,) = possible_subtypes(tumor, rule=rule)
        counts[subtype] += 1
    (row,) = subtype_probabilities(**UNSURE, rule=rule)
    # Five standard errors of a share of one half.
    np.testing.assert_allclose(np.array(list(counts.values())) / num, row, atol=2.5 / num**0.5)


@pytest.mark.parametrize(
    ("rule", "unknown", "affected"),
    [
        ("st_gallen_2013", ["p_her2"], {A, B, B_HER2, HER2, TN}),
        ("st_gallen_2013", ["p_ki67_20"], {A, B}),
        ("st_gallen_2013", ["p_ki67_14"], set()),
        ("st_gallen_2013", ["p_pr_20"], {A, B}),
        ("st_gallen_2013", ["p_pr"], {HER2, TN, NONE}),
        ("st_gallen_2011", ["p_ki67_14"], {A, B}),
        ("st_gallen_2011", ["p_ki67_20", "p_pr_20"], set()),
        ("maisonneuve", ["p_ki67_14"], {A, B}),
        ("ihc4", ["p_ki67_14", "p_ki67_20", "p_pr_20"], set()),
        ("ihc4", ["p_er"], set(SUBTYPES["ihc4"])),
    ],
)
def test_an_unknown_probability_makes_nan_only_of_what_depends_on_it(rule, unknown, affected):
    (whole,) = subtype_probabilities(**UNSURE, rule=rule)
    (row,) = subtype_probabilities(**UNSURE | dict.fromkeys(unknown, np.nan), rule=rule)
    expected = [
        np.nan if name in affected else value
        for name, value in zip(SUBTYPES[rule], whole, strict=True)
    ]
    np.testing.assert_allclose(row, expected)


def test_without_the_percentage_every_positive_pr_is_high():
    only_status = {name: value for name, value in UNSURE.items() if name != "p_pr_20"}
    np.testing.assert_array_equal(
        subtype_probabilities(**only_status),
        subtype_probabilities(**only_status, p_pr_20=only_status["p_pr"]),
    )


def test_cases_are_answered_row_by_row():
    many = {name: np.array([value, value / 2, np.nan]) for name, value in UNSURE.items()}
    rows = subtype_probabilities(**many)
    for row in range(3):
        alone = subtype_probabilities(**{name: values[row] for name, values in many.items()})
        np.testing.assert_array_equal(rows[[row]], alone)


def test_rounding_of_32_bits_is_forgiven_and_impossible_probabilities_are_not():
    almost = UNSURE | {"p_ki67_20": float(np.float32(0.6)), "p_ki67_14": 0.6}
    assert almost["p_ki67_20"] > almost["p_ki67_14"]
    np.testing.assert_allclose(
        subtype_probabilities(**almost), subtype_probabilities(**almost | {"p_ki67_20": 0.6})
    )
    with pytest.raises(NnmtlError, match="probabilities of ER from 0 to 1, or nan, got 70"):
        subtype_probabilities(**UNSURE | {"p_er": 70})
    with pytest.raises(
        NnmtlError, match=r"Ki-67 >= 20 % to be at most .* got 0.7 and 0.6 in row 1"
    ):
        subtype_probabilities(**UNSURE | {"p_ki67_20": [0.4, 0.7]})
    with pytest.raises(NnmtlError, match=r"PR >= 20 % to be at most as probable as PR"):
        subtype_probabilities(**UNSURE | {"p_pr_20": 0.6})
