import dataclasses
import json

import pytest

from nnmtl.cohort.declaration import declaration_to_json, parse_declaration
from nnmtl.errors import NnmtlError


@pytest.fixture
def declared(breast):
    return dataclasses.replace(breast, missing_channels={"case_7": (2,)})


@pytest.fixture
def dataset_json(declared):
    def make(**changes):
        return {
            "channel_names": {"0": "pre", "1": "first", "2": "late"},
            "labels": {"background": 0, "tumor": 1, "ignore": 2},
            "nnmtl": declaration_to_json(declared) | changes,
        }

    return make


def test_a_declaration_survives_a_json_round_trip(dataset_json, declared):
    assert parse_declaration(json.loads(json.dumps(dataset_json()))) == declared


def test_a_synthetic_cohort_stays_one(dataset_json):
    declared = parse_declaration(dataset_json(synthetic={"preset": "easy"}))
    assert declaration_to_json(declared)["synthetic"] == {"preset": "easy"}


def test_a_region_based_label_may_be_tumor(dataset_json):
    labels = {"background": 0, "whole": [1, 2], "core": 2}
    regions = dataset_json(tumor_labels=[1, 2]) | {"labels": labels}
    assert parse_declaration(regions).tumor_labels == (1, 2)


def test_a_dataset_without_declaration_is_told_what_is_missing():
    with pytest.raises(NnmtlError, match="the key 'nnmtl'"):
        parse_declaration({"labels": {}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 2}, "expected the schema 1, got 2"),
        ({"tumour_labels": [1]}, "unknown key 'tumour_labels'"),
        ({"tumor_labels": []}, "at least one label"),
        ({"tumor_labels": [0, 1]}, "background 0 not"),
        ({"tumor_labels": [2]}, "tumor label 2 is not among the labels"),
        ({"tumor_labels": ["1"]}, "expected an integer"),
        ({"missing_channels": {"case_7": [3]}}, "channels are 0 to 2"),
        ({"missing_channels": [2]}, "expected a JSON object"),
        ({"covariates": ["age", "age"]}, "listed twice"),
        ({"covariates": ["ER"]}, "the column 'ER' would stand for 2 things"),
        (
            {
                "biomarkers": [
                    {"name": "HER2_low", "kind": "binary"},
                    {
                        "name": "HER2",
                        "kind": "categorical",
                        "categories": ["zero", "low"],
                    },
                ]
            },
            "the column of predictions 'HER2_low' would stand for 2 things",
        ),
    ],
)
def test_a_wrong_declaration_is_refused_with_its_reason(changes, message, dataset_json):
    with pytest.raises(NnmtlError, match=message):
        parse_declaration(dataset_json(**changes))
