import json
from importlib.resources import files
from pathlib import Path

import pytest

from nnmtl.dataset_conversion._mapping import read_mapping
from nnmtl.errors import NnmtlError

SHIPPED = sorted(
    file.name.removesuffix(".json")
    for file in (files("nnmtl.dataset_conversion") / "mappings").iterdir()
)
ER = {"name": "ER", "kind": "binary", "column": "x"}
AGE = {"name": "age", "column": "x"}
VALID = {
    "case_id": "case",
    "patient_id": "patient",
    "center": "site",
    "channel_names": {"0": "T1"},
    "labels": {"background": 0, "tumor": 1},
    "tumor_labels": [1],
}


@pytest.fixture
def read(tmp_path):
    def read_changed(**changes):
        (tmp_path / "m.json").write_text(json.dumps(VALID | changes))
        return read_mapping(tmp_path / "m.json")

    return read_changed


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_mapping_is_read_by_its_name(name):
    assert read_mapping(Path(name)).tumor_labels


def test_the_source_columns_are_those_that_the_mapping_names(read):
    mapping = read(
        biomarkers=[{"name": "ER", "kind": "binary", "column": "er status"}],
        missing_channels={"0": {"column": "gap", "when": ["yes"]}},
    )
    assert mapping.source_columns == ("case", "patient", "site", "er status", "gap")


def test_an_unknown_name_lists_the_shipped_mappings():
    with pytest.raises(NnmtlError, match=r"shipped mappings \(.*tcga_lgg.*got 'tcga'"):
        read_mapping(Path("tcga"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patients": "x"}, "unknown key 'patients'; did you mean 'patient_id'"),
        ({"channel_names": {"1": "T1"}}, 'expected the keys "0", "1"'),
        ({"images": ["a_{case}.mha", "b_{case}.mha"]}, "each of the 1 channels, got 2"),
        ({"images": ["a.mha"]}, "expected '{case}' in the pattern"),
        ({"missing_channels": {"1": {"column": "x", "when": ["y"]}}}, "channels 0 to 0, got '1'"),
        ({"holdout": {"fraction": 1.5, "seed": 0}}, "between 0 and 1, got 1.5"),
        ({"biomarkers": [{"name": "ER", "kind": "binary"}]}, "the key 'column' is missing"),
        (
            {"biomarkers": [{"name": "ER", "kind": "binary", "column": "x", "valeus": {}}]},
            "unknown key 'valeus'",
        ),
        ({"covariates": [{"name": "age", "column": "x", "unit": "a"}]}, "unknown key 'unit'"),
        ({"center": {"name": "x"}}, "center: the key 'constant' is missing"),
        ({"about": {"license": "MIT"}}, "did you mean 'licence'"),
        ({"tumor_labels": [2]}, r"m\.json: tumor_labels: expected labels among 1, got 2"),
        ({"tumor_labels": [0]}, "tumor_labels: expected labels among 1, got 0"),
        ({"tumor_labels": []}, "tumor_labels: expected labels among 1, got none"),
        ({"biomarkers": [ER, ER]}, r"m\.json: biomarkers: the name 'ER' stands there twice"),
        ({"covariates": [AGE, AGE]}, "covariates: the name 'age' stands there twice"),
        ({"biomarkers": [ER | {"kind": "x"}]}, r"m\.json: biomarker 'ER': expected the kind"),
        ({"covariates": [AGE | {"scale": 0}]}, "scale: expected a number other than 0, got 0"),
    ],
)
def test_a_wrong_mapping_is_refused_with_its_reason(read, changes, message):
    with pytest.raises(NnmtlError, match=message):
        read(**changes)


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"tumor": 1},
        {"background": 0, "tumor": "1"},
        {"background": 0, "tumor": None},
        {"background": 0, "tumor": {}},
        {"background": 0, "tumor": [[1]]},
        {"background": 0, "tumor": []},
        {"background": 0, "tumor": True},
        {"0": "background", "1": "tumor"},
        {"background": 0, "tumor": 2},
    ],
)
def test_labels_that_nnunet_cannot_take_are_refused(read, labels):
    with pytest.raises(NnmtlError, match=r"m\.json: labels: expected .*background"):
        read(labels=labels)


def test_labels_may_be_regions_and_ignore(read):
    labels = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}
    assert read(labels=labels, tumor_labels=[1, 2]).labels == labels


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "m.json").write_text("{")
    with pytest.raises(NnmtlError, match=r"m\.json: expected JSON"):
        read_mapping(tmp_path / "m.json")


def test_a_mask_may_have_several_patterns(read):
    assert read(mask="{case}/a.nii.gz").mask == ("{case}/a.nii.gz",)
    both = ["{case}/a.nii.gz", "{case}/b.nii.gz"]
    assert read(mask=both).mask == tuple(both)
    with pytest.raises(NnmtlError, match="a pattern or a list of them, got an empty list"):
        read(mask=[])


def test_the_background_needs_no_value_of_its_own(read):
    assert read(mask_values={"4": 1}).mask_values == {0: 0, 4: 1}
    assert read().mask_values is None


@pytest.mark.parametrize("values", [{"4": 2}, {"four": 1}])
def test_a_value_must_become_a_declared_label(read, values):
    with pytest.raises(
        NnmtlError, match=r"mask_values: expected the label of each value, .* 0, 1, got"
    ):
        read(mask_values=values)
