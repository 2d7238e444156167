import numpy as np
import pytest

from nnmtl.dataset_conversion._dicom_kinetics import (
    peak_phase,
    percent_enhancement,
    signal_enhancement_ratio,
)
from nnmtl.errors import NnmtlError


@pytest.fixture
def exam(dicom):
    """Five phases of which the fourth enhances most; the third begins nearest to 90 s."""
    exam = dicom.default_exam(phases=5, shape=(4, 8, 8))
    exam.voxels[:, 1, 2:5, 2:5] = np.array([400, 600, 700, 2000, 900])[:, None, None]
    return exam


@pytest.mark.parametrize(
    ("policy", "phase", "reason"),
    [
        ("first-post", 1, "first after contrast"),
        ("nearest-90s", 2, "100 s is nearest to 90"),
        ("peak", 3, "peak enhancement"),
        ("4", 4, "index"),
    ],
)
def test_a_policy_takes_its_phase_and_records_it(convert, exam, dicom, policy, phase, reason):
    files = exam.files()
    for file in files:
        index = file.TemporalPositionIdentifier - 1
        file.TriggerTime = (0, 30_000, 100_000, 170_000, 240_000)[index]
        file.AcquisitionTime = dicom.clock(file.TriggerTime / 1000)
    dataset = convert(files, "--phase", policy)
    np.testing.assert_array_equal(dataset.phases(exam), exam.voxels[[phase]])
    row = dataset.row
    assert (row["policy"], row["phases"], row["reason"]) == (policy, str(phase), reason)
    assert row["phases_s"] == ("0", "30", "100", "170", "240")[phase]


def test_extra_channels_are_computed_from_the_chosen_phase(convert, exam):
    dataset = convert(exam.files(), "--phase", "2", "--with", "pre,subtraction,pe,ser")
    post, pre, subtraction, enhancement, ratio = dataset.phases(exam).astype(float)
    before, early, late = exam.voxels[[0, 2, 4]].astype(float)
    np.testing.assert_array_equal(post, early)
    np.testing.assert_array_equal(pre, before)
    np.testing.assert_array_equal(subtraction, early - before)
    np.testing.assert_allclose(enhancement, 100 * (early - before) / before, rtol=1e-5)
    np.testing.assert_allclose(ratio, np.clip((early - before) / (late - before), 0, 3), rtol=1e-5)


def test_maps_are_nan_where_they_are_not_defined():
    pre, early, late = np.array([[0, 10, 10], [5, 20, 5], [0, 15, 10]], dtype=np.uint16)
    np.testing.assert_array_equal(percent_enhancement(pre, early), [np.nan, 100, -50])
    # 5 / 0 rise, 10 / 5, -5 / 0
    np.testing.assert_array_equal(signal_enhancement_ratio(pre, early, late), [np.nan, 2, np.nan])


def test_a_ratio_stays_between_0_and_3():
    pre, late = np.array([10, 10]), np.array([11, 11])
    np.testing.assert_array_equal(signal_enhancement_ratio(pre, np.array([30, 5]), late), [3, 0])


def test_the_peak_does_not_follow_the_background():
    phases = np.full((4, 10, 10, 10), 100)
    phases[3] += 5  # everything drifts
    phases[1:, 2:5, 2:5, 2:5] = np.array([300, 250, 200])[:, None, None, None]
    assert peak_phase(phases) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--phase", "late"], "--phase: expected first-post, nearest-90s, peak, all or an index"),
        (["--phase", "5"], "expected a phase 5, got 5 phases"),
        (["--phase", "0", "--with", "subtraction"], "before and after contrast for subtraction"),
        (["--phase", "4", "--with", "ser"], "for ser, got phase 4 of 5"),
        (["--with", "pre,pre"], "--with: expected some of pre, subtraction, pe, ser"),
        (["--series", "("], "--series: expected a regular expression"),
        (["--series", "T2"], "expected a series that --series 'T2' finds, got none among 1"),
    ],
)
def test_a_wish_that_cannot_be_met_is_told(convert, exam, options, message):
    with pytest.raises(NnmtlError, match=message):
        convert(exam.files(), *options)


def test_nearest_needs_times(convert, exam, dicom):
    files = exam.files()
    for file in files:
        for tag in dicom.PHASE_TAGS[1:5]:
            del file[tag]
    with pytest.raises(NnmtlError, match="expected times of the phases for nearest-90s"):
        convert(files, "--phase", "nearest-90s")


def test_one_phase_is_taken_by_index_only(convert, dicom):
    exam = dicom.default_exam(phases=1)
    with pytest.raises(NnmtlError, match=r"got one phase; .* take this one with --phase 0"):
        convert(exam.files())
    dataset = convert(exam.files(), "--phase", "0")
    np.testing.assert_array_equal(dataset.phases(exam), exam.voxels)


def test_all_phases_need_equal_counts(convert, dicom):
    files = dicom.default_exam(phases=2).files() + dicom.default_exam(phases=3).files()
    for file in files[8:]:
        file.PatientID = "other"
    with pytest.raises(NnmtlError, match="equally many phases in all cases, got 2 to 3"):
        convert(files, "--phase", "all")
