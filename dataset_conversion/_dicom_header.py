"""Reads what the header of a DICOM file says of each slice that it holds."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID

from nnmtl.dataset_conversion._dicom_slice import Plane, Series, Slice
from nnmtl.dataset_conversion._dicom_values import (
    as_moment,
    as_number,
    as_numbers,
    as_texts,
    first_value,
    private_value,
    text_of,
    value_of,
)
from nnmtl.dataset_conversion._dicom_words import words_of
from nnmtl.errors import NnmtlError

SEGMENTATION = "SEG"
STRUCTURE_SET = "RTSTRUCT"

_SECONDS_PER_MS = 1e-3
_GAUSS_PER_TESLA = 10_000
_STRONGEST_FIELD_T = 100  # a larger number is in gauss
_MOST_FRAMES = 1_000_000  # more than a file has: orders by file, then by frame

_PROTOCOL = (
    *("ScanningSequence", "SequenceVariant", "ScanOptions", "SequenceName"),
    *("RepetitionTime", "InversionTime", "FlipAngle"),
)
# "MR Scale Slope" of Philips' DICOM conformance statements, and the creator of its block.
_PHILIPS = "Philips MR Imaging DD 001"
_PHILIPS_BLOCK, _SCALE_SLOPE = 0x2005_0010, 0x2005_100E
_CAPTURES = "1.2.840.10008.5.1.4.1.1.7"  # Secondary Capture Image Storage and its multiframe kinds
_SCREEN_IMAGES = ("SCREEN SAVE", "SCREEN_SAVE", "SCREENSHOT", "SCREEN CAPTURE")
# Ultrasound, endoscopy, photographs and digitized documents carry text in their voxels by habit.
_MODALITIES_WITH_TEXT = ("US", "IVUS", "BDUS", "ES", "XC", "GM", "SM", "OT", "SC", "DOC", "HC")
_KEYWORDS = [
    *("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "StudyTime"),
    *("SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "SeriesDate", "SeriesTime"),
    *("SOPClassUID", "SOPInstanceUID", "Modality", "ImageType", "FrameOfReferenceUID"),
    *("Manufacturer", "ManufacturerModelName", "MagneticFieldStrength", "BurnedInAnnotation"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PixelSpacing"),
    *("ImagePositionPatient", "ImageOrientationPatient", "SliceThickness"),
    *("SpacingBetweenSlices", "EchoTime", "DiffusionBValue", *_PROTOCOL),
    *("TemporalPositionIdentifier", "TriggerTime", "AcquisitionDate", "AcquisitionTime"),
    *("AcquisitionDateTime", "ContentDate", "ContentTime", "AcquisitionNumber", "InstanceNumber"),
    *("RescaleSlope", "RescaleIntercept", "PhotometricInterpretation", "ConversionType"),
    *("NumberOfTemporalPositions", "AccessionNumber"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
]
_TAGS = [*map(Tag, _KEYWORDS), Tag(_PHILIPS_BLOCK), Tag(_SCALE_SLOPE)]
# Data element tags that a file without preamble may begin with, little endian or big.
_FIRST_TAGS = (
    *(b"\2\0\0\0", b"\x08\0\0\0", b"\x08\0\5\0", b"\x08\0\x08\0", b"\x08\0\x16\0"),
    *(b"\0\x08\0\0", b"\0\x08\0\5", b"\0\x08\0\x08", b"\0\x08\0\x16"),
)


def read_slices(path: Path) -> list[Slice]:
    """The slices of a file, without voxels; none if it is no DICOM file, or one without image.

    A segmentation or a structure set counts as one slice without plane.

    Raises:
        NnmtlError: without telling the path, if it begins like DICOM and then is damaged.
    """
    if not _is_dicom(path):
        return []
    try:
        file = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS, force=True)
        if "Rows" not in file:
            return _without_image(path, file)
        series = _series(file)
        return [_slice(path, index, items, series) for index, items in _frames(file)]
    except Exception as error:  # noqa: BLE001 - pydicom raises any kind, with values in its text
        raise NnmtlError(f"a DICOM file is damaged ({type(error).__name__})") from None


def items_of_frames(file: Dataset) -> Iterator[Sequence[Dataset]]:
    """Per frame of a multiframe file, the data sets where its tags stand, the nearest first."""
    shared = file.get("SharedFunctionalGroupsSequence") or [Dataset()]
    for groups in file.get("PerFrameFunctionalGroupsSequence") or ():
        elements = (*groups, *shared[0])
        yield [*(e.value[0] for e in elements if e.VR == "SQ" and e.value), file]


def plane_of(items: Sequence[Dataset]) -> Plane | None:
    """The plane of a slice; None if a tag of it is absent or no number."""
    position = as_numbers(first_value(items, "ImagePositionPatient"), 3)
    orientation = as_numbers(first_value(items, "ImageOrientationPatient"), 6)
    spacing = as_numbers(first_value(items, "PixelSpacing"), 2)
    rows, columns = (as_number(items[-1].get(keyword)) for keyword in ("Rows", "Columns"))
    if not (position and orientation and spacing and rows and columns) or min(spacing) <= 0:
        return None
    return Plane(
        position_mm=position,
        orientation=orientation,
        spacing_mm=spacing,
        shape=(int(rows), int(columns)),
        increment_mm=as_number(first_value(items, "SpacingBetweenSlices")),
        thickness_mm=as_number(first_value(items, "SliceThickness")),
    )


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as stream:
        start = stream.read(132)
    return start[128:] == b"DICM" or start[:4] in _FIRST_TAGS


def _without_image(path: Path, file: Dataset) -> list[Slice]:
    if text_of(file, "Modality") == STRUCTURE_SET:
        return [_slice(path, 0, [file], _series(file))]
    if "Image Storage" in UID(text_of(file, "SOPClassUID")).name:
        raise ValueError
    return []


def _frames(file: Dataset) -> Iterator[tuple[int, Sequence[Dataset]]]:
    if text_of(file, "Modality") != SEGMENTATION and file.get("PerFrameFunctionalGroupsSequence"):
        yield from enumerate(items_of_frames(file))
    else:
        yield 0, [file]


def _slice(path: Path, frame: int, items: Sequence[Dataset], series: Series) -> Slice:
    file = items[-1]
    # A multiframe file of old kind has many frames and one position: its planes are not known.
    is_told = len(items) > 1 or (as_number(file.get("NumberOfFrames")) or 1) == 1
    return Slice(
        path=path,
        frame=frame,
        instance_uid=text_of(file, "SOPInstanceUID"),
        series=series,
        plane=plane_of(items) if is_told else None,
        is_gray=file.get("SamplesPerPixel", 1) == 1,
        is_inverted=text_of(file, "PhotometricInterpretation") == "MONOCHROME1",
        frame_of_reference=text_of(file, "FrameOfReferenceUID") or None,
        image_type=as_texts(first_value(items, "FrameType", "ImageType")) or None,
        echo_time_ms=as_number(first_value(items, "EffectiveEchoTime", "EchoTime")),
        b_value=as_number(first_value(items, "DiffusionBValue")),
        protocol=tuple(_setting(first_value(items, keyword)) for keyword in _PROTOCOL),
        order=_order(items, frame),
        num_phases=_count(value_of(file, "NumberOfTemporalPositions")),
        rescale=(
            as_number(first_value(items, "RescaleSlope")),
            as_number(first_value(items, "RescaleIntercept")),
        ),
        scale_slope=as_number(private_value(items, _PHILIPS, _SCALE_SLOPE)),
    )


def _count(value: object) -> int | None:
    number = as_number(value)
    return int(number) if number and number > 0 else None


def _shown_number(value: object) -> str:
    """A whole number as text; empty for all else, which could be a name."""
    number = as_number(value)
    return "" if number is None else f"{number:.0f}"


def _setting(value: object) -> str:
    """A setting as text, equal for equal numbers however they are written."""
    number = as_number(value)
    return "\\".join(as_texts(value)) if number is None else f"{number:.4g}"


def _series(file: Dataset) -> Series:
    field = as_number(file.get("MagneticFieldStrength"))
    if field and field > _STRONGEST_FIELD_T:
        field /= _GAUSS_PER_TESLA
    return Series(
        patient_id=text_of(file, "PatientID"),
        study_uid=text_of(file, "StudyInstanceUID"),
        accession=text_of(file, "AccessionNumber"),
        study_time=f"{text_of(file, 'StudyDate')} {text_of(file, 'StudyTime')}",
        uid=text_of(file, "SeriesInstanceUID"),
        number=_shown_number(value_of(file, "SeriesNumber")),
        description=" ".join(text_of(file, "SeriesDescription").split()),
        name_words=words_of(text_of(file, "PatientName"), text_of(file, "PatientID")),
        modality=text_of(file, "Modality"),
        scanner=f"{text_of(file, 'Manufacturer')} {text_of(file, 'ManufacturerModelName')}".strip(),
        field_strength_t=field,
        burned_in=_burned_in(file),
        is_capture=_is_capture(file),
    )


def _is_capture(file: Dataset) -> bool:
    """Whether the file is a picture of a screen or of a document."""
    kinds = [kind.upper() for kind in as_texts(value_of(file, "ImageType"))]
    return text_of(file, "SOPClassUID").startswith(_CAPTURES) or any(
        kind in _SCREEN_IMAGES for kind in kinds
    )


def _burned_in(file: Dataset) -> str:
    """Why text may be drawn into the voxels, in a few words; empty if nothing says so."""
    modality = text_of(file, "Modality")
    if text_of(file, "BurnedInAnnotation").upper() == "YES":
        return "BurnedInAnnotation says so"
    if _is_capture(file) or text_of(file, "ConversionType"):
        return "it is a secondary capture"
    if modality in _MODALITIES_WITH_TEXT:
        return f"its modality is {modality}"
    return ""


def _order(items: Sequence[Dataset], frame: int) -> dict[str, float]:
    """The tags that may tell phases apart, those that are there."""
    instance = as_number(first_value(items, "InstanceNumber"))
    if len(items) > 1:
        instance = (instance or 0) * _MOST_FRAMES + frame
    trigger_ms = as_number(first_value(items, "TriggerTime"))
    found = {
        "TemporalPositionIdentifier": as_number(
            first_value(items, "TemporalPositionIdentifier", "TemporalPositionIndex")
        ),
        "TemporalPositionTimeOffset": as_number(first_value(items, "TemporalPositionTimeOffset")),
        "TriggerTime": None if trigger_ms is None else trigger_ms * _SECONDS_PER_MS,
        "AcquisitionNumber": as_number(first_value(items, "AcquisitionNumber")),
        "InstanceNumber": instance,
    }
    for name in ("Acquisition", "Content", "Series"):
        moment = (
            as_moment(first_value(items, f"Frame{name}DateTime"))
            or as_moment(first_value(items, f"{name}Time"), first_value(items, f"{name}Date"))
            or as_moment(first_value(items, f"{name}DateTime"))
        )
        if moment is not None:
            found[f"{name}Date"], found[f"{name}Time"] = moment
    return {name: value for name, value in found.items() if value is not None}
