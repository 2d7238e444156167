"""A table of geometry, and what planning reads out of it."""

import random

import pytest

from nnmtl.cohort.geometry_table import geometry_fingerprint
from nnmtl.cohort.group_geometry import cohort_geometry
from nnmtl.errors import NnmtlError

HEADER = "case_id,center,spacing_z_mm,spacing_y_mm,spacing_x_mm,shape_z,shape_y,shape_x"
ROWS = (
    "a,North,3.0,0.7,0.8,40,256,320",
    "b,North,2.0,0.7,0.8,60,256,320",
    "c,South,1.0,1.0,1.0,128,128,128",
)


def written(folder, rows=ROWS, header=HEADER):
    path = folder / "geometry.csv"
    path.write_text("\n".join((header, *rows)) + "\n")
    return path


def test_the_facts_are_those_of_images(tmp_path):
    fingerprint = geometry_fingerprint(written(tmp_path))
    north = fingerprint["centers"]["North"]
    assert (north["num_cases"], north["num_geometries"], north["num_tumors"]) == (2, 2, 0)
    assert north["spacing_mm"]["p50"] == [2.5, 0.7, 0.8]
    assert north["field_of_view_mm"]["p50"] == pytest.approx([120, 179.2, 256])
    assert fingerprint["overall"]["tumor_extent_mm"]["p95"] is None


def test_the_order_of_rows_and_columns_does_not_matter(tmp_path):
    expected = geometry_fingerprint(written(tmp_path))
    table = [line.split(",") for line in (HEADER, *random.sample(ROWS, 3))]
    columns = random.sample(range(8), 8)
    header, *rows = [",".join(line[column] for column in columns) for line in table]
    assert geometry_fingerprint(written(tmp_path, rows, header)) == expected


def test_tumor_extents_and_patients_are_read_where_there_are_some(tmp_path):
    header = f"{HEADER},patient_id,tumor_extent_z_mm,tumor_extent_y_mm,tumor_extent_x_mm,note"
    rows = (f"{ROWS[0]},p,10,20,30,", f"{ROWS[1]},p,,,,no tumor")
    overall = geometry_fingerprint(written(tmp_path, rows, header))["overall"]
    assert (overall["num_patients"], overall["num_tumors"]) == (1, 1)
    assert overall["tumor_extent_mm"]["p95"] == [10, 20, 30]


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ("d,,1,1,1,20,20,20", "row 3, column 'center': expected a name in every row; got ''"),
        ("d,N,0,1,1,20,20,20", "row 3, column 'spacing_z_mm': expected a number above 0.*got '0'"),
        ("d,N,1,-1,1,20,20,20", "row 3, column 'spacing_y_mm': expected a number above 0"),
        ("d,N,1,1,,20,20,20", "row 3, column 'spacing_x_mm': expected a number above 0.*got ''"),
        ("d,N,1,1,1,20,2.5,20", "row 3, column 'shape_y': expected a whole number.*got '2.5'"),
        ("d,N,1,1,1,0,20,20", "row 3, column 'shape_z': expected a whole number.*got '0'"),
        ("a,N,1,1,1,20,20,20", "row 3, column 'case_id': expected a case that has one.*row 2 too"),
        ("d,N,1,1,1,1,20,20", "all cases to be 2D or all to be 3D"),
    ],
)
def test_an_odd_row_is_told_in_one_sentence(row, error, tmp_path):
    with pytest.raises(NnmtlError, match=error) as caught:
        geometry_fingerprint(written(tmp_path, (ROWS[0], row)))
    assert "\n" not in str(caught.value)


def test_a_missing_center_column_is_named(tmp_path):
    path = written(tmp_path, ("a,1,1,1,9,9,9",), HEADER.replace("center,", ""))
    with pytest.raises(NnmtlError, match="row 1: the column 'center' is missing"):
        geometry_fingerprint(path)


def test_a_table_without_cases_is_refused(tmp_path):
    with pytest.raises(NnmtlError, match="expected one row per case"):
        geometry_fingerprint(written(tmp_path, ()))


def test_half_an_extent_is_refused(tmp_path):
    path = written(tmp_path, (f"{ROWS[0]},10",), f"{HEADER},tumor_extent_z_mm")
    with pytest.raises(NnmtlError, match="'tumor_extent_y_mm' is missing"):
        geometry_fingerprint(path)


def test_planning_reads_the_median_and_the_fine_end(tmp_path):
    geometry = cohort_geometry(geometry_fingerprint(written(tmp_path)), where="table")
    assert [center.name for center in geometry.centers] == ["North", "South"]
    north = geometry.centers[0]
    assert north.num_cases == 2
    assert north.spacing_mm == (2.5, 0.7, 0.8)
    assert north.fine_spacing_mm == pytest.approx((2.1, 0.7, 0.8))
    assert north.shape == (50, 256, 320)
    assert north.tumor_extent_mm is None
    assert geometry.overall.num_cases == 3


def test_planning_reads_the_grid_without_the_empty_margin_where_it_is_known(tmp_path):
    fingerprint = geometry_fingerprint(written(tmp_path))
    for group in (fingerprint["overall"], *fingerprint["centers"].values()):
        group["shape_after_crop"]["p50"] = [30, 100, 100]
        group["field_of_view_after_crop_mm"]["p50"] = [60, 70, 80]
    north = cohort_geometry(fingerprint, where="table").centers[0]
    assert north.shape == (30, 100, 100)
    assert north.field_of_view_mm == (60, 70, 80)


def test_a_fingerprint_of_an_older_version_is_refused(tmp_path):
    fingerprint = geometry_fingerprint(written(tmp_path))
    del fingerprint["overall"]["spacing_mm"]["p10"]
    with pytest.raises(NnmtlError, match=r"got none .'p10'.; run nnMTL_extract_fingerprint again"):
        cohort_geometry(fingerprint, where="nnmtl_fingerprint.json")
