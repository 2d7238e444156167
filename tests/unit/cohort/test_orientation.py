"""Axes are named and turned as nibabel and SimpleITK do."""

import itertools

import nibabel
import numpy as np
import pytest
import SimpleITK

from nnmtl.cohort.image_file import read_header
from nnmtl.cohort.orientation import orientation_code, shear, to_patient_axes
from nnmtl.errors import NnmtlError

CODES = ["".join(code) for axes in itertools.permutations(["RL", "AP", "SI"])
         for code in itertools.product(*axes)]  # fmt: skip


def save(path, affine, shape=(3, 4, 5), *, with_qform=True):
    voxels = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    image = nibabel.Nifti1Image(voxels, affine)
    if not with_qform:
        image.header["qform_code"] = 0
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("code", CODES)
def test_every_orientation_is_turned_as_simpleitk_does(code, tmp_path):
    axes = nibabel.orientations.axcodes2ornt(code)
    affine = np.linalg.inv(nibabel.orientations.inv_ornt_aff(axes, (3, 4, 5)))
    affine = affine @ np.diag([1.0, 2.0, 3.0, 1.0])
    image = SimpleITK.ReadImage(str(save(tmp_path / "image.nii.gz", affine)))
    turned, spacing_mm = to_patient_axes(
        SimpleITK.GetArrayFromImage(image), image.GetDirection(), image.GetSpacing()[::-1]
    )
    expected = SimpleITK.DICOMOrient(image, "LPS")
    assert orientation_code(image.GetDirection()) == code
    np.testing.assert_array_equal(turned, SimpleITK.GetArrayFromImage(expected))
    np.testing.assert_allclose(spacing_mm, expected.GetSpacing()[::-1])


def test_shear_is_the_cosine_between_axes(tmp_path):
    sheared = np.eye(4)
    sheared[0, 2] = 0.1
    assert shear(save(tmp_path / "a.nii.gz", np.diag([1, 1, 2, 1]))) == 0
    assert shear(save(tmp_path / "b.nii.gz", sheared)) == pytest.approx(0.1 / np.sqrt(1.01))
    assert shear(tmp_path / "absent.nii.gz") == 0
    assert shear(tmp_path / "image.nrrd") == 0


def test_a_sheared_image_that_itk_refuses_is_called_so(tmp_path):
    sheared = np.eye(4)
    sheared[0, 2] = 0.1
    path = save(tmp_path / "sheared.nii.gz", sheared, with_qform=False)
    with pytest.raises(NnmtlError, match="expected axes at right angles"):
        read_header(path)
