"""Sequences, registration, motion and bias field in a body that is sampled from a formula."""

import csv
import json

import numpy as np
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

from nnmtl.errors import NnmtlError

BRIGHTNESS = 5  # keeps decimals of the formula in the whole numbers of the files


def t1(texture):
    return texture


def enhanced(texture):
    return 1 + 1.2 * texture


def t2(texture):
    return 1.5 - texture - 0.3 * texture**2


@pytest.fixture
def dynamic(dicom, textured_body):
    """A phase before contrast, perhaps moved, and one after it."""

    def exam(moved=None):
        points = textured_body.points()
        phases = [
            textured_body.values(points, moved, t1),
            textured_body.values(points, None, enhanced),
        ]
        voxels = (BRIGHTNESS * np.stack(phases)).round().astype(np.int16)
        return dicom.Exam(voxels, spacing=textured_body.spacing_mm, origin=textured_body.origin_mm)

    return exam


@pytest.fixture
def sequence(dicom, textured_body):
    """A T2 image of the same examination, by default on a grid of its own."""

    def file(exam, *, moved=None, is_on_grid=False, **given):
        turn = np.eye(3) if is_on_grid else Rotation.from_euler("z", 12, degrees=True).as_matrix()
        size = textured_body.size if is_on_grid else (60, 60, 30)
        spacing = textured_body.spacing_mm if is_on_grid else (1.8, 1.6, 2.7)
        origin = textured_body.origin_mm if is_on_grid else (-60.0, -40.0, -36.0)
        origin = given.pop("origin", origin)
        z, y, x = np.indices(size[::-1])
        points = np.stack([x, y, z], axis=-1) * spacing @ turn + origin
        voxels = BRIGHTNESS * textured_body.values(points, moved, t2)
        settings = {
            "study_uid": exam.study_uid,
            "frame_of_reference": exam.frame_of_reference,
            "description": "T2 tse",
            "series_number": 8,
        }
        made = dicom.Exam(
            voxels.round().astype(np.int16)[None],
            directions=turn,
            spacing=spacing,
            origin=origin,
            **(settings | given),
        )
        ds = dicom.enhanced(made)
        ds.RepetitionTime, ds.EchoTime = 4000, 90
        return ds

    return file


def steps(dataset):
    with (dataset.folder / "image_steps.csv").open() as stream:
        return list(csv.DictReader(stream))


def error(found, expected):
    """Root mean square difference where the body is, to the texture's."""
    body = expected > BRIGHTNESS * 50
    difference = (found - expected)[body]
    return np.sqrt((difference**2).mean()) / expected[body].std()


def test_a_moved_phase_is_brought_back_and_the_reference_stays(
    convert, dicom, dynamic, textured_body, tmp_path
):
    planted = textured_body.motion((3, -4, 2), (0.03, 0.02, -0.05))
    exam, still = dynamic(planted), dynamic().voxels[0]
    mask = np.zeros(still.shape, dtype=np.uint8)
    mask[5:9, 11:20, 7:13] = 1
    (tmp_path / "source").mkdir()
    SimpleITK.WriteImage(
        dicom_mask(mask, textured_body), str(tmp_path / "source" / f"{exam.patient_id}.nii.gz")
    )
    dataset = convert(
        [dicom.enhanced(exam)],
        *("--phase", "all", "--motion", "--masks", "{patient}.nii.gz"),
    )
    found = dataset.phases(exam)
    np.testing.assert_array_equal(found[1], exam.voxels[1])
    np.testing.assert_array_equal(dicom.values_at(dataset.label_map(), exam), mask)
    assert error(found[0], still) < 0.25 * error(exam.voxels[0], still)
    (row,) = steps(dataset)
    assert (row["image"], row["step"], row["reference"]) == ("phase 0", "motion", "phase 1")
    assert row["applied"] == "yes"
    assert float(row["translation_mm"]) == pytest.approx(29**0.5, abs=0.5)
    assert float(row["after"]) > float(row["before"])
    assert 0 < float(row["outside_fraction"]) < 0.3
    (picture,) = dataset.folder.glob("image_steps/*.png")
    assert SimpleITK.ReadImage(str(picture)).GetSize()[0] > 1000


def dicom_mask(mask, textured_body):
    return SimpleITK.Cast(textured_body.image(mask), SimpleITK.sitkUInt8)


def test_phases_that_lie_well_are_not_interpolated(convert, dicom, dynamic):
    exam = dynamic()
    dataset = convert([dicom.enhanced(exam)], "--phase", "all", "--motion")
    np.testing.assert_array_equal(dataset.phases(exam), exam.voxels)
    assert [row["applied"] for row in steps(dataset)] == ["no"]


def test_without_being_asked_nothing_is_done(convert, dicom, dynamic, textured_body):
    exam = dynamic(textured_body.motion((3, -4, 2)))
    dataset = convert([dicom.enhanced(exam)], "--phase", "all")
    np.testing.assert_array_equal(dataset.phases(exam), exam.voxels)
    assert not list(dataset.folder.glob("image_steps*"))


def test_a_sequence_becomes_a_channel_on_the_grid_of_the_image(
    convert, dicom, dynamic, sequence, textured_body
):
    exam = dynamic()
    dataset = convert([dicom.enhanced(exam), sequence(exam)], "--sequence", "T2=T2")
    expected = BRIGHTNESS * textured_body.values(textured_body.points(), None, t2)
    assert error(dicom.values_at(dataset.image(1), exam), expected) < 0.05
    np.testing.assert_array_equal(dicom.values_at(dataset.image(0), exam), exam.voxels[1])
    (row,) = steps(dataset)
    assert (row["image"], row["step"], row["applied"]) == ("T2", "resampling", "yes")
    content = json.loads((dataset.folder / "dataset.json").read_text())
    assert content["channel_names"] == {"0": "post", "1": "T2"}


def test_a_sequence_on_the_grid_is_taken_as_it_is(convert, dicom, dynamic, sequence):
    exam = dynamic()
    file = sequence(exam, is_on_grid=True)
    dataset = convert([dicom.enhanced(exam), file], "--sequence", "T2=T2")
    np.testing.assert_array_equal(
        dicom.values_at(dataset.image(1), exam).ravel(), file.pixel_array.ravel()
    )
    assert not (dataset.folder / "image_steps.csv").exists()


def test_a_sequence_in_another_frame_of_reference_must_be_registered(
    convert, dicom, dynamic, sequence, textured_body, tmp_path
):
    exam, planted = dynamic(), textured_body.motion((5, 2, -3), (0.02, 0, 0.04))
    file = sequence(exam, moved=planted, frame_of_reference="1.2.3")
    with pytest.raises(NnmtlError, match=r"got series 8 in another: .* add --register"):
        convert([dicom.enhanced(exam), file], "--sequence", "T2=T2")
    dataset = dicom.convert(
        tmp_path / "source", tmp_path / "raw", "--sequence", "T2=T2", "--register"
    )
    expected = BRIGHTNESS * textured_body.values(textured_body.points(), None, t2)
    found = dicom.values_at(dataset.image(1), exam)
    assert error(np.where(found > 0, found, expected), expected) < 0.15
    (row,) = steps(dataset)
    assert (row["step"], row["applied"]) == ("registration", "yes")
    assert float(row["translation_mm"]) == pytest.approx(38**0.5, abs=0.7)


def test_a_case_without_the_sequence_gets_zeros_that_are_declared(
    convert, dicom, dynamic, sequence, caplog
):
    exam, other = dynamic(), dynamic()
    other.patient_id, exam.patient_id = "B", "A"
    file = sequence(exam, is_on_grid=True, patient_id="A")
    dataset = convert(
        [dicom.enhanced(exam), dicom.enhanced(other), file],
        *("--sequence", "T2=T2", "--keep-ids", "--with", "pre"),
    )
    content = json.loads((dataset.folder / "dataset.json").read_text())
    assert content["nnmtl"]["missing_channels"] == {"B": [2]}
    assert not np.asanyarray(dataset.image(2, "B").dataobj).any()
    assert "1 of 2 cases have no sequence T2" in caplog.text


def test_a_sequence_that_lies_elsewhere_is_refused(convert, dicom, dynamic, sequence):
    exam = dynamic()
    files = [dicom.enhanced(exam), sequence(exam, origin=(500.0, 0.0, 0.0))]
    with pytest.raises(NnmtlError, match="expected the sequence T2 where the image is"):
        convert(files, "--sequence", "T2=T2")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--sequence", "T2"), r"--sequence: expected NAME=SERIES"),
        (("--sequence", "T2=("), r"--sequence T2: expected a regular expression"),
        (("--sequence", "pre=T2", "--with", "pre"), r"expected names of their own, got post, pre"),
        (("--sequence", "T2=FLAIR"), r"T2=FLAIR: expected a series of some .* got none of 1"),
        (("--sequence", "T2=8", "--sequence", "any=T"), "names of their own|the sequence any"),
        (("--register",), "--register: expected a sequence"),
    ],
)
def test_what_cannot_be_found_is_told(convert, dicom, dynamic, sequence, options, message):
    exam = dynamic()
    files = [dicom.enhanced(exam), sequence(exam), sequence(exam, series_number=9)]
    with pytest.raises(NnmtlError, match=message):
        convert(files, *options)


def test_a_sequence_that_two_series_may_be_is_refused(convert, dicom, dynamic, sequence):
    exam = dynamic()
    files = [dicom.enhanced(exam), sequence(exam), sequence(exam, series_number=9)]
    with pytest.raises(NnmtlError, match=r"for the sequence T2, got 2 \(numbers 8, 9\)"):
        convert(files, "--sequence", "T2=T2")


def test_one_bias_field_for_all_phases_leaves_percent_enhancement(
    convert, dicom, dynamic, tmp_path
):
    exam = dynamic()
    coil = np.exp(0.03 * (np.arange(exam.voxels.shape[-1]) - 24))
    exam.voxels = (exam.voxels * coil).round().astype(np.int16)
    plain = convert([dicom.enhanced(exam)], "--with", "pe")
    even = dicom.convert(tmp_path / "source", tmp_path / "even", "--with", "pe", "--n4")
    np.testing.assert_allclose(plain.image(1).get_fdata(), even.image(1).get_fdata(), atol=0.02)
    rows = {row["image"]: row for row in steps(even)}
    assert rows["phase 1"]["reference"] == "phase 0"
    for row in rows.values():
        assert float(row["after"]) < 0.95 * float(row["before"])
