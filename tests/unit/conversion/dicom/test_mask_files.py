import numpy as np
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

from nnmtl.errors import NnmtlError

PATTERN = "masks/{patient}*.*"


@pytest.fixture
def exam(dicom):
    directions = Rotation.random(random_state=5).as_matrix()
    return dicom.default_exam(phases=2, shape=(5, 7, 9), directions=directions)


@pytest.fixture
def mask(exam):
    mask = np.zeros(exam.voxels.shape[1:], dtype=np.uint8)
    mask[1:3, 1:3, 2:6] = 1
    mask[3:5, 4:6, 0:3] = 4
    return mask


@pytest.fixture
def write_mask(tmp_path, exam):
    """Writes a mask on the grid of the examination; `turn` stores its axes in another order."""

    def write(mask, name=None, *, turn=False, move_mm=0.0):
        image = SimpleITK.GetImageFromArray(mask)
        image.SetSpacing(exam.spacing)
        image.SetOrigin(tuple(np.add(exam.origin, move_mm * exam.directions[0])))
        image.SetDirection(tuple(exam.directions.T.ravel()))
        if turn:
            image = SimpleITK.Flip(SimpleITK.PermuteAxes(image, [2, 0, 1]), [True, False, True])
        folder = tmp_path / "source" / "masks"
        folder.mkdir(parents=True, exist_ok=True)
        SimpleITK.WriteImage(image, str(folder / (name or f"{exam.patient_id}.nii.gz")))

    return write


@pytest.mark.parametrize("turn", [False, True])
@pytest.mark.parametrize("ending", ["nii.gz", "nrrd"])
def test_a_mask_beside_goes_where_its_geometry_puts_it(
    convert, dicom, exam, mask, write_mask, turn, ending
):
    write_mask(mask, f"{exam.patient_id}.{ending}", turn=turn)
    dataset = convert(exam.files(), "--masks", PATTERN)
    found = dicom.values_at(dataset.label_map(), exam)
    np.testing.assert_array_equal(found, mask > 0)


def test_values_are_chosen_as_segments_are(convert, dicom, exam, mask, write_mask):
    write_mask(mask)
    dataset = convert(exam.files(), "--masks", PATTERN, "--tumor", "^4$")
    np.testing.assert_array_equal(dicom.values_at(dataset.label_map(), exam), mask == 4)


def test_lesions_in_files_of_their_own_are_united(convert, dicom, exam, mask, write_mask):
    for value in (1, 4):
        write_mask(mask * (mask == value), f"{exam.patient_id}_{value}.nii.gz")
    dataset = convert(exam.files(), "--masks", PATTERN)
    np.testing.assert_array_equal(dicom.values_at(dataset.label_map(), exam), mask > 0)


def test_case_ids_name_masks_too(dicom, tmp_path, exam, mask, write_mask):
    dicom.write(tmp_path / "source", exam.files())
    options = ("--salt", str(tmp_path / "salt.txt"))
    first = dicom.convert(tmp_path / "source", tmp_path / "raw", *options)
    write_mask(mask, f"{first.row['case_id']}.nii.gz")
    again = dicom.convert(
        tmp_path / "source", tmp_path / "again", *options, "--masks", "masks/{case}.nii.gz"
    )
    np.testing.assert_array_equal(dicom.values_at(again.label_map(), exam), mask > 0)


@pytest.mark.parametrize(
    ("move_mm", "message"), [(0.3, "got voxels between"), (70.0, "got marked voxels outside")]
)
def test_a_mask_beside_the_grid_is_refused(convert, exam, mask, write_mask, move_mm, message):
    write_mask(mask, move_mm=move_mm)
    with pytest.raises(NnmtlError, match=message) as caught:
        convert(exam.files(), "--masks", PATTERN)
    assert exam.patient_id not in str(caught.value)


def test_an_image_is_no_mask(convert, exam, write_mask):
    write_mask(exam.voxels[0])
    with pytest.raises(NnmtlError, match="expected whole numbers from 0 to 255 in a mask"):
        convert(exam.files(), "--masks", PATTERN)


def test_a_pattern_without_patient_is_refused(convert, exam):
    with pytest.raises(NnmtlError, match=r"--masks: expected \{patient\} or \{case\}"):
        convert(exam.files(), "--masks", "masks/*.nii.gz")


def test_a_pattern_that_finds_nothing_is_told(convert, exam):
    with pytest.raises(NnmtlError, match=r"got none of 1; the pattern starts from SOURCE"):
        convert(exam.files(), "--masks", PATTERN)


def test_a_mask_of_two_examinations_is_refused_until_the_date_tells(
    dicom, tmp_path, exam, mask, write_mask
):
    other = dicom.default_exam(phases=2)
    later = other.files()
    for file in later:
        file.StudyDate = "20210301"
    dicom.write(tmp_path / "source", [*exam.files(), *later])
    write_mask(mask, f"{exam.patient_id}_20200229.nii.gz")
    with pytest.raises(NnmtlError, match=r"got one of several; add \{date\}"):
        dicom.convert(tmp_path / "source", tmp_path / "raw", "--masks", PATTERN)
    dated = dicom.convert(
        *(tmp_path / "source", tmp_path / "raw", "--keep-ids"),
        *("--masks", "masks/{patient}_{date}.nii.gz"),
    )
    label_maps = sorted(dated.folder.glob("labelsTr/*.nii.gz"))
    values = [np.unique(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(p))) for p in label_maps]
    assert [found.tolist() for found in values] == [[0, 1], [2]]
