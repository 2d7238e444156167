import json
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK

from nnmtl.cohort.biomarker import BinaryBiomarker, ContinuousBiomarker
from nnmtl.cohort.case_geometry import CaseGeometry, read_case_geometry
from nnmtl.cohort.case_intensity import measure_intensity
from nnmtl.cohort.center_facts import facts_to_share, parse_facts
from nnmtl.cohort.declaration import Declaration
from nnmtl.cohort.fingerprint import cohort_fingerprint
from nnmtl.errors import NnmtlError

DECLARATION = Declaration(
    tumor_labels=(1,),
    biomarkers=(
        BinaryBiomarker(name="ER"),
        ContinuousBiomarker(name="Ki67", unit="%", range=(0, 100)),
    ),
)


def geometry(spacing_z, volume_ml=1.0):
    extent = None if volume_ml is None else (spacing_z * 2, 10.0, 12.0)
    return CaseGeometry(
        shape=(20, 30, 40),
        spacing_mm=(spacing_z, 1.0, 1.0),
        tumor_extent_mm=extent,
        tumor_volume_ml=volume_ml,
    )


def test_a_label_map_is_measured_in_array_order(tmp_path):
    array = np.zeros((5, 6, 7), np.uint8)
    array[1:3, 2:5, 3:7] = 2
    array[0, 0, 0] = 1
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing((0.5, 1.0, 4.0))
    SimpleITK.WriteImage(image, str(tmp_path / "a.nii.gz"))
    measured = read_case_geometry(tmp_path / "a.nii.gz", (2,))
    assert measured.shape == (5, 6, 7)
    assert measured.spacing_mm == (4.0, 1.0, 0.5)
    assert measured.tumor_extent_mm == (8.0, 3.0, 2.0)
    assert measured.tumor_volume_ml == pytest.approx(24 * 2 / 1000)


def test_without_tumor_extent_and_volume_are_absent(tmp_path):
    image = SimpleITK.GetImageFromArray(np.zeros((3, 3, 3), np.uint8))
    SimpleITK.WriteImage(image, str(tmp_path / "a.nii.gz"))
    measured = read_case_geometry(tmp_path / "a.nii.gz", (1,))
    assert measured.tumor_extent_mm is None
    assert measured.tumor_volume_ml is None


def test_an_unreadable_image_is_named(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"not an image")
    with pytest.raises(NnmtlError, match=r"a\.nii\.gz: expected a readable"):
        read_case_geometry(tmp_path / "a.nii.gz", (1,))


def test_a_fingerprint_counts_by_center_and_is_json(make_table):
    table = make_table(
        patients=["p1", "p1", "p2", "p3"],
        centers=["A", "A", "A", "B"],
        binary=[1, 0, 1, None],
        continuous=[10, 20, None, 30],
    )
    geometries = {"case_0000": geometry(2.0), "case_0001": geometry(4.0, None)}
    fingerprint = json.loads(json.dumps(cohort_fingerprint(table, geometries, DECLARATION)))
    overall, first = fingerprint["overall"], fingerprint["centers"]["A"]
    assert (overall["num_cases"], overall["num_patients"]) == (4, 3)
    assert first["biomarkers"]["ER"]["counts"] == {"0": 1, "1": 2}
    assert first["biomarkers"]["ER"]["fractions"]["1"] == pytest.approx(2 / 3)
    assert overall["biomarkers"]["Ki67"]["quantiles"]["p50"] == 20
    assert overall["biomarkers"]["Ki67"]["num_missing"] == 1
    assert first["spacing_mm"]["p50"] == [3.0, 1.0, 1.0]
    assert first["field_of_view_mm"]["p50"] == [60.0, 30.0, 40.0]
    assert first["num_tumors"] == 1
    assert first["tumor_extent_mm"]["p95"] == [4.0, 10.0, 12.0]


def test_what_no_case_has_is_null_not_zero(make_table):
    table = make_table(patients=["p"], centers=["B"], binary=[None], continuous=[None])
    overall = cohort_fingerprint(table, {}, DECLARATION)["overall"]
    assert overall["spacing_mm"]["p50"] is None
    assert overall["biomarkers"]["ER"]["fractions"] == {"0": None, "1": None}
    assert overall["biomarkers"]["Ki67"]["quantiles"]["p50"] is None


def test_no_patient_is_named_in_a_fingerprint(make_table):
    table = make_table(patients=["secret"] * 2, centers=["A"] * 2, binary=[0, 1], continuous=[1, 2])
    text = json.dumps(cohort_fingerprint(table, {}, DECLARATION))
    assert "secret" not in text
    assert "case_0000" not in text


def test_lesions_and_cropped_grids_count_where_they_were_measured(make_table):
    table = make_table(patients=["p1", "p2", "p3"], centers=["A"] * 3)
    geometries = {
        case_id: replace(geometry(2.0), num_lesions=lesions, shape_after_crop=shape)
        for case_id, lesions, shape in (
            ("case_0000", 1, (10, 20, 30)),
            ("case_0001", 3, (12, 20, 30)),
            ("case_0002", 0, None),
        )
    }
    center = cohort_fingerprint(table, geometries, Declaration(tumor_labels=(1,)))["centers"]["A"]
    assert center["num_lesions"]["p50"] == 2
    assert center["shape_after_crop"]["p50"] == [11, 20, 30]
    assert center["field_of_view_after_crop_mm"]["p50"] == [22, 20, 30]
    assert center["field_of_view_mm"]["p50"] == [40, 30, 40]


def test_the_fine_end_of_the_spacings_is_kept(make_table):
    table = make_table(patients=list("abcde"), centers=["A"] * 5)
    geometries = {f"case_000{index}": geometry(1.0 + index) for index in range(5)}
    overall = cohort_fingerprint(table, geometries, Declaration(tumor_labels=(1,)))["overall"]
    assert overall["spacing_mm"]["p10"] == pytest.approx([1.4, 1, 1])


@pytest.fixture
def of_two_centers(make_table):
    """Six cases of A and two of B, with a grid, an orientation and two channels each."""
    centers = ["A"] * 6 + ["B"] * 2
    table = make_table(
        patients=list("abcdefgh"), centers=centers, binary=[0, 1] * 4, continuous=[20] * 8
    )
    generator = np.random.default_rng(0)
    intensities = {}
    for row, case_id in enumerate(table.case_ids):
        body = np.stack([generator.normal(100 + row, 10, 400), np.zeros(400)])
        intensities[case_id] = measure_intensity(
            body, keeps_scale=[False, False], in_tumor=body[:, :40] * 2
        )
    geometries = {
        case_id: replace(geometry(1.0 + row), orientation="LPS" if row else "AIL")
        for row, case_id in enumerate(table.case_ids)
    }
    return cohort_fingerprint(
        table, geometries, DECLARATION, intensities=intensities, channels=["pre", "post"]
    )


def test_intensities_are_medians_over_cases_in_body_and_tumor(of_two_centers):
    first = of_two_centers["centers"]["A"]
    assert first["body_intensity"]["pre"]["p50"] == pytest.approx(102.5, abs=1.5)
    assert first["tumor_intensity"]["pre"]["p50"] == pytest.approx(205, abs=6)
    assert first["body_intensity"]["post"]["p50"] is None, "a channel that was not acquired"
    assert first["orientations"] == {"AIL": 1, "LPS": 5}


def test_a_model_takes_along_groups_of_images_and_no_target(of_two_centers):
    shared = json.loads(json.dumps(facts_to_share(of_two_centers)))
    text = json.dumps(shared)
    assert not any(word in text for word in ("biomarkers", "covariates", "case_0"))
    assert shared["centers"]["B"] is None, "of two cases the quantiles are single patients'"
    facts = parse_facts(shared, where="facts.json")
    assert facts.centers == ("A", "B")
    low, high = facts.spacing_range_mm[0]
    assert (low, high) == (pytest.approx(1.25), pytest.approx(5.75))


def test_facts_of_an_older_version_are_refused_in_one_sentence(of_two_centers):
    shared = facts_to_share(of_two_centers)
    del shared["overall"]["orientations"]
    with pytest.raises(NnmtlError, match=r"facts\.json: .*train the model again"):
        parse_facts(shared, where="facts.json")
