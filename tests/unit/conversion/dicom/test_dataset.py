import gzip
import json

import numpy as np
import pytest

from nnmtl.cli.convert import main
from nnmtl.cohort.declaration import parse_declaration
from nnmtl.cohort.raw_dataset import check_raw_dataset
from nnmtl.cohort.targets import read_targets
from nnmtl.errors import NnmtlError


@pytest.fixture
def cohort(dicom):
    """Files of two examinations of one patient and one of another, shuffled; the exams."""
    exams = [
        dicom.default_exam(patient_id=patient, shape=(4, 5, 6 + index))
        for index, patient in enumerate(["MRN-1", "MRN-1", "MRN-2"])
    ]
    files = [file for exam in exams for file in exam.files()]
    for file in files[12:24]:
        file.StudyDate = "20210301"
    order = np.random.default_rng(1).permutation(len(files))
    return exams, [files[index] for index in order]


def targets(dataset):
    declaration = parse_declaration(json.loads((dataset.folder / "dataset.json").read_text()))
    return read_targets(dataset.folder / "targets.csv", declaration)


def test_the_dataset_has_no_error(convert, dicom):
    exams = [dicom.default_exam(patient_id=f"MRN-{index}") for index in range(5)]
    dataset = convert([file for exam in exams for file in exam.files()], "--center", "North")
    assert not [item for item in check_raw_dataset(dataset.folder) if item.level == "error"]
    assert set(targets(dataset).centers) == {"North"}


def test_examinations_are_told_apart_and_patients_kept_together(convert, cohort):
    table = targets(convert(cohort[1]))
    assert len(set(table.case_ids)) == 3
    assert sorted(table.patient_ids.count(name) for name in set(table.patient_ids)) == [1, 2]


def test_kept_ids_are_the_patients_with_the_examination_in_time(convert, dicom, cohort):
    exams, files = cohort
    dataset = convert(files, "--keep-ids")
    assert targets(dataset).case_ids == ("MRN-1_1", "MRN-1_2", "MRN-2")
    assert targets(dataset).patient_ids == ("MRN-1", "MRN-1", "MRN-2")
    for case_id, exam in zip(targets(dataset).case_ids, exams, strict=True):
        found = dicom.values_at(dataset.image(0, case_id), exam)
        np.testing.assert_array_equal(found, exam.voxels[1])


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("source", r"--key: expected a file that can be written, got .*source"),
        ("source/file/key.csv", r"--key: expected a file that can be written"),
        ("raw/Dataset007_DICOM/key.csv", r"--key: expected a file outside the dataset"),
    ],
)
def test_a_key_that_cannot_be_kept_is_refused_before_any_work(dicom, tmp_path, key, message):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("")
    with pytest.raises(NnmtlError, match=message):
        dicom.convert(tmp_path / "source", tmp_path / "raw", "--key", str(tmp_path / key))


def test_a_folder_is_no_salt(dicom, tmp_path, cohort):
    dicom.write(tmp_path / "source", cohort[1])
    with pytest.raises(NnmtlError, match=r"--salt: expected a file, got the folder .*; name"):
        dicom.convert(tmp_path / "source", tmp_path / "raw", "--salt", str(tmp_path))


def test_a_salt_may_be_any_bytes(dicom, tmp_path, cohort):
    dicom.write(tmp_path / "source", cohort[1])
    (tmp_path / "salt").write_bytes(bytes(range(128, 256)))
    dicom.convert(tmp_path / "source", tmp_path / "raw", "--salt", str(tmp_path / "salt"))


def test_hashed_ids_depend_on_the_salt_only(dicom, tmp_path, cohort):
    dicom.write(tmp_path / "source", cohort[1])
    salts = [tmp_path / "one.txt", tmp_path / "one.txt", tmp_path / "two.txt"]
    tables = [
        targets(dicom.convert(tmp_path / "source", tmp_path / str(run), "--salt", str(salt)))
        for run, salt in enumerate(salts)
    ]
    assert tables[0].case_ids == tables[1].case_ids
    assert not set(tables[0].patient_ids) & set(tables[2].patient_ids)
    assert salts[0].stat().st_mode & 0o077 == 0


def test_nothing_written_or_logged_tells_who_it_is(dicom, tmp_path, cohort, caplog, capsys):
    _, files = cohort
    files[0].BurnedInAnnotation = "YES"
    for file in files:
        file.SeriesDescription = "dyn Doe mrn-1"
    source = tmp_path / "DOE_JANE"
    dicom.write(source, [*files, files[3]])
    dataset = dicom.convert(source, tmp_path / "raw")
    told = [caplog.text, *capsys.readouterr()]
    for path in (tmp_path / "raw").rglob("*"):
        told.append(str(path.relative_to(tmp_path)))
        if path.is_file():
            content = path.read_bytes()
            content = gzip.decompress(content) if path.suffix == ".gz" else content
            told.append(content.decode("latin-1"))
    secrets = ["doe", "jane", "mrn", dicom.BIRTH_DATE]
    secrets += [getattr(files[0], f"{name}InstanceUID") for name in ("Study", "Series", "SOP")]
    text = "\n".join(told).lower().replace(str(tmp_path).lower(), "")
    assert not [secret for secret in secrets if secret in text]
    assert "burned into its voxels" in text
    assert dataset.folder.name == "Dataset007_DICOM"


def test_the_key_leads_back_to_the_patient(dicom, tmp_path, cohort):
    dicom.write(tmp_path / "source", cohort[1])
    key = tmp_path / "secret" / "key.csv"
    dataset = dicom.convert(tmp_path / "source", tmp_path / "raw", "--key", str(key))
    lines = [line.split(",") for line in key.read_text().splitlines()]
    assert lines[0] == ["case_id", "patient_id", "PatientID", "StudyDate"]
    assert {line[2] for line in lines[1:]} == {"MRN-1", "MRN-2"}
    assert {line[0] for line in lines[1:]} == set(targets(dataset).case_ids)


def test_a_dry_run_shows_a_table_and_writes_nothing(dicom, tmp_path, cohort, caplog):
    caplog.set_level("INFO")
    dicom.write(tmp_path / "source", cohort[1])
    dicom.convert(tmp_path / "source", tmp_path / "raw", "--dry-run", "--keep-ids")
    assert not (tmp_path / "raw").exists()
    (line,) = [line for line in caplog.text.splitlines() if "MRN-2" in line]
    assert "axial" in line
    assert "3 by TemporalPositionIdentifier, TriggerTime: 0, 95, 171 s" in line
    assert "image: phase 1 (first after contrast)" in line


def test_a_refused_case_ends_the_conversion_or_is_left_out(dicom, tmp_path, cohort, caplog):
    _, files = cohort
    broken = next(file for file in files if file.PatientID == "MRN-2")
    files = [file for file in files if file is not broken]
    dicom.write(tmp_path / "source", files)
    options = ["--keep-ids", "--phase", "all"]
    with pytest.raises(NnmtlError, match="the case 'MRN-2': series 3: expected 3 slices at each"):
        dicom.convert(tmp_path / "source", tmp_path / "raw", *options)
    assert not (tmp_path / "raw" / "Dataset007_DICOM").exists()
    dataset = dicom.convert(tmp_path / "source", tmp_path / "raw", *options, "--skip-refused")
    assert targets(dataset).case_ids == ("MRN-1_1", "MRN-1_2")
    assert "left out 1 of 3 cases" in caplog.text


def test_patients_without_id_are_not_taken_for_one(convert, dicom, caplog):
    files = [file for _ in range(2) for file in dicom.default_exam(patient_id="").files()]
    assert len(set(targets(convert(files)).patient_ids)) == 2
    assert "has no PatientID" in caplog.text


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("PatientID", "expected one PatientID in an examination, got 2"),
        ("SeriesInstanceUID", "expected SeriesInstanceUID in every image, got 1 of 12"),
    ],
)
def test_files_that_belong_to_nobody_or_to_two_are_refused(convert, dicom, tag, message):
    files = dicom.default_exam().files()
    setattr(files[2], tag, "other" if tag == "PatientID" else "")
    with pytest.raises(NnmtlError, match=message):
        convert(files)


def test_a_folder_without_images_is_told(dicom, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(NnmtlError, match="expected DICOM images, got none"):
        dicom.convert(tmp_path / "empty", tmp_path / "raw")


def test_an_absent_source_is_told(dicom, tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_raw", str(tmp_path))
    with pytest.raises(NnmtlError, match="SOURCE: expected the folder of DICOM files, got none"):
        main(["dicom", "-d", "7"])


def test_ids_that_files_cannot_tell_apart_are_refused(convert, dicom):
    files = [f for name in ("A 1", "A/1") for f in dicom.default_exam(patient_id=name).files()]
    with pytest.raises(NnmtlError, match="--keep-ids: expected patient ids that differ"):
        convert(files, "--keep-ids")


def test_an_absent_pydicom_is_told(dicom, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NnmtlError, match=r"pip install nnmtl\[dicom\]"):
        dicom.convert(tmp_path, tmp_path / "raw")
