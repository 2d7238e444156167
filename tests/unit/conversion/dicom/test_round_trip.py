"""Random examinations come back voxel by voxel, or are refused; never silently wrong."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from nnmtl.errors import NnmtlError

FEW, MANY = 25, 500
PARTS = 4  # which may run side by side

seeds = st.integers(0, 2**32 - 1)
phase_counts = st.integers(1, 8)
slice_counts = st.integers(1, 5)


def random_exam(dicom, rng, phases, slices):
    directions, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    directions[2] = np.cross(directions[0], directions[1]) * rng.choice([-1, 1])
    return dicom.Exam(
        dicom.smooth_voxels(phases, (slices, 3, 4), seed=int(rng.integers(1 << 30))),
        directions=directions,
        spacing=tuple(rng.uniform(0.3, 4, size=3).round(4)),
        origin=tuple(rng.uniform(-200, 200, size=3).round(4)),
        has_series_per_phase=bool(rng.integers(2)),
    )


def stored_otherwise(rng, exam, files):
    """The same voxels, signed or not, in 12 bits or 16, in some transfer syntax."""
    is_signed, is_short = bool(rng.integers(2)), bool(rng.integers(2))
    exam.voxels = exam.voxels - (400 if is_signed else 0)
    syntax = rng.choice([ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless])
    for index, file in enumerate(files):
        stored = exam.voxels[divmod(index, exam.voxels.shape[1])].astype("<i2")
        file.PixelData = (stored & 0x0FFF if is_short else stored).tobytes()
        file.PixelRepresentation = int(is_signed)
        file.BitsStored, file.HighBit = (12, 11) if is_short else (16, 15)
        if syntax == RLELossless:
            file.compress(RLELossless, generate_instance_uid=False)
        file.file_meta.TransferSyntaxUID = syntax
    return files


def outcome(dicom, exam, files, order=None):
    """The phases found, or None after a refusal, which must be one line."""
    with tempfile.TemporaryDirectory() as folder:
        dicom.write(Path(folder, "source"), files, order=order)
        try:
            dataset = dicom.convert(Path(folder, "source"), Path(folder, "raw"), "--phase", "all")
        except NnmtlError as error:
            message = str(error)
        else:
            event("recovered")
            return dataset.phases(exam), dataset.row
    event(f"refused: {message.partition(':')[2].partition(',')[0].strip()}")
    assert "\n" not in message
    assert folder not in message
    return None, None


def check_round_trip(dicom, seed, phases, slices, is_multiframe):
    rng = np.random.default_rng(seed)
    exam = random_exam(dicom, rng, phases, slices)
    order = rng.permutation(phases * slices)
    if is_multiframe:
        exam.has_series_per_phase = False
        files, order = [dicom.enhanced(exam, order=order)], None
    else:
        files = stored_otherwise(rng, exam, exam.files())
    found, row = outcome(dicom, exam, files, order)
    np.testing.assert_array_equal(found, exam.voxels)
    times = [float(time) for time in row["times_s"].split(";")]
    assert times == list(dicom.STARTS_S[:phases])


def check_dropped_from_all(dicom, seed, phases, slices, dropped):
    rng = np.random.default_rng(seed)
    exam = random_exam(dicom, rng, phases, slices)
    files = exam.files()
    for file in files:
        for tag in dropped:
            del file[tag]
    found, row = outcome(dicom, exam, files, rng.permutation(len(files)))
    if found is None:
        needed = {"AcquisitionTime", "ContentTime"} if exam.has_series_per_phase else None
        assert phases > 1
        assert dropped >= (needed or set(dicom.PHASE_TAGS))
    else:
        np.testing.assert_array_equal(found, exam.voxels)
        assert row["phase_tag"] not in dropped


def check_dropped_from_one(dicom, seed, phases, slices):
    """Any tag of any one file, not of a list: nothing may go wrong unnoticed."""
    rng = np.random.default_rng(seed)
    exam = random_exam(dicom, rng, phases, slices)
    files = exam.files()
    for file in files:
        file.RescaleSlope, file.RescaleIntercept = 0.5, 3
    file = files[rng.integers(len(files))]
    keywords = sorted(element.keyword for element in file)
    del file[keywords[rng.integers(len(keywords))]]
    found, _ = outcome(dicom, exam, files, rng.permutation(len(files)))
    if found is not None:
        np.testing.assert_allclose(found, exam.voxels * 0.5 + 3)


def check_dropped_by_name(dicom, seed, phases, slices):
    """Any one tag of all files: what comes back is right."""
    rng = np.random.default_rng(seed)
    exam = random_exam(dicom, rng, phases, slices)
    files = exam.files()
    keywords = sorted({element.keyword for element in files[0]})
    keyword = keywords[rng.integers(len(keywords))]
    for file in files:
        del file[keyword]
    found, row = outcome(dicom, exam, files, rng.permutation(len(files)))
    if found is None:
        event(f"refused without {keyword}")
    else:
        np.testing.assert_array_equal(found, exam.voxels)
        times = [float(time) for time in row["times_s"].split(";")]
        assert times == list(dicom.STARTS_S[:phases])


def check_damaged(dicom, seed, phases, slices, damage):
    """A slice that is missing, doubled, moved or turned is refused."""
    rng = np.random.default_rng(seed)
    exam = random_exam(dicom, rng, phases, slices)
    files = exam.files()
    phase, z = int(rng.integers(phases)), int(rng.integers(1, slices - 1))
    damage(exam, files, phase * slices + z)
    found, _ = outcome(dicom, exam, files, rng.permutation(len(files)))
    assert found is None


def leave_out(exam, files, index):
    del files[index]


def double(exam, files, index):
    copy = exam.file(index // exam.voxels.shape[1], index % exam.voxels.shape[1])
    files.append(copy)


def move(exam, files, index):
    step = 0.4 * exam.spacing[2] * exam.directions[2]
    position = np.add(exam.position(index % exam.voxels.shape[1]), step)
    files[index].ImagePositionPatient = position.round(5).tolist()


def shift(exam, files, index):
    step = exam.spacing[0] * exam.directions[0]
    position = np.add(exam.position(index % exam.voxels.shape[1]), step)
    files[index].ImagePositionPatient = position.round(5).tolist()


def turn(exam, files, index):
    turned = [*exam.directions[1], *(-exam.directions[0])]
    files[index].ImageOrientationPatient = [round(number, 8) for number in turned]


def tilt(exam, files, index):
    """By what moves each slice by a fifth of a voxel or more: a tenth is rounding."""
    slope = max(0.4, 0.2 * max(exam.spacing[:2]) / exam.spacing[2])
    for file in files:
        height = np.dot(np.subtract(file.ImagePositionPatient, exam.origin), exam.directions[2])
        shifted = np.add(file.ImagePositionPatient, slope * height * exam.directions[1])
        file.ImagePositionPatient = shifted.round(5).tolist()


DAMAGES = [leave_out, double, move, shift, turn, tilt]


@settings(max_examples=FEW, deadline=None)
@given(seeds, phase_counts, slice_counts, st.booleans())
def test_image_affine_and_phases_come_back(dicom, seed, phases, slices, is_multiframe):
    check_round_trip(dicom, seed, phases, slices, is_multiframe)


@settings(max_examples=FEW, deadline=None)
@given(seeds, phase_counts, slice_counts, st.data())
def test_phases_come_back_without_some_of_the_tags(dicom, seed, phases, slices, data):
    dropped = data.draw(st.sets(st.sampled_from(dicom.PHASE_TAGS), max_size=6))
    check_dropped_from_all(dicom, seed, phases, slices, dropped)


@settings(max_examples=FEW, deadline=None)
@given(seeds, phase_counts, slice_counts)
def test_a_tag_missing_in_one_file_changes_nothing_or_is_told(dicom, seed, phases, slices):
    check_dropped_from_one(dicom, seed, phases, slices)


@settings(max_examples=FEW, deadline=None)
@given(seeds, phase_counts, slice_counts)
def test_a_tag_missing_in_all_files_changes_nothing_or_is_told(dicom, seed, phases, slices):
    check_dropped_by_name(dicom, seed, phases, slices)


@pytest.mark.parametrize("damage", DAMAGES)
@settings(max_examples=6, deadline=None)
@given(seeds, phase_counts, st.integers(3, 5))
def test_a_damaged_stack_is_refused(dicom, damage, seed, phases, slices):
    check_damaged(dicom, seed, phases, slices, damage)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@settings(max_examples=MANY // PARTS, deadline=None)
@given(seeds, phase_counts, slice_counts, st.booleans(), st.data())
def test_many_random_examinations(dicom, part, seed, phases, slices, is_multiframe, data):
    dropped = data.draw(st.sets(st.sampled_from(dicom.PHASE_TAGS), max_size=6))
    check_round_trip(dicom, seed, phases, slices, is_multiframe)
    check_dropped_from_all(dicom, seed, phases, slices, dropped)
    check_dropped_from_one(dicom, seed, phases, slices)
    check_dropped_by_name(dicom, seed, phases, slices)
    damage = data.draw(st.sampled_from(DAMAGES))
    check_damaged(dicom, seed, phases, max(3, slices), damage)
