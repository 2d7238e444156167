"""Images of several centers are turned alike; of one, or all axial, they stay as they are."""

import numpy as np
import pytest
import SimpleITK

from nnmtl.nnunet.orientation import need_reorienting

AXIAL = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
FLIPPED = ((-1, 0, 0), (0, -1, 0), (0, 0, 1))
SAGITTAL = ((0, 0, 1), (1, 0, 0), (0, -1, 0))
CORONAL = ((1, 0, 0), (0, 0, 1), (0, -1, 0))


@pytest.fixture
def write(tmp_path):
    def image(direction, name="one"):
        written = SimpleITK.Image(4, 5, 6, SimpleITK.sitkUInt8)
        written.SetDirection(np.array(direction, dtype=float).ravel().tolist())
        SimpleITK.WriteImage(written, str(tmp_path / f"{name}.nii.gz"))
        return tmp_path / f"{name}.nii.gz"

    return image


def turned(direction, degrees):
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]]) @ np.array(direction)


@pytest.mark.parametrize("direction", [AXIAL, FLIPPED, turned(AXIAL, 20)])
def test_axial_slices_stay(direction, write):
    assert not need_reorienting([write(AXIAL), write(direction, "other")])


@pytest.mark.parametrize("direction", [SAGITTAL, CORONAL, turned(SAGITTAL, 20)])
def test_one_image_in_other_slices_is_enough(direction, write):
    assert need_reorienting([write(AXIAL), write(direction, "other")])


def test_a_file_that_has_no_orientation_is_left_alone(tmp_path):
    (tmp_path / "photo.png").touch()
    assert not need_reorienting([tmp_path / "photo.png"])
