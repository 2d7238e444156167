import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnmtl.cohort.cell import format_interval, parse_interval
from nnmtl.cohort.csv_file import CsvRow
from nnmtl.cohort.targets import ClassTarget, TargetTable, read_targets, write_targets
from nnmtl.errors import NnmtlError

HEADER = "case_id,patient_id,center,ER,HER2_3,Ki67,age"
ROWS = [
    "c1,p1,A,1,zero|low,20-30,54",
    "c2,p2,A,0,positive,12.5,",
    "c3,p2,A,,,,61",
    "c4,p4,B,1.0,zero|low|positive,0-100,43.5",
    "c5,p5,B,0,low,14–20,70",
]


@pytest.fixture
def write(tmp_path):
    def write_text(*lines):
        path = tmp_path / "targets.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write_text


def test_every_kind_of_cell_is_read(write, breast):
    table = read_targets(write(HEADER, *ROWS), breast)
    assert table.case_ids == ("c1", "c2", "c3", "c4", "c5")
    assert table.patient_ids == ("p1", "p2", "p2", "p4", "p5")
    assert table.centers == ("A", "A", "A", "B", "B")
    er, her2, ki67 = table.targets.values()
    assert er.observed.tolist() == [True, True, False, True, True]
    assert er.possible[[0, 1, 2]].tolist() == [
        [False, True],
        [True, False],
        [True, True],
    ]
    assert her2.possible[0].tolist() == [True, True, False]
    assert ki67.lower[[0, 1, 4]].tolist() == [20, 12.5, 14]
    assert ki67.upper[[0, 1, 4]].tolist() == [30, 12.5, 20]
    np.testing.assert_array_equal(table.covariates["age"], [54, np.nan, 61, 43.5, 70])


def test_a_cell_that_excludes_nothing_counts_as_not_observed(write, breast):
    table = read_targets(write(HEADER, *ROWS), breast)
    for name in ("HER2_3", "Ki67"):
        assert table.targets[name].observed.tolist() == [True, True, False, False, True]
    assert np.isnan(table.targets["Ki67"].lower[[2, 3]]).all()


def test_order_of_rows_and_columns_does_not_change_a_byte(write, tmp_path, breast):
    write_targets(read_targets(write(HEADER, *ROWS), breast), tmp_path / "first.csv")
    table = [line.split(",") for line in (HEADER, *random.Random(0).sample(ROWS, len(ROWS)))]
    mixed = [",".join(reversed(cells)) for cells in table]
    write_targets(read_targets(write(*mixed), breast), tmp_path / "second.csv")
    assert (tmp_path / "first.csv").read_bytes() == (tmp_path / "second.csv").read_bytes()


def test_what_is_written_reads_back(write, tmp_path, breast):
    table = read_targets(write(HEADER, *ROWS), breast)
    write_targets(table, tmp_path / "copy.csv")
    again = read_targets(tmp_path / "copy.csv", breast)
    for name in ("ER", "HER2_3"):
        np.testing.assert_array_equal(again.targets[name].possible, table.targets[name].possible)
    for end in ("lower", "upper", "observed"):
        np.testing.assert_array_equal(
            getattr(again.targets["Ki67"], end), getattr(table.targets["Ki67"], end)
        )
    assert not list(tmp_path.glob(".*"))


@given(st.tuples(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9)).map(sorted))
def test_every_interval_survives_its_cell(ends):
    row = CsvRow(path="t.csv", number=2, cells={"K": format_interval(*ends)})
    assert parse_interval(row, "K", lowest=-1e10, highest=1e10) == tuple(ends)


def test_spreadsheet_habits_are_understood(tmp_path, breast):
    path = tmp_path / "targets.csv"
    text = f"{HEADER}\r\n c1 , p1,A,1,low, 20 - 30 ,54\r\n\r\n,,,,,,"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    table = read_targets(path, breast)
    assert table.case_ids == ("c1",)
    assert table.targets["Ki67"].upper.tolist() == [30]


def test_a_selection_is_sorted_and_an_unknown_case_is_named(write, breast):
    table = read_targets(write(HEADER, *ROWS), breast)
    some = table.select(["c5", "c1"])
    assert some.case_ids == ("c1", "c5")
    assert some.centers == ("A", "B")
    assert some.targets["HER2_3"].possible.tolist() == [
        [True, True, False],
        [False, True, False],
    ]
    assert some.index("c5") == 1
    with pytest.raises(NnmtlError, match="'c_1' has no row; did you mean 'c1'"):
        table.select(["c_1"])


def test_a_table_in_memory_must_be_sorted():
    with pytest.raises(NnmtlError, match="sorted order"):
        TargetTable(case_ids=("b", "a"), patient_ids=("b", "a"), centers=("A", "A"))


def test_categories_must_name_the_classes_to_be_written(tmp_path):
    target = ClassTarget(possible=np.ones((1, 3), bool), observed=np.zeros(1, bool))
    table = TargetTable(
        case_ids=("a",), patient_ids=("a",), centers=("A",), targets={"HER2_3": target}
    )
    with pytest.raises(NnmtlError, match="'HER2_3' has 3 classes but the categories"):
        write_targets(table, tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("c1,p9,B,1,low,20,54", "row 7, column 'case_id'.*row 2 has it.*got 'c1'"),
        ("c9,p1,B,1,low,20,54", "row 7, column 'center'.*patient 'p1' in 'A'.*got 'B'"),
        ("c9,,B,1,low,20,54", "row 7, column 'patient_id': expected text"),
        ("c9,p9, ,1,low,20,54", "row 7, column 'center': expected text"),
        ("a/c9,p9,A,1,low,20,54", "row 7, column 'case_id'.*remove the slash"),
        (
            "c9,p9,B,2,low,20,54",
            "row 7, column 'ER': expected 0, 1 or an empty cell; got '2'",
        ),
        ("c9,p9,B,0|1,low,20,54", "row 7, column 'ER': expected 0, 1"),
        (
            "c9,p9,B,1,Low,20,54",
            "row 7, column 'HER2_3'.*did you mean 'low'.*got 'Low'",
        ),
        (
            "c9,p9,B,1,low|high,20,54",
            "column 'HER2_3': expected one of zero, low, positive",
        ),
        ("c9,p9,B,1,low,101,54", "row 7, column 'Ki67'.*within 0 to 100.*got '101'"),
        ("c9,p9,B,1,low,-1,54", "column 'Ki67'.*within 0 to 100"),
        ("c9,p9,B,1,low,30-20,54", "column 'Ki67'.*the lower end first"),
        (
            "c9,p9,B,1,low,nan,54",
            "column 'Ki67': expected a number, an interval.*got 'nan'",
        ),
        ("c9,p9,B,1,low,inf,54", "column 'Ki67': expected a number.*got 'inf'"),
        ("c9,p9,B,1,low,<14,54", "column 'Ki67': expected a number.*got '<14'"),
        ("c9,p9,B,1,low,20,NaN", "column 'age': expected a number.*got 'NaN'"),
        ("c9,p9,B,1,low,20,1_0", "column 'age': expected a number"),
        ('c9,p9,B,1,low,"12,5",54', "column 'Ki67': expected a number.*got '12,5'"),
        ("c9,p9,B,1,low,12,5,54", "row 7: expected 7 cells.*got 8"),
    ],
)
def test_a_wrong_row_is_named_with_its_column_and_value(write, row, message, breast):
    with pytest.raises(NnmtlError, match=message):
        read_targets(write(HEADER, *ROWS, row), breast)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            HEADER.replace("Ki67", "ki-67"),
            "row 1: unknown column 'ki-67'; did you mean 'Ki67'",
        ),
        (HEADER + ",colour", "unknown column 'colour'; remove it, or declare it"),
        (HEADER.removesuffix(",age"), "the column 'age' is missing"),
        (HEADER + ",ER", "the column 'ER' stands 2 times"),
        (HEADER.replace(",", ";"), "expected columns separated by commas"),
    ],
)
def test_a_wrong_header_is_named(write, header, message, breast):
    with pytest.raises(NnmtlError, match=message):
        read_targets(write(header), breast)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got an empty file"),
        (HEADER.encode(), "at least one case"),
        (
            f"{HEADER}\nc1,p1,M\xfcnchen,1,low,2,5".encode("latin-1"),
            "row 2: expected UTF-8.*0xfc",
        ),
    ],
)
def test_a_wrong_file_is_named(tmp_path, content, message, breast):
    path = tmp_path / "targets.csv"
    path.write_bytes(content)
    with pytest.raises(NnmtlError, match=f"{path}.*{message}"):
        read_targets(path, breast)


def test_an_absent_file_is_named(tmp_path, breast):
    with pytest.raises(NnmtlError, match=r"targets\.csv: expected a CSV file"):
        read_targets(tmp_path / "targets.csv", breast)
