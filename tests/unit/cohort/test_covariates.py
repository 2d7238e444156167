"""Covariates of new cases: read by case, missing as nan, everything else refused by row."""

import numpy as np
import pytest

from nnmtl.cohort.covariates import read_covariates
from nnmtl.errors import NnmtlError

NAMES = ("age", "size_mm")
CASES = ("case_1", "case_2", "case_3")


def read(tmp_path, text, names=NAMES):
    (tmp_path / "table.csv").write_text(text)
    return read_covariates(tmp_path / "table.csv", names, CASES)


def test_values_are_found_by_case_and_name_whatever_their_order(tmp_path):
    found = read(tmp_path, "size_mm,case_id,age\n12.5,case_2,61\n8,case_1,40\n")
    assert {case: values.tolist() for case, values in found.items()} == {
        "case_1": [40, 8],
        "case_2": [61, 12.5],
    }


def test_an_empty_cell_is_missing_and_never_filled_in(tmp_path):
    found = read(tmp_path, "case_id,age,size_mm\ncase_1,,8\ncase_2,61,\n")
    assert np.isnan(found["case_1"]).tolist() == [True, False]
    assert np.isnan(found["case_2"]).tolist() == [False, True]
    assert "case_3" not in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case_id,age\ncase_1,40\n", "the column 'size_mm' is missing"),
        ("case_id,age,size_mm,ER\ncase_1,40,8,1\n", "unknown column 'ER'"),
        ("case_id,age,size_mm\ncase_1,old,8\n", "row 2, column 'age'.*number.*'old'"),
        ("case_id,age,size_mm\ncase_1,nan,8\n", "row 2, column 'age'.*number.*'nan'"),
        ("case_id,age,size_mm\ncase_1,4,8\ncase_1,5,8\n", "row 3, .*a case once"),
        ("case_id,age,size_mm\ncase1,4,8\n", "did you mean 'case_1'"),
        ("", "got an empty file"),
    ],
)
def test_a_malformed_table_is_refused_in_one_line(tmp_path, text, message):
    with pytest.raises(NnmtlError, match=message) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_a_table_for_a_model_without_covariates_is_refused(tmp_path):
    with pytest.raises(NnmtlError, match="this one has none; leave out --covariates"):
        read(tmp_path, "case_id\ncase_1\n", names=())
