import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ImplicitVRLittleEndian, RLELossless

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
