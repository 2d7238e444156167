"""A DICOM segmentation as a label map on the grid of an image."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from nnmtl.cohort.image_file import ImageHeader
from nnmtl.dataset_conversion._dicom_geometry import axes, voxels_at
from nnmtl.dataset_conversion._dicom_header import items_of_frames, plane_of
from nnmtl.dataset_conversion._dicom_pixels import read_file, read_stored_frames
from nnmtl.dataset_conversion._dicom_slice import Plane
from nnmtl.dataset_conversion._dicom_values import as_number, first_value, text_of, value_of
from nnmtl.errors import NnmtlError

# "Morphologically altered structure" (tumor, lesion), in SNOMED CT and in its older codes.
_CATEGORIES_OF_LESIONS = {("SCT", "49755003"), ("SRT", "M-01000"), ("99SDM", "M-01000")}
_HIGHEST_FRACTIONAL_VALUE = 255

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Segment:
    """What a segmentation says of one of its segments.

    Attributes:
        number: that frames refer to.
        label: its name.
        is_lesion: whether its category is that of tumors and other lesions.
    """

    number: int
    label: str
    is_lesion: bool


def read_segments(path: Path) -> tuple[Segment, ...]:
    """The segments of a file, by number.

    Raises:
        NnmtlError: if the file cannot be read; without telling its path.
    """
    try:
        return tuple(sorted(_segments(read_file(path)), key=lambda segment: segment.number))
    except (AttributeError, TypeError, ValueError):  # a sequence that is none
        raise NnmtlError("expected a readable SegmentSequence, got another; export again") from None


def _segments(file: Dataset) -> Iterator[Segment]:
    for index, item in enumerate(file.get("SegmentSequence") or (), start=1):
        number = as_number(value_of(item, "SegmentNumber"))
        label = text_of(item, "SegmentLabel")
        if number != 0:  # of the background, which some label maps list
            number = int(number or index)
            yield Segment(number=number, label=label, is_lesion=is_lesion(item))


def is_lesion(item: Dataset) -> bool:
    """Whether the category of a segment or region is that of tumors and other lesions."""
    codes: Sequence[Dataset] = item.get("SegmentedPropertyCategoryCodeSequence") or [Dataset()]
    category = text_of(codes[0], "CodingSchemeDesignator"), text_of(codes[0], "CodeValue")
    return category in _CATEGORIES_OF_LESIONS


def read_label_map(
    path: Path, grid: ImageHeader, label_of_segment: Mapping[int, int]
) -> npt.NDArray[np.uint8]:
    """The label map, (Z, Y, X) on the grid.

    Every frame goes where the position and orientation in its functional groups put it, whatever
    the order of the frames. A fractional segment counts from one half.

    Args:
        path: of the segmentation.
        grid: of the image.
        label_of_segment: labels 1 to 255 by number of segment; others are left out.

    Raises:
        NnmtlError: if frames lie between the grid's voxels, marked voxels outside of it, or two
            labels in one voxel; without telling the path.
    """
    file = read_file(path)
    label_map = np.zeros(grid.size[::-1], dtype=np.uint8)
    frames = list(items_of_frames(file))
    if not frames:
        raise NnmtlError("expected functional groups in the segmentation, got none; export again")
    stored = read_stored_frames(file, range(len(frames)))
    for items, frame in zip(frames, stored, strict=True):
        plane = plane_of(items)
        if plane is None:
            raise NnmtlError("expected a plane in every frame of the segmentation; export it again")
        for number, mask in _masks(frame, items, file):
            if number in label_of_segment:
                mark(label_map, _places(mask, plane, grid), label_of_segment[number])
    return label_map


def _masks(
    frame: npt.NDArray[Any], items: Sequence[Dataset], file: Dataset
) -> Iterator[tuple[int, Mask]]:
    """The segments in a frame: its number and where it is."""
    kind = text_of(file, "SegmentationType")
    if kind == "LABELMAP":
        for number in np.unique(frame):
            yield int(number), frame == number
        return
    # Where there is one segment, some writers leave the reference out.
    number = int(as_number(first_value(items, "ReferencedSegmentNumber")) or 1)
    if kind == "FRACTIONAL":
        highest = as_number(value_of(file, "MaximumFractionalValue")) or _HIGHEST_FRACTIONAL_VALUE
        yield number, frame >= highest / 2
    else:
        yield number, frame > 0


def _places(
    mask: Mask, plane: Plane, grid: ImageHeader
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The voxels (Z, Y, X) of the grid that the marked ones of a frame are."""
    rows, columns = np.nonzero(mask)
    along_row, down_column, _ = axes(plane)
    points = (
        np.array(plane.position_mm)
        + np.outer(columns, along_row * plane.spacing_mm[1])
        + np.outer(rows, down_column * plane.spacing_mm[0])
    )
    return voxels_at(points, grid)


def mark(
    label_map: npt.NDArray[np.uint8],
    places: tuple[npt.NDArray[np.intp], ...],
    label: int,
) -> None:
    """Sets voxels (Z, Y, X) to a label.

    Raises:
        NnmtlError: if one of them has another label already.
    """
    before = label_map[places]
    if ((before != 0) & (before != label)).any():
        raise NnmtlError(
            "expected one label in a voxel, got two segments over each other; give them one label"
        )
    label_map[places] = label
