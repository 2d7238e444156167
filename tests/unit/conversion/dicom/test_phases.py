import numpy as np
import pytest

from nnmtl.errors import NnmtlError


@pytest.fixture
def exam(dicom):
    return dicom.default_exam(phases=3)


def without(files, *tags):
    for file in files:
        for tag in tags:
            file.pop(tag, None)
    return files


def test_each_tag_is_used_when_those_before_it_are_absent(dicom, tmp_path, exam):
    for number, tag in enumerate(dicom.PHASE_TAGS):
        files = without(exam.files(), *dicom.PHASE_TAGS[:number])
        folder = tmp_path / tag
        dicom.write(folder / "source", files)
        dataset = dicom.convert(folder / "source", folder / "raw", "--phase", "all")
        np.testing.assert_array_equal(dataset.phases(exam), exam.voxels)
        has_time = tag not in ("AcquisitionNumber", "InstanceNumber")
        assert dataset.row["phase_tag"] == tag
        assert dataset.row["times_s"] == ("0;95;171" if has_time else "")


def test_a_tag_that_groups_wrongly_is_passed_over(convert, dicom, exam):
    """As in a real examination: AcquisitionNumber is 1, 2, 2 and only ContentTime is right."""
    files = without(exam.files(), *dicom.PHASE_TAGS[:3])
    for index, file in enumerate(files):
        file.AcquisitionNumber = min(index // 4 + 1, 2)
    dataset = convert(files, "--phase", "all")
    assert dataset.row["phase_tag"] == dataset.row["times_tag"] == "ContentTime"
    np.testing.assert_array_equal(dataset.phases(exam), exam.voxels)


def test_times_go_on_after_midnight(convert, dicom, exam):
    files = without(exam.files(), *dicom.PHASE_TAGS[:2])
    for index, file in enumerate(files):
        file.AcquisitionTime = ("235930.5", "000105.5", "000300")[index // 4]
    dataset = convert(files, "--phase", "all")
    assert dataset.row["times_s"] == "0;95;209.5"
    np.testing.assert_array_equal(dataset.phases(exam), exam.voxels)


def test_a_file_number_that_goes_through_phases_at_each_position_is_understood(
    convert, dicom, exam
):
    files = without(exam.files(), *dicom.PHASE_TAGS[:5])
    for index, file in enumerate(files):
        file.InstanceNumber = index % 4 * 3 + index // 4 + 1
    dataset = convert(files, "--phase", "all")
    np.testing.assert_array_equal(dataset.phases(exam), exam.voxels)


def test_tags_that_order_the_phases_differently_are_refused(convert, exam):
    files = exam.files()
    for file in files:
        file.TemporalPositionIdentifier = 4 - file.TemporalPositionIdentifier
    with pytest.raises(NnmtlError, match="another by TriggerTime than by TemporalPositionId"):
        convert(files)


def test_phases_in_series_of_their_own_are_joined(convert, dicom):
    exam = dicom.default_exam(phases=4, has_series_per_phase=True)
    dataset = convert(exam.files(), "--phase", "all")
    np.testing.assert_array_equal(dataset.phases(exam), exam.voxels)
    assert dataset.row["phase_tag"] == "TriggerTime"


def test_series_with_one_time_of_acquisition_are_joined_by_their_trigger(convert, dicom):
    exam = dicom.default_exam(phases=4, has_series_per_phase=True)
    files = exam.files()
    for file in files:
        file.AcquisitionTime = "100000"
    dataset = convert(files, "--phase", "all")
    np.testing.assert_array_equal(dataset.phases(exam), exam.voxels)
    assert dataset.row["times_s"] == "0;95;171;260"


def test_one_series_before_and_one_after_contrast_are_joined(convert, dicom):
    exam = dicom.default_exam(phases=4)
    files = exam.files()
    for file in files[4:]:
        file.SeriesInstanceUID = exam.series_uids[1]
        file.TemporalPositionIdentifier -= 1
    dataset = convert(files, "--phase", "all")
    np.testing.assert_array_equal(dataset.phases(exam), exam.voxels)


def test_a_phase_series_that_lacks_slices_is_not_left_out_silently(convert, dicom):
    exam = dicom.default_exam(phases=4, has_series_per_phase=True)
    with pytest.raises(NnmtlError, match="looks like a further phase of series 3"):
        convert(exam.files()[:-1])


def test_a_second_reconstruction_is_no_further_phase(convert, dicom):
    """It has the same times of acquisition and later times of content."""
    exam = dicom.default_exam(phases=2)
    again = dicom.default_exam(phases=2, series_number=9)
    again.study_uid, again.frame_of_reference = exam.study_uid, exam.frame_of_reference
    files = exam.files() + again.files()
    for file in files[8:]:
        file.ContentTime = "110000"
    with pytest.raises(NnmtlError, match=r"got 2 with 2 \(numbers 3, 9\); name one with --series"):
        convert(files)
    dataset = convert(files, "--series", "9", "--phase", "all")
    np.testing.assert_array_equal(dataset.phases(again), again.voxels)


def test_derived_images_are_no_phases(convert, dicom, exam):
    derived = dicom.default_exam(phases=5, image_type=("DERIVED", "SECONDARY", "SUB"))
    derived.study_uid, derived.frame_of_reference = exam.study_uid, exam.frame_of_reference
    derived.series_number = 300
    dataset = convert(exam.files() + derived.files())
    assert dataset.row["num_phases"] == "3"


def test_diffusion_is_no_dynamic_series(convert, dicom, exam):
    diffusion = dicom.default_exam(phases=6, study_uid=exam.study_uid, series_number=8)
    files = diffusion.files()
    for file in files:
        file.ScanningSequence = ["EP", "RM"]
    assert convert(exam.files() + files).row["num_phases"] == "3"


def test_kinds_of_image_in_one_series_are_told_apart_and_named(convert, dicom, exam):
    """Water and fat of a Dixon sequence, as some scanners store them."""
    fat = dicom.default_exam(phases=3, image_type=("ORIGINAL", "PRIMARY", "FAT"))
    fat.voxels = fat.voxels[:, ::-1]
    for name in ("study_uid", "series_uids", "frame_of_reference"):
        setattr(fat, name, getattr(exam, name))
    files = exam.files() + fat.files()
    with pytest.raises(NnmtlError, match="got 2 with 3"):
        convert(files)
    dataset = convert(files, "--series", "FAT", "--phase", "all")
    np.testing.assert_array_equal(dataset.phases(fat), fat.voxels)


def test_echoes_are_no_phases(convert, dicom, exam):
    files = exam.files()
    second = exam.files()
    for file in second:
        file.EchoTime = 2.6
    with pytest.raises(NnmtlError, match="got 2 with 3"):
        convert(files + second)


def test_a_series_that_cannot_be_used_is_not_replaced_by_a_smaller_one(convert, dicom, exam):
    other = dicom.default_exam(phases=1, series_number=8)
    other.study_uid = exam.study_uid
    files = exam.files()
    del files[5]
    with pytest.raises(NnmtlError, match="series 3: expected 3 slices at each of 4 positions"):
        convert(files + other.files())


def test_one_file_that_stands_twice_is_taken_once(convert, exam, caplog):
    files = exam.files()
    dataset = convert([*files, files[3]], "--phase", "all")
    np.testing.assert_array_equal(dataset.phases(exam), exam.voxels)
    assert "passed over 1 files" in caplog.text


def test_numbers_of_phases_that_leave_one_out_are_refused(convert, exam):
    """The second phase is missing as a whole: the third would pass for the first after contrast."""
    files = [file for file in exam.files() if file.TemporalPositionIdentifier != 2]
    with pytest.raises(NnmtlError, match="got 2 phases from 1 to 3: phases are missing"):
        convert(files)


def test_fewer_phases_than_the_files_tell_are_refused(convert, exam):
    files = [file for file in exam.files() if file.TemporalPositionIdentifier != 1]
    for file in files:
        file.NumberOfTemporalPositions = 3
    with pytest.raises(NnmtlError, match="expected 3 phases as NumberOfTemporalPositions says"):
        convert(files)


def test_slices_acquired_in_turns_are_sorted_by_place(convert, dicom):
    """2D multi-slice: each slice has its own time, the odd ones first."""
    exam = dicom.default_exam(phases=3, shape=(6, 5, 6))
    files = without(exam.files(), *dicom.PHASE_TAGS[:2])
    for index, file in enumerate(files):
        phase, z = divmod(index, 6)
        turn = z // 2 if z % 2 == 0 else 3 + z // 2
        file.AcquisitionTime = dicom.clock(dicom.STARTS_S[phase] + 10 * turn)
    dataset = convert(files, "--phase", "all")
    np.testing.assert_array_equal(dataset.phases(exam), exam.voxels)
    assert dataset.row["phase_tag"] == "AcquisitionTime"
    assert dataset.row["times_s"] == "0;95;171"


def siemens(dicom, exam):
    """Each measurement a series of its own, no TemporalPositionIdentifier nor TriggerTime."""
    exam.has_series_per_phase = True
    files = without(exam.files(), *dicom.PHASE_TAGS[:2])
    for index, file in enumerate(files):
        file.AcquisitionNumber = 1
        file.InstanceNumber = index % 4 + 1
        file.Manufacturer, file.SoftwareVersions = "SIEMENS", "syngo MR E11"
    return files


def ge(dicom, exam):
    """One series, one AcquisitionTime; TriggerTime and the file's number tell the phases."""
    files = without(exam.files(), dicom.PHASE_TAGS[0])
    for file in files:
        file.AcquisitionTime, file.AcquisitionNumber = "100000", 1
        file.Manufacturer = "GE MEDICAL SYSTEMS"
    return files


def philips(dicom, exam):
    """One series with TemporalPositionIdentifier, one AcquisitionTime, TriggerTime 0 throughout."""
    files = exam.files()
    for file in files:
        file.TriggerTime, file.AcquisitionTime, file.AcquisitionNumber = 0, "100000", 7
        file.NumberOfTemporalPositions = 3
        file.Manufacturer = "Philips Medical Systems"
    return files


@pytest.mark.parametrize(
    ("habit", "tag", "times_tag"),
    [
        (siemens, "AcquisitionTime", "AcquisitionTime"),
        (ge, "TriggerTime", "TriggerTime"),
        (philips, "TemporalPositionIdentifier", "ContentTime"),
    ],
)
def test_the_habits_of_vendors_are_understood(convert, dicom, exam, habit, tag, times_tag):
    dataset = convert(habit(dicom, exam), "--phase", "all")
    np.testing.assert_array_equal(dataset.phases(exam), exam.voxels)
    assert (dataset.row["phase_tag"], dataset.row["times_tag"]) == (tag, times_tag)
    assert dataset.row["times_s"] == "0;95;171"
