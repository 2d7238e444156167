"""Writes small DICOM examinations, and converts them."""

import dataclasses
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, RTStructureSetStorage, generate_uid

from nnmtl.cli.convert import main

PATIENT = "DOE^JANE"
BIRTH_DATE = "19510203"
PHASE_TAGS = (
    *("TemporalPositionIdentifier", "TriggerTime", "AcquisitionTime", "ContentTime"),
    *("AcquisitionNumber", "InstanceNumber"),
)
STARTS_S = (0, 95, 171, 260, 340, 433, 512, 601)


@dataclasses.dataclass
class Exam:
    """Voxels (P, Z, Y, X) of a dynamic series, and where they lie (mm, as DICOM has it)."""

    voxels: np.ndarray
    directions: np.ndarray = dataclasses.field(default_factory=lambda: np.eye(3))
    spacing: tuple = (0.7, 0.9, 2.0)  # along a row, down a column, between slices
    origin: tuple = (-50.0, 20.0, 31.5)
    patient_id: str = "MRN-004711"
    description: str = "T1 dyn"
    series_number: int = 3
    has_series_per_phase: bool = False
    image_type: tuple = ("ORIGINAL", "PRIMARY", "M")
    frame_of_reference: str = dataclasses.field(default_factory=generate_uid)
    study_uid: str = dataclasses.field(default_factory=generate_uid)
    series_uids: list = dataclasses.field(
        default_factory=lambda: [generate_uid() for _ in range(9)]
    )

    @property
    def affine(self):
        """From (x, y, z) indices to mm toward left, posterior, head."""
        affine = np.eye(4)
        affine[:3, :3] = np.column_stack(self.directions) * self.spacing
        affine[:3, 3] = self.origin
        return affine

    def position(self, z):
        return (self.affine @ [0, 0, z, 1])[:3].tolist()

    def files(self):
        """One data set per slice, phase by phase."""
        return [
            self.file(phase, z)
            for phase in range(self.voxels.shape[0])
            for z in range(self.voxels.shape[1])
        ]

    def file(self, phase, z):
        ds = self.header(phase)
        ds.InstanceNumber = phase * self.voxels.shape[1] + z + 1
        ds.ContentTime = clock(STARTS_S[phase] + 1 + 0.01 * z)
        ds.ImagePositionPatient = [f"{number:.10g}" for number in self.position(z)]
        ds.ImageOrientationPatient = [f"{number:.10g}" for number in self.directions[:2].ravel()]
        ds.PixelSpacing = [self.spacing[1], self.spacing[0]]
        ds.SpacingBetweenSlices = ds.SliceThickness = self.spacing[2]
        put_pixels(ds, self.voxels[phase, z])
        return ds

    def header(self, phase):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = MRImageStorage
        ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID = MRImageStorage
        ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.PatientName, ds.PatientID, ds.PatientBirthDate = PATIENT, self.patient_id, BIRTH_DATE
        ds.StudyInstanceUID, ds.StudyDate, ds.StudyTime = self.study_uid, "20200229", "101500"
        series = phase if self.has_series_per_phase else 0
        ds.SeriesInstanceUID = self.series_uids[series]
        ds.SeriesNumber = self.series_number + series
        ds.SeriesDescription = self.description
        ds.FrameOfReferenceUID = self.frame_of_reference
        ds.Modality, ds.ImageType = "MR", list(self.image_type)
        ds.MagneticFieldStrength = 15000
        ds.RepetitionTime, ds.EchoTime, ds.FlipAngle = 4.1, 1.3, 12
        ds.TemporalPositionIdentifier = phase + 1
        ds.TriggerTime = 1000 * STARTS_S[phase]
        ds.AcquisitionTime = clock(STARTS_S[phase])
        ds.AcquisitionNumber = phase + 1
        return ds


def clock(seconds):
    """A time of day; the examination begins a minute before ten."""
    seconds += 9 * 3600 + 59 * 60
    return f"{int(seconds // 3600):02d}{int(seconds // 60 % 60):02d}{seconds % 60:09.6f}"


def put_pixels(ds, voxels):
    ds.Rows, ds.Columns = voxels.shape[-2:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 1
    ds.PixelData = np.ascontiguousarray(voxels, dtype="<i2").tobytes()


def write(folder, files, *, order=None):
    """Writes data sets under names that tell nothing, in the given order."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, number in enumerate(range(len(files)) if order is None else order):
        files[number].save_as(folder / f"IM{index:04d}", enforce_file_format=True)


def enhanced(exam, *, order=None):
    """The same examination as one multiframe file; frames phase by phase or in the given order."""
    ds = exam.header(0)
    for tag in ("TemporalPositionIdentifier", "TriggerTime", "AcquisitionTime"):
        del ds[tag]
    num_phases, num_slices = exam.voxels.shape[:2]
    frames = [(phase, z) for phase in range(num_phases) for z in range(num_slices)]
    frames = frames if order is None else [frames[index] for index in order]
    orientation = item(ImageOrientationPatient=exam.directions[:2].ravel().round(9).tolist())
    measures = item(
        PixelSpacing=[exam.spacing[1], exam.spacing[0]], SpacingBetweenSlices=exam.spacing[2]
    )
    ds.SharedFunctionalGroupsSequence = Sequence(
        [item(PlaneOrientationSequence=[orientation], PixelMeasuresSequence=[measures])]
    )
    ds.PerFrameFunctionalGroupsSequence = Sequence(
        [
            item(
                PlanePositionSequence=[
                    item(ImagePositionPatient=np.round(exam.position(z), 7).tolist())
                ],
                FrameContentSequence=[
                    item(
                        TemporalPositionIndex=phase + 1,
                        FrameAcquisitionDateTime=f"20200229{clock(STARTS_S[phase])}",
                    )
                ],
            )
            for phase, z in frames
        ]
    )
    put_pixels(ds, np.stack([exam.voxels[phase, z] for phase, z in frames]))
    ds.NumberOfFrames = len(frames)
    return ds


def item(**values):
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, Sequence(value) if keyword.endswith("Sequence") else value)
    return ds


def contour(affine, corners, z, kind="CLOSED_PLANAR"):
    """Corners (x, y) on slice z, in voxels; or (x, y, z) where z is None."""
    indices = np.array([(*corner, z)[:3] for corner in corners], dtype=float)
    points = indices @ affine[:3, :3].T + affine[:3, 3]
    return item(
        ContourGeometricType=kind,
        NumberOfContourPoints=len(points),
        ContourData=[f"{number:.8g}" for number in points.ravel()],
    )


def structure_set(exam, rois, *, types=(), frame_of_reference=None):
    """A file of regions: name to contours."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID = meta.MediaStorageSOPClassUID = RTStructureSetStorage
    ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.PatientID, ds.StudyInstanceUID = exam.patient_id, exam.study_uid
    ds.SeriesInstanceUID, ds.Modality, ds.SeriesNumber = generate_uid(), "RTSTRUCT", 98
    frame = frame_of_reference or exam.frame_of_reference
    numbers = range(7, 7 + len(rois))  # they need not begin at 1
    ds.StructureSetROISequence = Sequence(
        item(ROINumber=number, ROIName=name, ReferencedFrameOfReferenceUID=frame)
        for number, name in zip(numbers, rois, strict=True)
    )
    ds.ROIContourSequence = Sequence(
        item(ReferencedROINumber=number, ContourSequence=contours)
        for number, contours in zip(numbers, rois.values(), strict=True)
    )
    ds.RTROIObservationsSequence = Sequence(
        item(ObservationNumber=number, ReferencedROINumber=number, RTROIInterpretedType=kind)
        for number, kind in zip(numbers, types or ["GTV"] * len(rois), strict=True)
    )
    return ds


def smooth_voxels(phases, shape, seed=0):
    """Different numbers everywhere, so that no mistake in order can hide."""
    rng = np.random.default_rng(seed)
    count = phases * int(np.prod(shape))
    return (100 + rng.permutation(count)).reshape(phases, *shape).astype(np.int16)


def values_at(image, exam):
    """The values of a NIfTI image at the voxels of the examination, (Z, Y, X), found by mm."""
    shape = exam.voxels.shape[1:]
    z, y, x = np.indices(shape)
    lps = exam.affine @ np.stack([x, y, z, np.ones_like(x)]).reshape(4, -1)
    ras = np.diag([-1, -1, 1, 1]) @ lps
    exact = np.linalg.inv(image.affine) @ ras
    index = np.rint(exact).astype(int)
    assert abs(exact - index).max() < 0.02
    return np.asanyarray(image.dataobj)[tuple(index[:3])].reshape(shape)


class Converted:
    """A written dataset."""

    def __init__(self, folder):
        self.folder = folder

    def image(self, channel, case_id="*"):
        (path,) = self.folder.glob(f"imagesTr/{case_id}_{channel:04d}.nii.gz")
        return nibabel.load(path)

    def label_map(self):
        (path,) = self.folder.glob("labelsTr/*.nii.gz")
        return nibabel.load(path)

    def phases(self, exam):
        """All channels as (P, Z, Y, X) at the voxels of the examination."""
        count = len(list(self.folder.glob("imagesTr/*.nii.gz")))
        return np.stack([values_at(self.image(channel), exam) for channel in range(count)])

    @property
    def row(self):
        header, cells = (self.folder / "phases.csv").read_text().splitlines()
        return dict(zip(header.split(","), cells.split(","), strict=True))


class Tools:
    """What tests need of this file: pytest shares fixtures, not modules."""

    Exam = Exam
    PATIENT = PATIENT
    BIRTH_DATE = BIRTH_DATE
    PHASE_TAGS = PHASE_TAGS
    STARTS_S = STARTS_S
    clock = staticmethod(clock)
    contour = staticmethod(contour)
    enhanced = staticmethod(enhanced)
    item = staticmethod(item)
    put_pixels = staticmethod(put_pixels)
    smooth_voxels = staticmethod(smooth_voxels)
    structure_set = staticmethod(structure_set)
    values_at = staticmethod(values_at)
    write = staticmethod(write)

    @staticmethod
    def convert(source, raw_folder, *options):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("nnUNet_raw", str(raw_folder))
            assert main(["dicom", str(source), "-d", "7", *options]) == 0
        return Converted(Path(raw_folder) / "Dataset007_DICOM")

    @staticmethod
    def default_exam(phases=3, shape=(4, 5, 6), **given):
        return Exam(smooth_voxels(phases, shape), **given)


@pytest.fixture(scope="session")
def dicom():
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    return Tools


@pytest.fixture
def convert(tmp_path, dicom):
    """Converts data sets after writing them."""

    def run(files, *options, order=None):
        dicom.write(tmp_path / "source", files, order=order)
        return dicom.convert(tmp_path / "source", tmp_path / "raw", *options)

    return run
