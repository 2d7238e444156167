"""Image files that lost their end must not pass for whole ones."""

import gzip
import math
import struct

import numpy as np
import pytest
import SimpleITK

from nnmtl.cohort.image_file import check_voxels, check_whole, read_array, read_header
from nnmtl.errors import NnmtlError

VOXELS = np.random.default_rng(0).integers(1, 255, (16, 16, 16), dtype=np.uint8)


@pytest.fixture(params=[".nii.gz", ".nii", ".mha", ".nrrd"])
def path(request, tmp_path):
    path = tmp_path / f"case_0000{request.param}"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(VOXELS), str(path))
    return path


def test_a_whole_image_is_read(path):
    np.testing.assert_array_equal(read_array(path), VOXELS)


@pytest.mark.parametrize("read", [read_array, check_voxels])
@pytest.mark.parametrize("share", [0.5, 0.999])
def test_an_image_that_is_cut_short_is_refused_by_name(path, share, read):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(NnmtlError, match=path.name):
        read(path)


def test_an_image_that_was_cut_short_before_it_was_packed_is_refused(tmp_path):
    path = tmp_path / "case_0000.nii.gz"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(VOXELS), str(path))
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-1]))
    with pytest.raises(
        NnmtlError, match=r"case_0000\.nii\.gz: the file ends before its last voxel"
    ):
        check_voxels(path)


@pytest.mark.parametrize("array", [np.zeros((4, 4, 4, 3), np.uint8), np.zeros((4, 4, 4), complex)])
def test_an_image_of_several_numbers_in_a_voxel_is_refused(tmp_path, array):
    path = tmp_path / "case_0000.nii.gz"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(path))
    with pytest.raises(NnmtlError, match=r"case_0000\.nii\.gz: expected one number in every voxel"):
        read_header(path)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("stored", [0.0, math.nan])
def test_voxels_without_extent_are_refused_though_readers_take_a_millimeter(
    tmp_path, ending, stored
):
    path = tmp_path / f"case_0000{ending}"
    image = SimpleITK.GetImageFromArray(VOXELS)
    image.SetSpacing((0.5, 0.5, 3.0))
    SimpleITK.WriteImage(image, str(path))
    assert read_header(path).spacing_mm == (0.5, 0.5, 3.0)
    is_packed = ending == ".nii.gz"
    content = bytearray(gzip.decompress(path.read_bytes()) if is_packed else path.read_bytes())
    struct.pack_into("<f", content, 76 + 4 * 3, stored)  # pixdim[3] of NIfTI-1
    path.write_bytes(gzip.compress(content) if is_packed else content)
    assert SimpleITK.ReadImage(str(path)).GetSpacing()[2] == 1
    for check in (read_header, check_voxels):
        with pytest.raises(NnmtlError, match=r"0000\.nii.*positive size.*\(0\.5, 0\.5, (0|nan)\)"):
            check(path)


def test_a_flat_image_needs_no_slice_distance(tmp_path):
    path = tmp_path / "case_0000.nii.gz"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(VOXELS[0]), str(path))
    content = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into("<f", content, 76 + 4 * 3, 0.0)
    path.write_bytes(gzip.compress(content))
    check_voxels(path)


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_voxels_of_no_image_are_refused_by_name(tmp_path, ending):
    path = tmp_path / f"case_0000{ending}"
    path.write_bytes(b"no image")
    with pytest.raises(NnmtlError, match=f"{path.name}: expected a readable"):
        check_voxels(path)


def test_a_damaged_archive_is_refused(tmp_path):
    path = tmp_path / "case_0000.nii.gz"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(VOXELS), str(path))
    content = bytearray(path.read_bytes())
    content[2000:2100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(NnmtlError, match="damaged"):
        check_whole(path)


@pytest.mark.parametrize("odd", [np.nan, np.inf])
@pytest.mark.parametrize("ending", [".mha", ".nrrd", ".nii", ".nii.gz"])
def test_an_image_with_a_voxel_that_is_no_number_is_refused(tmp_path, ending, odd):
    path = tmp_path / f"case_0000{ending}"
    voxels = VOXELS.astype(np.float32)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(voxels), str(path))
    check_voxels(path)
    voxels[3, 4, 5:7] = odd
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(voxels), str(path))
    with pytest.raises(NnmtlError, match=rf"case_0000{ending}: .* but 2 are nan or infinite"):
        check_voxels(path)


def test_in_a_nifti_such_voxels_are_read_as_zero_which_hides_them(tmp_path):
    path = tmp_path / "case_0000.nii.gz"
    voxels = VOXELS.astype(np.float32)
    voxels[3, 4, 5] = np.nan
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(voxels), str(path))
    assert read_array(path)[3, 4, 5] == 0
    with pytest.raises(NnmtlError, match=r"case_0000.nii.gz: .* but 1 are nan or infinite"):
        check_voxels(path)
