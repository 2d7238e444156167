import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnmtl.cohort.biomarker import (
    BinaryBiomarker,
    CategoricalBiomarker,
    ContinuousBiomarker,
    biomarker_to_json,
    parse_biomarker,
)
from nnmtl.errors import NnmtlError

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,9}", fullmatch=True).map(lambda name: "B" + name)
categories = st.lists(st.text("abcXYZ09+-/ ", min_size=1).map(lambda text: f"c{text}c"), min_size=2)
ladders = st.lists(st.integers(-1000, 1000), min_size=2, max_size=6, unique=True).map(sorted)
biomarkers = st.one_of(
    st.builds(BinaryBiomarker, name=names),
    st.builds(
        CategoricalBiomarker,
        name=names,
        categories=categories.map(lambda items: tuple(dict.fromkeys([*items, "x", "y"]))),
        ordered=st.booleans(),
    ),
    st.builds(
        lambda name, ladder: ContinuousBiomarker(
            name=name,
            unit="%",
            range=(ladder[0], ladder[-1]),
            cutoffs=tuple(ladder[1:-1]),
        ),
        names,
        ladders,
    ),
)


@given(biomarkers)
def test_a_biomarker_survives_a_json_round_trip(biomarker):
    assert parse_biomarker(biomarker_to_json(biomarker)) == biomarker


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"name": "ER"}, "the key 'kind' is missing"),
        (
            {"name": "ER", "kind": "ordinal"},
            "expected the kind binary, categorical or continuous",
        ),
        ({"name": "ER", "kind": "binary", "cutoff": 1}, "unknown key 'cutoff'"),
        ({"name": "E R", "kind": "binary"}, "expected a name of letters"),
        ({"name": "center", "kind": "binary"}, "rename it"),
        (
            {"name": "H", "kind": "categorical", "categories": ["a"]},
            "at least 2 categories",
        ),
        (
            {"name": "H", "kind": "categorical", "categories": ["a", "a"]},
            "listed twice",
        ),
        (
            {"name": "H", "kind": "categorical", "categories": ["a", "b|c"]},
            "separates categories",
        ),
        (
            {
                "name": "H",
                "kind": "categorical",
                "categories": ["a", "b"],
                "orderd": True,
            },
            "did you mean 'ordered'",
        ),
        (
            {"name": "K", "kind": "continuous", "unit": "%", "range": [1]},
            "range of two numbers",
        ),
        (
            {"name": "K", "kind": "continuous", "unit": "%", "range": [9, 1]},
            "lowest, highest",
        ),
        (
            {
                "name": "K",
                "kind": "continuous",
                "unit": "%",
                "range": [0, 9],
                "cutoffs": [14],
            },
            "increasing cutoffs inside the range",
        ),
        (
            {"name": "K", "kind": "continuous", "unit": "%", "range": [0, True]},
            "expected a finite number, got True",
        ),
    ],
)
def test_a_wrong_declaration_is_refused_with_its_reason(declared, message):
    with pytest.raises(NnmtlError, match=message):
        parse_biomarker(declared)
