"""One real examination with its publisher's kinetic maps: three phases in one series."""

import csv

import nibabel
import numpy as np
import pydicom
import pytest

from nnmtl.cohort.raw_dataset import check_raw_dataset

pytestmark = pytest.mark.real_data

PATIENT = "UCSF-BR-06"
ROW = "NACT_06"  # of the same patient in the table of MAMA-MIA


@pytest.fixture(scope="module")
def exam_folder(real_data):
    return real_data / "breast_dce_dicom" / PATIENT


@pytest.fixture(scope="module")
def dataset(dicom, exam_folder, tmp_path_factory):
    options = ["--phase", "all", "--with", "pe,ser", "--tumor", "Breast"]
    return dicom.convert(exam_folder, tmp_path_factory.mktemp("raw"), *options)


@pytest.fixture(scope="module")
def row(real_data):
    path = real_data / "mamamia" / "clinical_and_imaging_info.csv"
    with path.open(encoding="utf-8") as stream:
        (row,) = [row for row in csv.DictReader(stream) if row["patient_id"] == ROW]
    return row


def published_map(folder):
    """Values and the positions (mm toward left) of the sagittal slices, right-most last."""
    files = [pydicom.dcmread(path) for path in folder.glob("*.dcm")]
    files.sort(key=lambda file: -file.ImagePositionPatient[0])
    slope = float(files[0].get("RescaleSlope", 1))
    return np.stack([file.pixel_array * slope for file in files])


def slices_of(image):
    """(Z, Y, X) with slices toward the patient's right, as in the published maps."""
    assert nibabel.aff2axcodes(image.affine) == ("P", "I", "R")
    return np.asanyarray(image.dataobj).transpose(2, 1, 0)


def test_phase_times_are_those_of_the_table(dataset, row):
    assert dataset.row["times_s"] == "0;407;761"
    assert [float(time) for time in dataset.row["times_s"].split(";")] == [
        float(time) for time in row["acquisition_times"].strip("[]").split(",")
    ]
    assert dataset.row["phase_tag"] == "ContentTime"


def test_geometry_is_that_of_the_table(dataset, row):
    image = dataset.image(0)
    assert image.shape == (
        float(row["image_columns"]),
        float(row["image_rows"]),
        float(row["num_slices"]),
    )
    in_plane = [float(number) for number in row["pixel_spacing"].strip("[]").split(",")]
    zooms = image.header.get_zooms()
    assert zooms == pytest.approx([*in_plane, float(row["slice_thickness"])])
    assert float(dataset.row["field_strength_t"]) == float(row["field_strength"])


def test_percent_enhancement_is_the_published_one(dataset, exam_folder):
    published = published_map(exam_folder / "image_dce_pe1")
    defined = published != 0
    assert defined.mean() > 0.035
    difference = abs(slices_of(dataset.image(3)) - published)[defined]
    assert (difference <= 1).mean() >= 0.999


def test_signal_enhancement_ratio_is_the_published_one(dataset, exam_folder):
    published = published_map(exam_folder / "image_dce_ser")
    defined = published != 0
    assert defined.mean() > 0.01
    ratio = slices_of(dataset.image(4))[defined] / published[defined]
    assert np.median(ratio) == pytest.approx(1, abs=0.002)


def test_the_segmentation_lies_where_the_published_ratio_is(dataset, exam_folder):
    defined = published_map(exam_folder / "image_dce_ser") != 0
    label_map = slices_of(dataset.label_map())
    assert np.flatnonzero(label_map.any(axis=(1, 2)))[[0, -1]].tolist() == [9, 50]
    assert label_map.sum() == 82527
    assert label_map[defined].mean() > 0.98
    assert label_map[::-1][defined].mean() < 0.3


def test_a_segmentation_of_tissue_is_no_tumor(dicom, exam_folder, tmp_path):
    dataset = dicom.convert(exam_folder, tmp_path)
    assert np.unique(dataset.label_map().dataobj).tolist() == [2]
    errors = [item for item in check_raw_dataset(dataset.folder) if item.level == "error"]
    assert ["at least 5 patients" in error.message for error in errors] == [True]


def test_nothing_written_names_the_patient(dataset):
    for path in dataset.folder.rglob("*"):
        assert PATIENT not in path.name
        if path.suffix in (".json", ".csv"):
            text = path.read_text()
            assert PATIENT not in text
            assert "1.3.6.1.4.1" not in text
