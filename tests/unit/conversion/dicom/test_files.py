"""What stands in a center's folder beside plain slices."""

import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.fileset import FileSet
from pydicom.uid import (
    ExplicitVRBigEndian,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from nnmtl.errors import NnmtlError


@pytest.fixture
def exam(dicom):
    return dicom.default_exam(phases=2)


def assert_comes_back(dicom, tmp_path, exam, *options):
    dataset = dicom.convert(tmp_path / "source", tmp_path / "raw", "--phase", "all", *options)
    np.testing.assert_array_equal(dataset.phases(exam), exam.voxels)


def test_a_directory_of_a_medium_is_no_image(dicom, tmp_path, exam):
    medium = FileSet()
    for file in exam.files():
        file.PatientName, file.StudyID = "A^B", "1"
        medium.add(file)
    medium.write(tmp_path / "source")
    assert (tmp_path / "source" / "DICOMDIR").is_file()
    assert_comes_back(dicom, tmp_path, exam)


def test_an_archive_as_source_is_told(dicom, tmp_path, exam):
    dicom.write(tmp_path / "source", exam.files())
    archive = shutil.make_archive(str(tmp_path / "export"), "zip", tmp_path / "source")
    with pytest.raises(NnmtlError, match="got an archive; unpack it and name the folder"):
        dicom.convert(archive, tmp_path / "raw")


def test_a_folder_of_archives_is_told(dicom, tmp_path):
    (tmp_path / "source").mkdir()
    with zipfile.ZipFile(tmp_path / "source" / "one.zip", "w") as archive:
        archive.writestr("IM0", "slices")
    with pytest.raises(NnmtlError, match="got none but 1 archives; unpack them"):
        dicom.convert(tmp_path / "source", tmp_path / "raw")


def test_an_archive_among_images_is_warned_of(dicom, tmp_path, exam, caplog):
    dicom.write(tmp_path / "source", exam.files())
    (tmp_path / "source" / "second visit.ZIP").write_bytes(b"PK")
    (tmp_path / "source" / "mask.nii.gz").write_bytes(b"\x1f\x8b")
    assert_comes_back(dicom, tmp_path, exam)
    assert "passed over 1 archives" in caplog.text
    assert "visit" not in caplog.text


def test_a_file_as_source_is_told(dicom, tmp_path, exam):
    dicom.write(tmp_path / "source", exam.files())
    with pytest.raises(NnmtlError, match="expected a folder of DICOM files, got a file"):
        dicom.convert(tmp_path / "source" / "IM0000", tmp_path / "raw")


def test_a_folder_that_may_not_be_read_is_not_passed_over(dicom, tmp_path, exam, monkeypatch):
    dicom.write(tmp_path / "source", exam.files())
    walk = os.walk

    def refuse(folder, onerror):
        onerror(PermissionError(13, "Permission denied", str(folder / "DOE")))
        yield from walk(folder)

    monkeypatch.setattr(os, "walk", refuse)
    with pytest.raises(NnmtlError, match=r"got one that may not \(Permission denied\)") as caught:
        dicom.convert(tmp_path / "source", tmp_path / "raw")
    assert "DOE" not in str(caught.value)


def test_big_endian_files_are_read_with_preamble_and_without(dicom, tmp_path, exam):
    files = exam.files()
    (tmp_path / "source").mkdir()
    for index, file in enumerate(files):
        plane = exam.voxels[index // 4, index % 4]
        file.PixelData = plane.astype(">i2").tobytes()
        path = tmp_path / "source" / f"IM{index}"
        big = pydicom.Dataset({element.tag: element for element in file})
        if index % 2:
            big.file_meta, big.preamble = file.file_meta, file.preamble
            big.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        big.save_as(path, implicit_vr=False, little_endian=False, enforce_file_format=index % 2)
        assert (path.read_bytes()[128:132] == b"DICM") == bool(index % 2)
    assert_comes_back(dicom, tmp_path, exam)


def capture(file, *, colors=1):
    """A picture of the screen that calls itself an original."""
    file.SOPClassUID = file.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    if colors > 1:
        file.SamplesPerPixel, file.PhotometricInterpretation = colors, "RGB"
        file.BitsAllocated = file.BitsStored = 8
        file.HighBit, file.PlanarConfiguration, file.PixelRepresentation = 7, 0, 0
        file.PixelData = bytes(file.Rows * file.Columns * colors)
    return file


def localizer(file):
    file.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    return file


@pytest.mark.parametrize(
    ("change", "use"),
    [
        (capture, "secondary capture, not used"),
        (lambda file: capture(file, colors=3), "color, not used"),
        (localizer, "localizer, not used"),
    ],
)
def test_what_is_no_image_is_shown_and_not_used(dicom, tmp_path, exam, caplog, change, use):
    """Even if there is more of it than of the dynamic series."""
    caplog.set_level("INFO")
    other = dicom.default_exam(phases=5, study_uid=exam.study_uid, series_number=99)
    dicom.write(tmp_path / "source", [*exam.files(), *map(change, other.files())])
    assert_comes_back(dicom, tmp_path, exam)
    (line,) = [line for line in caplog.text.splitlines() if line.split()[1:2] == ["99"]]
    assert line.endswith(use)


@pytest.mark.parametrize(
    ("change", "sign"),
    [
        ({"BurnedInAnnotation": "YES"}, "BurnedInAnnotation says so"),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, "it is a secondary capture"),
        (
            {"SOPClassUID": MultiFrameGrayscaleByteSecondaryCaptureImageStorage},
            "it is a secondary capture",
        ),
        ({"ConversionType": "WSD"}, "it is a secondary capture"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "it is a secondary capture"),
        ({"Modality": "US"}, "its modality is US"),
        ({"Modality": "XC"}, "its modality is XC"),
    ],
)
def test_text_in_the_voxels_is_warned_of(dicom, tmp_path, exam, caplog, change, sign):
    other = dicom.default_exam(phases=1, study_uid=exam.study_uid, series_number=99)
    files = other.files()
    for file in files:
        for keyword, value in change.items():
            setattr(file, keyword, value)
    dicom.write(tmp_path / "source", [*exam.files(), *files])
    dicom.convert(tmp_path / "source", tmp_path / "raw", "--dry-run")
    told = f"series 99 (not taken) may have text burned into its voxels ({sign})"
    assert told in caplog.text
    assert "series 3 (" not in caplog.text


def test_a_sequence_is_an_image_as_acquired_and_warned_of_as_taken(dicom, tmp_path, exam, caplog):
    others = {}
    for number, image_type in ((8, ("ORIGINAL", "PRIMARY")), (9, ("ORIGINAL", "LOCALIZER"))):
        others[number] = dicom.default_exam(
            phases=1,
            study_uid=exam.study_uid,
            frame_of_reference=exam.frame_of_reference,
            series_number=number,
            description="T2",
            image_type=image_type,
        ).files()
    for file in others[8]:
        file.BurnedInAnnotation, file.EchoTime = "YES", 90
    dicom.write(tmp_path / "source", [*exam.files(), *others[8], *others[9]])
    caplog.set_level("INFO")
    dicom.convert(tmp_path / "source", tmp_path / "raw", "--dry-run", "--sequence", "T2=T2")
    assert "series 8 (taken) may have text burned into its voxels" in caplog.text
    assert "localizer, not used" in caplog.text


def test_series_without_study_belong_to_the_patients_day(dicom, tmp_path):
    """Each phase is a series of its own: taken for an examination, it would have no contrast."""
    exam = dicom.default_exam(phases=3, has_series_per_phase=True)
    again = dicom.default_exam(phases=3, has_series_per_phase=True)
    files = exam.files() + again.files()
    for index, file in enumerate(files):
        del file.StudyInstanceUID
        file.AccessionNumber = str(index // 12)
    dicom.write(tmp_path / "source", files)
    dataset = dicom.convert(tmp_path / "source", tmp_path / "raw", "--keep-ids", "--phase", "all")
    for case_id, found in (("MRN-004711_1", exam), ("MRN-004711_2", again)):
        np.testing.assert_array_equal(
            dicom.values_at(dataset.image(2, case_id), found), found.voxels[2]
        )


def test_a_series_that_lost_its_study_is_no_examination_of_its_own(dicom, tmp_path):
    """Two phases of one slice each would become two cases of one phase."""
    exam = dicom.default_exam(phases=2, shape=(1, 5, 6), has_series_per_phase=True)
    files = exam.files()
    del files[1].StudyInstanceUID
    dicom.write(tmp_path / "source", files)
    assert_comes_back(dicom, tmp_path, exam)


@pytest.mark.parametrize("lost", ["StudyDate", "PatientID"])
def test_a_series_that_may_be_of_any_examination_is_refused(dicom, tmp_path, lost):
    exam = dicom.default_exam(phases=2, has_series_per_phase=True)
    files = exam.files()
    for file in files[4:]:
        del file.StudyInstanceUID
        del file[lost]
    dicom.write(tmp_path / "source", files)
    with pytest.raises(NnmtlError, match="expected StudyInstanceUID in every image, or one exam"):
        dicom.convert(tmp_path / "source", tmp_path / "raw")


def test_two_visits_under_one_study_are_not_mixed(dicom, tmp_path, exam):
    second = dicom.default_exam(phases=2, study_uid=exam.study_uid, series_number=8)
    files = second.files()
    for file in files:
        file.StudyDate = file.SeriesDate = file.AcquisitionDate = "20210301"
    dicom.write(tmp_path / "source", [*exam.files(), *files])
    with pytest.raises(NnmtlError, match=r"one visit .* got images of 2 days .*StudyInstanceUID"):
        dicom.convert(tmp_path / "source", tmp_path / "raw")
    dataset = dicom.convert(tmp_path / "source", tmp_path / "raw", "--series", "8")
    np.testing.assert_array_equal(dicom.values_at(dataset.image(0), second), second.voxels[1])


def test_no_visit_is_left_out_in_silence(dicom, tmp_path, exam):
    """The earlier one has fewer phases, and lies elsewhere."""
    second = dicom.default_exam(phases=3, study_uid=exam.study_uid, origin=(-40.0, 25.0, 3.0))
    files = second.files()
    for file in files:
        file.StudyDate = "20210301"
    dicom.write(tmp_path / "source", [*exam.files(), *files])
    with pytest.raises(NnmtlError, match="one visit in an examination, got images of 2 days"):
        dicom.convert(tmp_path / "source", tmp_path / "raw")


def test_series_of_one_number_are_told_apart_otherwise(dicom, tmp_path, exam):
    second = dicom.default_exam(phases=2, study_uid=exam.study_uid)
    dicom.write(tmp_path / "source", [*exam.files(), *second.files()])
    with pytest.raises(NnmtlError, match=r"numbers 3, 3\); name one by its description .* export"):
        dicom.convert(tmp_path / "source", tmp_path / "raw")


def test_nothing_is_left_of_a_conversion_that_fails(dicom, tmp_path, exam):
    files = exam.files()
    del files[6].PixelData  # of the phase that is taken
    dicom.write(tmp_path / "source", files)
    with pytest.raises(NnmtlError, match="expected readable voxels"):
        dicom.convert(tmp_path / "source", tmp_path / "raw")
    assert [path.name for path in Path(tmp_path / "raw").iterdir()] == ["dicom_salt.txt"]
