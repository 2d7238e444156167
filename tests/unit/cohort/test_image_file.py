"""Image files that lost their end must not pass for whole ones."""

import numpy as np
import pytest
import SimpleITK

from nnmtl.cohort.image_file import check_voxels, check_whole, read_array
from nnmtl.errors import NnmtlError

VOXELS = np.random.default_rng(0).integers(1, 255, (16, 16, 16), dtype=np.uint8)


@pytest.fixture(params=[".nii.gz", ".nii", ".mha", ".nrrd"])
def path(request, tmp_path):
    path = tmp_path / f"case_0000{request.param}"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(VOXELS), str(path))
    return path


def test_a_whole_image_is_read(path):
    np.testing.assert_array_equal(read_array(path), VOXELS)


@pytest.mark.parametrize("share", [0.5, 0.999])
def test_an_image_that_is_cut_short_is_refused_by_name(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(NnmtlError, match=path.name):
        read_array(path)


def test_a_damaged_archive_is_refused(tmp_path):
    path = tmp_path / "case_0000.nii.gz"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(VOXELS), str(path))
    content = bytearray(path.read_bytes())
    content[2000:2100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(NnmtlError, match="damaged"):
        check_whole(path)


@pytest.mark.parametrize("odd", [np.nan, np.inf])
@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_an_image_with_a_voxel_that_is_no_number_is_refused(tmp_path, ending, odd):
    path = tmp_path / f"case_0000{ending}"
    voxels = VOXELS.astype(np.float32)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(voxels), str(path))
    check_voxels(path)
    voxels[3, 4, 5:7] = odd
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(voxels), str(path))
    with pytest.raises(NnmtlError, match=rf"case_0000{ending}: .* but 2 are nan or infinite"):
        check_voxels(path)


def test_in_a_nifti_such_voxels_are_read_as_zero(tmp_path):
    path = tmp_path / "case_0000.nii.gz"
    voxels = VOXELS.astype(np.float32)
    voxels[3, 4, 5] = np.nan
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(voxels), str(path))
    check_voxels(path)
    assert read_array(path)[3, 4, 5] == 0
