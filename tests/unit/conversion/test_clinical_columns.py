import csv
import json
from pathlib import Path

import pytest

from nnmtl.cohort.declaration import parse_declaration
from nnmtl.cohort.geometry_table import geometry_fingerprint
from nnmtl.cohort.targets import read_targets
from nnmtl.dataset_conversion._clinical_column import RULES
from nnmtl.dataset_conversion._mapping import read_mapping
from nnmtl.errors import NnmtlError

ER = {"name": "ER", "kind": "binary", "rule": "er_pr", "column": "ER %"}
HER2 = {
    "name": "HER2",
    "kind": "binary",
    "rule": "her2",
    "columns": {
        "ihc": "IHC",
        "ish": {"column": "FISH", "values": {"9": "", "0": "neg", "1": "pos"}},
    },
}
HER2_3 = {
    "name": "HER2_3",
    "kind": "categorical",
    "categories": ["zero", "low", "positive"],
    "ordered": True,
    "rule": "her2_zero_low_positive",
    "column": "IHC",
}
KI67 = {
    "name": "Ki67",
    "kind": "continuous",
    "unit": "%",
    "range": [0, 100],
    "rule": "ki67",
    "column": "Ki-67",
}
CELLS = {
    "ER %": ["90 %", "<1 %", "postive", "neg"],
    "IHC": ["3+", "2+", "negative", "2+"],
    "FISH": ["9", "0", "", "9"],
    "Ki-67": ["20-30 %", "<5%", "high", "NA"],
}


@pytest.fixture
def pathology(source):
    """The first four cases with what a laboratory writes."""
    source.rows = [
        row | {name: cells[index] for name, cells in CELLS.items()}
        for index, row in enumerate(source.rows[:4])
    ]
    source.mapping["biomarkers"] = [ER, HER2, HER2_3, KI67]
    return source


def table_of(folder):
    declaration = parse_declaration(json.loads((folder / "dataset.json").read_text()))
    return read_targets(folder / "targets.csv", declaration)


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_rules_make_the_cells_of_targets_csv(pathology):
    table = table_of(pathology.convert("--targets-only", source=False))
    assert table.targets["ER"].cells() == ["1", "0", "", "0"]
    assert table.targets["HER2"].cells() == ["1", "0", "0", ""]
    assert table.targets["HER2_3"].cells() == ["positive", "", "zero|low", ""]
    assert table.targets["Ki67"].cells() == ["20-30", "0-5", "", ""]


def test_every_cell_without_value_is_reported_with_its_reason(pathology):
    report = rows_of(pathology.convert("--targets-only", source=False) / "not_understood.csv")
    found = [(cell["case_id"], cell["row"], cell["biomarker"], cell["outcome"]) for cell in report]
    assert found == [
        ("s02", "4", "ER", "not understood"),
        ("s03", "5", "HER2", "undecided"),
        ("s01", "3", "HER2_3", "undecided"),
        ("s03", "5", "HER2_3", "undecided"),
        ("s02", "4", "Ki67", "not understood"),
    ]
    assert report[0]["columns"] == "ER %"
    assert report[1]["columns"] == "IHC + FISH"
    assert "did you mean 'positive'" in report[0]["reason"]


def test_the_report_is_printed_by_reason(pathology, caplog):
    with caplog.at_level("WARNING"):
        pathology.convert("--targets-only", "--dry-run", source=False)
    assert "HER2_3: 2 cells undecided (IHC of 2+ without" in caplog.text
    assert "column IHC, row 3, 5" in caplog.text


def test_neither_report_nor_log_repeats_free_text_or_the_patient(pathology, caplog):
    pathology.rows[2] |= {"ER %": "see letter to Mrs Quxley", "Patient": "Quxley-1951"}
    with caplog.at_level("INFO"):
        folder = pathology.convert("--targets-only", source=False)
    report = (folder / "not_understood.csv").read_text()
    assert "s02" in report
    assert "Quxley" not in report + caplog.text


def test_there_is_no_report_where_all_is_understood(pathology):
    pathology.mapping["biomarkers"] = [ER]
    pathology.rows[2]["ER %"] = "positive"
    folder = pathology.convert("--targets-only", source=False)
    assert not (folder / "not_understood.csv").exists()


def test_the_report_leaves_out_cases_without_image(pathology):
    (pathology.folder / "imagesTr/s02_0000.nii.gz").unlink()
    (pathology.folder / "imagesTr/s02_0001.nii.gz").unlink()
    report = rows_of(pathology.convert("--skip-absent") / "not_understood.csv")
    assert {cell["case_id"] for cell in report} == {"s01", "s03"}


@pytest.mark.parametrize(
    ("biomarker", "column", "codes"),
    [
        (HER2, "IHC", ["0", "1", "1.0", ""]),
        (HER2, "IHC", ["0", "1", "2", "9"]),
        (ER, "ER %", ["1", "2", "2", "NA"]),
        (ER | {"rule": "er_pr_10"}, "ER %", ["0", "1", "0", "1"]),
        (KI67, "Ki-67", ["0", "1", "2", "2"]),
    ],
)
def test_a_column_of_codes_is_refused(pathology, biomarker, column, codes):
    for row, code in zip(pathology.rows, codes, strict=True):
        row[column] = code
    pathology.mapping["biomarkers"] = [biomarker]
    with pytest.raises(NnmtlError, match=f"column '{column}' has no other values than .* codes"):
        pathology.convert("--targets-only", source=False)


def test_codes_are_read_through_values(pathology):
    for row, code in zip(pathology.rows, ["0", "1", "1.0", ""], strict=True):
        row["IHC"] = row["ER %"] = code
    values = {"0": "negative", "1": "positive", "1.0": "positive"}
    columns = {"ihc": {"column": "IHC", "values": values}}
    pathology.mapping["biomarkers"] = [HER2 | {"columns": columns}, ER]
    table = table_of(pathology.convert("--targets-only", source=False))
    assert table.targets["HER2"].cells() == ["0", "1", "1", ""]
    assert table.targets["ER"].cells() == ["0", "1", "1", ""]


def test_every_rule_is_in_the_reference():
    page = (Path(__file__).parents[3] / "docs" / "reference" / "mapping.md").read_text()
    for name, rule in RULES.items():
        (line,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        assert "the same" in line or all(f"`{role}`" in line for role in rule.roles)


def test_a_column_of_a_rule_is_named_with_a_near_miss(pathology):
    pathology.mapping["biomarkers"] = [ER | {"column": "ER in %"}]
    with pytest.raises(NnmtlError, match="'ER in %' is missing; did you mean 'ER %'"):
        pathology.convert("--targets-only", source=False)


@pytest.mark.parametrize(
    ("biomarker", "message"),
    [
        (ER | {"rule": "er"}, "expected a rule among er_pr, er_pr_10, her2.*got 'er'"),
        (ER | {"rule": "ki67"}, "expected a continuous .* biomarker for the rule 'ki67'"),
        (KI67 | {"range": [0, 1]}, "expected a continuous .range 0 to 100."),
        (HER2_3 | {"categories": ["low", "zero", "positive"]}, "expected a categorical"),
        (HER2 | {"columns": {"fish": "x"}}, "columns among ihc, ish, ratio, copies, got 'fish'"),
        (HER2 | {"column": "IHC"}, "either 'column' or 'columns'"),
        (HER2 | {"columns": {}}, "either 'column' or 'columns'"),
        (ER | {"values": {"x": 1}}, "neither 'values' nor 'scale'"),
        ({"name": "ER", "kind": "binary", "columns": {"status": "x"}}, "the key 'rule'"),
        (ER | {"rules": "er_pr"}, "unknown key 'rules'"),
    ],
)
def test_a_wrong_use_of_a_rule_is_refused(source, biomarker, message):
    source.mapping["biomarkers"] = [biomarker]
    source.write_tables()
    with pytest.raises(NnmtlError, match=message):
        read_mapping(source.folder / "mapping.json")


@pytest.fixture
def gridded(source):
    source.rows = [
        row | {"spacing": '"[0.7, 0.8]"', "gap": "2.0", "z": "60", "y": "256", "plane": "axial"}
        for row in source.rows
    ]
    source.mapping["geometry"] = {
        "spacing_mm": {
            "z": "gap",
            "y": {"column": "spacing", "item": 0},
            "x": {"column": "spacing", "item": 1},
        },
        "shape": {"z": "z", "y": "y", "x": "y"},
        "view": "plane",
    }
    return source


def test_targets_only_writes_the_geometry_that_planning_reads(gridded):
    folder = gridded.convert("--targets-only", source=False)
    first = rows_of(folder / "geometry.csv")[0]
    assert (first["case_id"], first["center"], first["view"]) == ("s00", "North", "axial")
    fingerprint = geometry_fingerprint(folder / "geometry.csv")
    assert fingerprint["overall"]["spacing_mm"]["p50"] == [2.0, 0.7, 0.8]
    assert fingerprint["overall"]["shape"]["p50"] == [60, 256, 256]
    assert set(fingerprint["centers"]) == {"North", "South"}


def test_with_images_the_images_tell_the_geometry(gridded):
    assert not (gridded.convert() / "geometry.csv").exists()


def test_an_axis_that_is_not_told_stays_empty(gridded):
    del gridded.mapping["geometry"]["spacing_mm"]["z"]
    gridded.rows[1]["y"] = "NA"
    folder = gridded.convert("--targets-only", source=False)
    rows = rows_of(folder / "geometry.csv")
    assert [row["spacing_z_mm"] for row in rows] == [""] * 16
    assert [row["shape_y"] for row in rows[:3]] == ["256", "", "256"]


@pytest.mark.parametrize(
    ("cell", "value", "message"),
    [
        ("gap", "0", "column 'gap': expected a length in mm"),
        ("z", "60.5", "column 'z': expected a whole number of voxels"),
        ("spacing", "0.7", "column 'spacing': expected a list of at least 1 numbers"),
        ("gap", "thin", "column 'gap': expected a number"),
    ],
)
def test_a_wrong_grid_is_named(gridded, cell, value, message):
    gridded.rows[3][cell] = value
    with pytest.raises(NnmtlError, match=f"row 5, {message}"):
        gridded.convert("--targets-only", source=False)


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        ({"spacing_mm": {"w": "x"}, "shape": {}}, "spacing_mm: unknown key 'w'"),
        ({"spacing_mm": {}}, "the key 'shape' is missing"),
    ],
)
def test_a_wrong_geometry_is_refused(source, geometry, message):
    source.mapping["geometry"] = geometry
    source.write_tables()
    with pytest.raises(NnmtlError, match=message):
        read_mapping(source.folder / "mapping.json")
