"""Finds the masks that belong to the image of an examination, and makes one label map of them."""

import glob
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nnmtl.cohort.image_file import ImageHeader
from nnmtl.dataset_conversion._dicom_header import STRUCTURE_SET
from nnmtl.dataset_conversion._dicom_identity import Identity
from nnmtl.dataset_conversion._dicom_rtstruct import read_roi_label_map, read_rois
from nnmtl.dataset_conversion._dicom_scan import Exam
from nnmtl.dataset_conversion._dicom_seg import Segment, read_label_map, read_segments
from nnmtl.dataset_conversion._dicom_slice import Slice
from nnmtl.dataset_conversion._dicom_words import shown_description, shown_label
from nnmtl.dataset_conversion._mask_file import read_file_label_map, read_values

ReadLabelMap = Callable[[Path, ImageHeader, Mapping[int, int]], npt.NDArray[np.uint8]]


@dataclass(frozen=True, kw_only=True)
class Mask:
    """A file of segments in the frame of reference of an image.

    Attributes:
        path: of the file.
        series: number and description of its series as they may be shown.
        name_words: of the patient, which no text that is shown may have.
        segments: all of them.
        tumor: those that are taken for the tumor.
        read: makes a label map of it.
    """

    path: Path
    series: tuple[str, str]
    name_words: tuple[str, ...]
    segments: tuple[Segment, ...]
    tumor: tuple[Segment, ...]
    read: ReadLabelMap


def shown_labels(mask: Mask, segments: Sequence[Segment]) -> list[str]:
    """The labels of some segments of a mask as they may be shown."""
    return [shown_label(segment.label, mask.name_words) for segment in segments]


def find_masks(
    exam: Exam, frame_of_reference: str | None, *, tumor: str | None, files: Sequence[Path] | None
) -> tuple[Mask, ...]:
    """The masks of an image.

    Args:
        exam: the examination.
        frame_of_reference: of the image.
        tumor: a regular expression found in the labels of segments that are tumor; None takes
            those whose category or type says so.
        files: masks beside the DICOM files, taken instead of those in them; None if there are none.

    Raises:
        NnmtlError: if a file beside is no mask; without its path.
    """
    if files is not None:
        return tuple(_of_file(path, tumor) for path in files)
    found = (_of_dicom(file, frame_of_reference, tumor) for file in exam.segmentations)
    return tuple(mask for mask in found if mask is not None)


def files_of_exam(source: Path, pattern: str, exam: Exam, identity: Identity) -> list[Path]:
    """The masks beside an examination, sorted; folders of such a name are none.

    Args:
        source: folder that the pattern starts from.
        pattern: as of `Path.glob`, with `{patient}` for the PatientID, `{date}` for the date of
            the examination (YYYYMMDD) and `{case}` for the case id.
        exam: the examination.
        identity: its names.
    """
    names = {
        "{patient}": exam.patient_id,
        "{date}": exam.study_time.partition(" ")[0],
        "{case}": identity.case_id,
    }
    for name, value in names.items():
        pattern = pattern.replace(name, glob.escape(value))
    anchor = Path(pattern).anchor
    found = Path(anchor or source).glob(pattern.removeprefix(anchor))
    return sorted(path for path in found if path.is_file())


def read_masks(masks: Sequence[Mask], grid: ImageHeader, label: int) -> npt.NDArray[np.uint8]:
    """The tumor of all masks as one label map, (Z, Y, X) on the grid.

    Raises:
        NnmtlError: if a mask cannot be placed on the grid; without its path.
    """
    label_map = np.zeros(grid.size[::-1], dtype=np.uint8)
    for mask in masks:
        if mask.tumor:
            labels = {segment.number: label for segment in mask.tumor}
            label_map |= mask.read(mask.path, grid, labels)
    return label_map


def _of_dicom(file: Slice, frame_of_reference: str | None, tumor: str | None) -> Mask | None:
    if file.series.modality == STRUCTURE_SET:
        segments, read = read_rois(file.path, frame_of_reference), read_roi_label_map
        if not segments:
            return None
    elif file.frame_of_reference in (frame_of_reference, None):
        segments, read = read_segments(file.path), read_label_map
    else:
        return None
    series = file.series
    return Mask(
        path=file.path,
        series=(series.number or "?", shown_description(series.description, series.name_words)),
        name_words=series.name_words,
        segments=segments,
        tumor=_tumor(segments, tumor),
        read=read,
    )


def _of_file(path: Path, tumor: str | None) -> Mask:
    segments = tuple(
        Segment(number=value, label=str(value), is_lesion=True) for value in read_values(path)
    )
    return Mask(
        path=path,
        series=("", "mask beside"),
        name_words=(),
        segments=segments,
        tumor=_tumor(segments, tumor),
        read=read_file_label_map,
    )


def _tumor(segments: Sequence[Segment], tumor: str | None) -> tuple[Segment, ...]:
    if tumor is None:
        return tuple(segment for segment in segments if segment.is_lesion)
    wanted = re.compile(tumor, flags=re.IGNORECASE)
    return tuple(segment for segment in segments if wanted.search(segment.label))
