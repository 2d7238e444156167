import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage, generate_uid

from nnmtl.errors import NnmtlError

LESION, TISSUE = ("SCT", "49755003"), ("SCT", "85756007")


@pytest.fixture
def exam(dicom):
    directions, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    directions[2] = np.cross(directions[0], directions[1])
    return dicom.default_exam(phases=2, shape=(5, 7, 9), directions=directions)


@pytest.fixture
def masks(exam):
    """Two segments that do not overlap, nowhere symmetric."""
    masks = np.zeros((2, *exam.voxels.shape[1:]), dtype=bool)
    masks[0, 1:3, 1:3, 2:6] = True
    masks[0, 1, 5, 7] = True
    masks[1, 3:5, 4:6, 0:3] = True
    return masks


def segmentation(dicom, exam, masks, *, kind="BINARY", categories=(LESION, LESION), turn=False):
    """Frames of marked slices only, from the last one back; `turn` writes each turned by 180°."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID = meta.MediaStorageSOPClassUID = SegmentationStorage
    ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.PatientID, ds.StudyInstanceUID = exam.patient_id, exam.study_uid
    ds.SeriesInstanceUID, ds.Modality, ds.SeriesNumber = generate_uid(), "SEG", 99
    ds.FrameOfReferenceUID = exam.frame_of_reference
    ds.SegmentationType = kind
    ds.SegmentSequence = pydicom.Sequence(
        dicom.item(
            SegmentNumber=number,
            SegmentLabel=f"part {number}",
            SegmentedPropertyCategoryCodeSequence=[
                dicom.item(CodingSchemeDesignator=scheme, CodeValue=code)
            ],
        )
        for number, (scheme, code) in enumerate(categories, start=1)
    )
    frames = [(s, z) for s in range(2) for z in reversed(range(5)) if masks[s, z].any()]
    stack = np.stack([masks[s, z] for s, z in frames])
    if kind == "LABELMAP":  # both segments in one frame
        frames = [(0, z) for z in reversed(range(5))]
        stack = np.stack([masks[0, z] + 2 * masks[1, z] for _, z in frames])
    sign, corner = (-1, exam.affine @ [8, 6, 0, 1]) if turn else (1, exam.affine @ [0, 0, 0, 1])
    step = np.array(exam.affine[:3, 2])
    ds.SharedFunctionalGroupsSequence = pydicom.Sequence(
        [
            dicom.item(
                PlaneOrientationSequence=[
                    dicom.item(
                        ImageOrientationPatient=(sign * exam.directions[:2])
                        .ravel()
                        .round(9)
                        .tolist()
                    )
                ],
                PixelMeasuresSequence=[dicom.item(PixelSpacing=[exam.spacing[1], exam.spacing[0]])],
            )
        ]
    )
    ds.PerFrameFunctionalGroupsSequence = pydicom.Sequence(
        dicom.item(
            PlanePositionSequence=[
                dicom.item(ImagePositionPatient=(corner[:3] + z * step).round(6).tolist())
            ],
            SegmentIdentificationSequence=[dicom.item(ReferencedSegmentNumber=segment + 1)],
        )
        for segment, z in frames
    )
    put_mask(ds, stack[:, ::-1, ::-1] if turn else stack)
    return ds


def put_mask(ds, stack):
    ds.NumberOfFrames, ds.Rows, ds.Columns = stack.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.PixelRepresentation = 0
    if ds.SegmentationType == "BINARY":
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 1, 1, 0
        packed = np.packbits(stack.ravel(), bitorder="little").tobytes()
        ds.PixelData = packed + b"\0" * (len(packed) % 2)
    else:
        ds.MaximumFractionalValue = 200
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
        is_fractional = ds.SegmentationType == "FRACTIONAL"
        content = np.where(stack, 100, 99) if is_fractional else stack
        content = content.astype(np.uint8).tobytes()
        ds.PixelData = content + b"\0" * (len(content) % 2)


def label_map(dicom, dataset, exam):
    return dicom.values_at(dataset.label_map(), exam)


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
@pytest.mark.parametrize("turn", [False, True])
def test_frames_go_where_their_groups_put_them(convert, dicom, exam, masks, kind, turn):
    file = segmentation(dicom, exam, masks, kind=kind, turn=turn)
    dataset = convert([*exam.files(), file])
    np.testing.assert_array_equal(label_map(dicom, dataset, exam), masks.any(axis=0))


def test_only_lesions_are_tumor_unless_they_are_named(convert, dicom, exam, masks, tmp_path):
    file = segmentation(dicom, exam, masks, categories=(TISSUE, LESION))
    dataset = convert([*exam.files(), file])
    np.testing.assert_array_equal(label_map(dicom, dataset, exam), masks[1])
    again = dicom.convert(tmp_path / "source", tmp_path / "again", "--tumor", "^Part 1$")
    np.testing.assert_array_equal(label_map(dicom, again, exam), masks[0])


def test_tissue_alone_is_no_tumor(convert, dicom, exam, masks, caplog):
    caplog.set_level("INFO")
    file = segmentation(dicom, exam, masks, categories=(TISSUE, TISSUE))
    dataset = convert([*exam.files(), file])
    assert np.unique(label_map(dicom, dataset, exam)).tolist() == [2]  # nnU-Net's ignore
    assert "no tumor told by --tumor: part 1, part 2" in caplog.text


def test_a_name_that_no_segment_has_is_refused_and_the_labels_are_told(
    convert, dicom, exam, masks, tmp_path
):
    file = segmentation(dicom, exam, masks, categories=(TISSUE, LESION))
    dicom.write(tmp_path / "source", [*exam.files(), file])
    with pytest.raises(NnmtlError, match=r"--tumor Lesion: .* segments are part 1, part 2; name"):
        dicom.convert(tmp_path / "source", tmp_path / "out", "--tumor", "Lesion")
    assert not list((tmp_path / "out").glob("Dataset*"))


def test_several_files_of_lesions_are_one_label_map(convert, dicom, exam, masks):
    one = segmentation(dicom, exam, masks * np.array([1, 0])[:, None, None, None])
    two = segmentation(dicom, exam, masks * np.array([0, 1])[:, None, None, None])
    dataset = convert([*exam.files(), one, two])
    np.testing.assert_array_equal(label_map(dicom, dataset, exam), masks.any(axis=0))


def test_a_segmentation_of_another_frame_of_reference_is_left(convert, dicom, exam, masks):
    file = segmentation(dicom, exam, masks)
    file.FrameOfReferenceUID = generate_uid()
    dataset = convert([*exam.files(), file])
    assert np.unique(label_map(dicom, dataset, exam)).tolist() == [2]


@pytest.mark.parametrize(
    ("move_mm", "message"),
    [(0.3, "got voxels between its own"), (50 * 0.7, "got marked voxels outside")],
)
def test_a_segmentation_beside_the_grid_is_refused(convert, dicom, exam, masks, move_mm, message):
    file = segmentation(dicom, exam, masks)
    for group in file.PerFrameFunctionalGroupsSequence:
        plane = group.PlanePositionSequence[0]
        moved = np.add(plane.ImagePositionPatient, move_mm * exam.directions[0])
        plane.ImagePositionPatient = moved.round(6).tolist()
    with pytest.raises(NnmtlError, match=message):
        convert([*exam.files(), file])
