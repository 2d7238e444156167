from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ImplicitVRLittleEndian, RLELossless

from nnmtl.dataset_conversion._dicom_pixels import read_file, read_stored_frames
from nnmtl.errors import NnmtlError


def compress(files, compressor, folder):
    """Encodes each frame with GDCM, and puts the stream into the file it came from."""
    for file in files:
        count = int(file.get("NumberOfFrames", 1))
        frames = file.pixel_array.reshape(count, file.Rows, file.Columns)
        file.PixelData = encapsulate([encode(frame, compressor, folder, file) for frame in frames])
        file["PixelData"].VR = "OB"
    return files


def encode(frame, compressor, folder, file):
    image = SimpleITK.GetImageFromArray(frame[None])
    writer = SimpleITK.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(folder / "frame.dcm"))
    writer.SetUseCompression(True)
    writer.SetCompressor(compressor)
    writer.Execute(image)
    encoded = pydicom.dcmread(folder / "frame.dcm")
    file.file_meta.TransferSyntaxUID = encoded.file_meta.TransferSyntaxUID
    return next(generate_frames(encoded.PixelData, number_of_frames=1))


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000"])
@pytest.mark.parametrize("is_multiframe", [False, True])
def test_lossless_compression_changes_nothing(convert, dicom, tmp_path, compressor, is_multiframe):
    exam = dicom.default_exam(phases=2, shape=(3, 16, 16))
    files = [dicom.enhanced(exam)] if is_multiframe else exam.files()
    files = compress(files, compressor, tmp_path)
    assert files[0].file_meta.TransferSyntaxUID.is_compressed
    dataset = convert(files, "--phase", "all")
    np.testing.assert_array_equal(dataset.phases(exam), exam.voxels)


def test_run_lengths_and_implicit_types_are_read(convert, dicom):
    exam = dicom.default_exam(phases=2)
    files = exam.files()
    for file in files[:4]:
        file.compress(RLELossless, generate_instance_uid=False)
    for file in files[4:]:
        file.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset = convert(files, "--phase", "all")
    np.testing.assert_array_equal(dataset.phases(exam), exam.voxels)


def test_a_file_without_preamble_is_read(convert, dicom, tmp_path):
    exam = dicom.default_exam(phases=2)
    (tmp_path / "source").mkdir()
    for index, file in enumerate(exam.files()):
        old = pydicom.Dataset(file)
        path = tmp_path / "source" / f"old{index}"
        old.save_as(path, implicit_vr=True, little_endian=True)
    dataset = convert([], "--phase", "all")
    np.testing.assert_array_equal(dataset.phases(exam), exam.voxels)


def test_values_are_rescaled_slice_by_slice(convert, dicom):
    exam = dicom.default_exam(phases=2)
    files = exam.files()
    slopes = np.linspace(0.5, 3, len(files)).round(3)
    for file, slope in zip(files, slopes, strict=True):
        file.RescaleSlope, file.RescaleIntercept = slope, -7
    dataset = convert(files, "--phase", "all")
    expected = exam.voxels * slopes.reshape(2, 4, 1, 1) - 7
    np.testing.assert_allclose(dataset.phases(exam), expected, rtol=1e-6)


def test_a_truncated_file_is_told_without_its_path(convert, dicom, tmp_path):
    exam = dicom.default_exam(phases=2)
    dicom.write(tmp_path / "source", exam.files())
    path = tmp_path / "source" / "IM0005"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(NnmtlError, match="expected readable voxels") as caught:
        dicom.convert(tmp_path / "source", tmp_path / "raw")
    assert "IM0005" not in str(caught.value)
    assert not list((tmp_path / "raw").glob("*Dataset*"))


def test_a_damaged_header_is_counted_and_named_where_names_may_be(convert, dicom, caplog):
    files = dicom.default_exam(phases=2).files()
    del files[3].Rows
    with pytest.raises(NnmtlError, match="expected whole DICOM files, got 1 damaged"):
        convert(files)
    assert "IM0003" not in caplog.text
    with pytest.raises(NnmtlError, match="1 damaged"):
        convert(files, "--keep-ids")
    assert "IM0003" in caplog.text


def test_other_files_in_the_tree_are_passed_over(convert, dicom, tmp_path):
    exam = dicom.default_exam(phases=2)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "notes.txt").write_text("notes")
    (tmp_path / "source" / "empty").write_bytes(b"")
    dataset = convert(exam.files(), "--phase", "all")
    np.testing.assert_array_equal(dataset.phases(exam), exam.voxels)


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_bigendian.dcm",
        "MR_small_RLE.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_jp2klossless.dcm",
    ],
)
def test_a_public_image_is_the_same_in_every_transfer_syntax(name):
    """One slice as pydicom ships it, encoded by others than us."""
    plain, other = (
        read_stored_frames(read_file(Path(get_testdata_file(file))), [0])[0]
        for file in ("MR_small.dcm", name)
    )
    assert other.dtype == plain.dtype == np.dtype("int16")
    np.testing.assert_array_equal(other, plain)


@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("unused", [0, 0xF000])
def test_twelve_bits_are_read_whatever_stands_in_the_others(convert, dicom, is_signed, unused):
    exam = dicom.default_exam(phases=2)
    lowest, highest = (-2048, 2047) if is_signed else (0, 4095)
    exam.voxels.flat[:2] = lowest, highest
    exam.voxels[:, :, 1] *= -1 if is_signed else 1
    files = exam.files()
    for file in files:
        stored = np.frombuffer(file.PixelData, dtype="<u2")
        file.PixelData = (stored & 0x0FFF | unused).astype("<u2").tobytes()
        file.BitsStored, file.HighBit, file.PixelRepresentation = 12, 11, int(is_signed)
    dataset = convert(files, "--phase", "all")
    np.testing.assert_array_equal(dataset.phases(exam), exam.voxels)


@pytest.mark.parametrize("compressor", [None, "JPEG", "JPEG2000"])
def test_unsigned_numbers_above_the_signed_range_are_kept(convert, dicom, tmp_path, compressor):
    exam = dicom.default_exam(phases=2, shape=(3, 16, 16))
    exam.voxels = exam.voxels.astype(np.uint16) + 60_000
    files = exam.files()
    for index, file in enumerate(files):
        file.PixelRepresentation = 0
        file.PixelData = exam.voxels[index // 3, index % 3].astype("<u2").tobytes()
    files = compress(files, compressor, tmp_path) if compressor else files
    dataset = convert(files, "--phase", "all")
    np.testing.assert_array_equal(dataset.phases(exam), exam.voxels)


@pytest.mark.parametrize("is_compressed", [False, True])
def test_inverted_numbers_are_refused(convert, dicom, tmp_path, is_compressed):
    """A decoder may turn them back or not, and enhancement would be computed of either."""
    files = dicom.default_exam(phases=2, shape=(3, 16, 16)).files()
    files = compress(files, "JPEG", tmp_path) if is_compressed else files
    for file in files:
        file.PhotometricInterpretation = "MONOCHROME1"
    with pytest.raises(NnmtlError, match=r"where it is brighter .* got MONOCHROME1"):
        convert(files)


def test_numbers_that_begin_above_the_lowest_bit_are_refused(convert, dicom):
    files = dicom.default_exam(phases=2).files()
    for file in files:
        file.BitsStored, file.HighBit = 12, 15
    with pytest.raises(NnmtlError, match="expected HighBit 11 for 12 bits, got 15"):
        convert(files)


def philips(dicom, slopes):
    exam = dicom.default_exam(phases=2)
    files = exam.files()
    for file, slope in zip(files, slopes, strict=True):
        block = file.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
        block.add_new(0x0E, "FL", slope)
    return files


def test_the_scale_slope_of_philips_is_noted(convert, dicom, caplog):
    assert convert(philips(dicom, [0.25] * 8)).row["scale_slope"] == "0.25"
    assert "scale slope" not in caplog.text


def test_a_scale_slope_that_differs_is_warned_of(convert, dicom, caplog):
    assert convert(philips(dicom, [0.25] * 4 + [0.5] * 4)).row["scale_slope"] == "0.25;0.5"
    assert "series 3: Philips' scale slope, which is not applied, differs" in caplog.text


def test_the_same_tag_of_another_vendor_is_not_taken_for_it(convert, dicom):
    files = dicom.default_exam(phases=2).files()
    for file in files:
        file.private_block(0x2005, "OTHER 1.0", create=True).add_new(0x0E, "FL", 0.25)
    assert convert(files).row["scale_slope"] == ""
