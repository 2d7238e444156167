"""The tables of Wolff et al., J Clin Oncol 2018;36:2105, figures 1 to 6, row by row."""

import pytest

from nnmtl.cohort.clinical_text import NotObserved, NotUnderstood
from nnmtl.cohort.her2_rules import her2_categories, her2_status
from nnmtl.cohort.her2_text import ish_group

IHC = ("0", "1+", "2+", "3+")
POSITIVE, NEGATIVE = True, False

# Ratio of HER2 to chromosome 17 and copies per cell, at the borders of each group.
GROUPS = {
    1: [(2.0, 4.0), (2.1, 5.9), (5.5, 20.0)],
    2: [(2.0, 3.9), (3.0, 1.5)],
    3: [(1.9, 6.0), (1.0, 12.0)],
    4: [(1.9, 4.0), (1.5, 5.9)],
    5: [(1.9, 3.9), (1.0, 2.0)],
}
# Dual probe: the status by group for IHC 0, 1+, 2+ and 3+. Group 1 and an IHC of 3+ are positive
# by themselves.
DUAL_PROBE = {
    1: (POSITIVE, POSITIVE, POSITIVE, POSITIVE),
    2: (NEGATIVE, NEGATIVE, NEGATIVE, POSITIVE),
    3: (NEGATIVE, NEGATIVE, POSITIVE, POSITIVE),
    4: (NEGATIVE, NEGATIVE, NEGATIVE, POSITIVE),
    5: (NEGATIVE, NEGATIVE, NEGATIVE, POSITIVE),
}
# Single probe: copies, IHC, status; None is not decided without a dual probe.
SINGLE_PROBE = [
    ("6.0", "2+", POSITIVE),
    ("20", "", POSITIVE),
    ("5.9", "3+", POSITIVE),
    ("5.9", "2+", None),
    ("4.0", "1+", NEGATIVE),
    ("4,0", "0", NEGATIVE),
    ("5", "", None),
    ("3.9", "2+", NEGATIVE),
    ("3.9", "", NEGATIVE),
]


@pytest.mark.parametrize("group", GROUPS)
def test_groups_have_their_borders(group):
    assert {ish_group(ratio, copies) for ratio, copies in GROUPS[group]} == {group}


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("score", range(4))
def test_two_probes_and_ihc_give_the_published_status(group, score):
    expected = DUAL_PROBE[group][score]
    assert her2_status(IHC[score], f"group {group}") is expected
    for ratio, copies in GROUPS[group]:
        assert her2_status(IHC[score], ratio=str(ratio), copies=str(copies)) is expected


@pytest.mark.parametrize(("copies", "ihc", "expected"), SINGLE_PROBE)
def test_a_single_probe_gives_the_published_status(copies, ihc, expected):
    status = her2_status(ihc, copies=copies)
    assert isinstance(status, NotObserved) if expected is None else status is expected


@pytest.mark.parametrize(
    ("ihc", "status", "category"),
    [("0", NEGATIVE, "zero"), ("1+", NEGATIVE, "low"), ("3+", POSITIVE, "positive")],
)
def test_ihc_of_0_1_and_3_needs_no_hybridization(ihc, status, category):
    assert her2_status(ihc) is status
    assert her2_categories(ihc) == {category}


@pytest.mark.parametrize(
    "ihc", ["2+", "2", "2.0", "++", "equivocal", "HER2 IHC 2+", "1+/2+", "2-3+"]
)
@pytest.mark.parametrize("ish", ["", "not done", "failed", "equivocal", "n/a"])
def test_ihc_of_2_without_hybridization_is_never_negative(ihc, ish):
    for reading in (her2_status(ihc, ish), her2_categories(ihc, ish)):
        assert isinstance(reading, NotObserved)
        assert "2+" in reading.reason


@pytest.mark.parametrize(
    "ish", ["negative", "neg", "FISH: negative", "not amplified", "non-amplified"]
)
def test_ihc_of_2_that_is_not_amplified_is_low(ish):
    assert her2_status("2+", ish) is NEGATIVE
    assert her2_categories("2+", ish) == {"low"}


@pytest.mark.parametrize("ish", ["positive", "amplified", "FISH +", "+", "Group 1"])
def test_ihc_of_2_that_is_amplified_is_positive(ish):
    assert her2_categories("2+", ish) == {"positive"}


@pytest.mark.parametrize(
    ("cell", "category"),
    [
        ("2+ (FISH-)", "low"),
        ("2+ FISH amplified", "positive"),
        ("IHC 2+; ISH negative", "low"),
        ("low", "low"),
        ("HER2-low (2+, ISH-)", "low"),
        ("ultra-low", "zero"),
        ("HER2+", "positive"),
        ("positive (3+)", "positive"),
        ("score 3+, 90 %", "positive"),
        ("c-erbB-2: 1+", "low"),
    ],
)
def test_one_cell_may_say_it_all(cell, category):
    assert her2_categories(cell) == {category}


@pytest.mark.parametrize("cell", ["negative", "neg", "HER2-", "0/1+", "0-1+"])
def test_of_a_negative_one_zero_and_low_stay_possible(cell):
    assert her2_status(cell) is NEGATIVE
    assert her2_categories(cell) == {"zero", "low"}


def test_hybridization_alone_decides_in_groups_1_and_5_only():
    assert her2_status("", "amplified") is POSITIVE
    assert her2_categories("", "non-amplified") == {"zero", "low"}
    assert all(isinstance(her2_status("", f"group {n}"), NotObserved) for n in (2, 3, 4))


@pytest.mark.parametrize(("ratio", "ihc"), [("2.5", "2+"), ("1.5", "2+"), ("2.5", "")])
def test_a_ratio_without_copies_leaves_open_what_depends_on_them(ratio, ihc):
    assert isinstance(her2_status(ihc, ratio=ratio), NotObserved)
    assert her2_status("1+", ratio="1.5") is NEGATIVE


def test_numbers_overrule_words_of_an_older_guideline():
    assert her2_status("2+", "positive", ratio="2.4", copies="3.5") is NEGATIVE


@pytest.mark.parametrize(
    ("ihc", "ish"),
    [
        ("+", ""),  # 1+ or positive
        ("4+", ""),
        ("1+, 3+", ""),
        ("positive (1+)", ""),
        ("2+", "1.8"),  # a ratio, or copies
        ("2+", "1"),
        ("2+", "positive, negative"),
        ("2+ (FISH-)", "amplified"),
        ("low", "amplified"),
        ("see report", ""),
    ],
)
def test_what_is_ambiguous_or_contradictory_is_not_understood(ihc, ish):
    assert isinstance(her2_status(ihc, ish), NotUnderstood)
