"""Which rows of the targets come beside the plans."""

import logging

import numpy as np
import pytest

from nnmtl.cohort.biomarker import BinaryBiomarker, ContinuousBiomarker
from nnmtl.cohort.declaration import Declaration
from nnmtl.cohort.targets import read_targets
from nnmtl.errors import NnmtlError
from nnmtl.nnunet.cohort_files import copy_training_targets, read_json, targets_hash

DECLARATION = Declaration(
    tumor_labels=(1,),
    biomarkers=(
        BinaryBiomarker(name="ER"),
        ContinuousBiomarker(name="Ki67", unit="%", range=(0, 100)),
    ),
    covariates=("age",),
)
TABLE = """case_id,patient_id,center,ER,Ki67,age
b,p1,A,1,20,50
d,p2,A,0,10-30,
test,p3,B,1,5,40
"""


@pytest.fixture
def raw(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "targets.csv").write_text(TABLE)
    return tmp_path / "raw"


def copied(raw, case_ids):
    folder = raw.parent / "preprocessed"
    copy_training_targets(raw, folder, DECLARATION, case_ids)
    return (folder / "targets.csv").read_text()


def test_rows_of_other_cases_are_not_copied(raw):
    assert copied(raw, ["d", "b"]) == "\n".join(TABLE.splitlines()[:3]) + "\n"


def test_a_case_without_row_gets_one_in_which_nothing_is_observed(raw):
    rows = copied(raw, ["b", "c", "d"]).splitlines()
    assert rows[2] == "c,c,unknown,,,"
    assert [rows[1], rows[3]] == TABLE.splitlines()[1:3]


def test_what_was_added_reads_back_as_unobserved(raw):
    copied(raw, ["a", "b", "z"])
    table = read_targets(raw.parent / "preprocessed" / "targets.csv", DECLARATION)
    assert table.case_ids == ("a", "b", "z")
    assert table.targets["ER"].observed.tolist() == [False, True, False]
    assert table.targets["ER"].possible.tolist() == [[True, True], [False, True], [True, True]]
    assert np.isnan(table.targets["Ki67"].lower[[0, 2]]).all()
    assert np.isnan(table.covariates["age"][[0, 2]]).all()


def test_a_case_named_like_a_patient_of_the_table_is_that_patients(raw):
    assert "p1,p1,A,,," in copied(raw, ["b", "p1"]).splitlines()


def test_cases_without_row_are_told_in_one_sentence(raw, caplog):
    with caplog.at_level(logging.WARNING):
        copied(raw, ["b", "x", "y"])
    (record,) = caplog.records
    assert "2 cases of imagesTr have no row" in record.getMessage()


def test_nothing_is_said_where_every_case_has_a_row(raw, caplog):
    copied(raw, ["b", "d"])
    assert not caplog.records


def test_the_hash_depends_on_the_copied_rows_only(raw):
    copied(raw, ["b"])
    before = targets_hash(raw.parent / "preprocessed")
    (raw / "targets.csv").write_text(TABLE.replace("p3,B,1", "p3,B,0"))
    copied(raw, ["b"])
    assert targets_hash(raw.parent / "preprocessed") == before
    (raw / "targets.csv").write_text(TABLE.replace("p1,A,1", "p1,A,0"))
    copied(raw, ["b"])
    assert targets_hash(raw.parent / "preprocessed") != before


@pytest.mark.parametrize(("text", "message"), [(None, "does not exist"), ("{", "expected JSON")])
def test_a_json_file_that_is_missing_or_broken_is_named(tmp_path, text, message):
    path = tmp_path / "facts.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(NnmtlError, match=f"facts.json.*{message}"):
        read_json(path)
