"""Regions of a DICOM RT Structure Set as a label map on the grid of the image they are drawn on."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from nnmtl.cohort.image_file import ImageHeader
from nnmtl.dataset_conversion._dicom_geometry import indices_at
from nnmtl.dataset_conversion._dicom_pixels import read_file
from nnmtl.dataset_conversion._dicom_seg import Segment, is_lesion, mark
from nnmtl.dataset_conversion._dicom_values import (
    as_number,
    as_numbers,
    as_texts,
    text_of,
    value_of,
)
from nnmtl.dataset_conversion._polygon_fill import Points, fill_polygons
from nnmtl.errors import NnmtlError

_GROSS_TUMOR_VOLUME = "GTV"
_CLOSED = "CLOSED_PLANAR"
_CLOSED_XOR = "CLOSEDPLANAR_XOR"  # an area that two contours share is left out
_NOT_CLOSED = {"POINT", "OPEN_PLANAR", "OPEN_NONPLANAR"}
_TOLERANCE_VOXELS = 0.1
_FEWEST_SLICES = 3  # from which on contours on every other slice are no accident


def read_rois(path: Path, frame_of_reference: str | None) -> tuple[Segment, ...]:
    """The regions that have contours in a frame of reference, or in any if None, by number.

    Raises:
        NnmtlError: if the file cannot be read; without telling its path.
    """
    try:
        return tuple(sorted(_rois(read_file(path), frame_of_reference), key=lambda roi: roi.number))
    except (AttributeError, TypeError, ValueError):  # a sequence that is none
        raise NnmtlError("expected readable regions of a structure set; export again") from None


def read_roi_label_map(
    path: Path, grid: ImageHeader, label_of_roi: Mapping[int, int]
) -> npt.NDArray[np.uint8]:
    """The label map, (Z, Y, X) on the grid: voxels whose center a contour encloses.

    Contours lie on the slices of the image. Between them nothing is made up.

    Args:
        path: of the structure set.
        grid: of the image.
        label_of_roi: labels 1 to 255 by number of region; others are left out.

    Raises:
        NnmtlError: if a contour is not closed, not on a slice, reaches out of the image or crosses
            another one, or lies on every other slice only; without telling the path.
    """
    contours = _contours(read_file(path))
    label_map = np.zeros(grid.size[::-1], dtype=np.uint8)
    for number, label in label_of_roi.items():
        mark(label_map, np.nonzero(_mask(contours[number], grid)), label)
    return label_map


def _rois(file: Dataset, frame_of_reference: str | None) -> Iterator[Segment]:
    observed = {
        as_number(value_of(item, "ReferencedROINumber")): item
        for item in file.get("RTROIObservationsSequence") or ()
    }
    drawn = {number for number, contours in _contours(file).items() if contours}
    for item in file.get("StructureSetROISequence") or ():
        number = as_number(value_of(item, "ROINumber"))
        its_frame = text_of(item, "ReferencedFrameOfReferenceUID")
        is_elsewhere = frame_of_reference and its_frame not in ("", frame_of_reference)
        if number not in drawn or is_elsewhere:
            continue
        found = observed.get(number, Dataset())
        is_tumor = text_of(found, "RTROIInterpretedType") == _GROSS_TUMOR_VOLUME
        yield Segment(
            number=int(number or 0),
            label=text_of(item, "ROIName"),
            is_lesion=is_tumor or is_lesion(found),
        )


def _contours(file: Dataset) -> dict[int, list[Dataset]]:
    """Those with points, by number of region."""
    contours = {}
    for item in file.get("ROIContourSequence") or ():
        drawn = [found for found in item.get("ContourSequence") or () if found.get("ContourData")]
        contours[int(as_number(value_of(item, "ReferencedROINumber")) or 0)] = drawn
    return contours


def _mask(contours: Sequence[Dataset], grid: ImageHeader) -> npt.NDArray[np.bool_]:
    kinds = {text_of(contour, "ContourGeometricType") for contour in contours}
    if not kinds <= {_CLOSED, _CLOSED_XOR}:
        told = ", ".join(sorted(kinds & _NOT_CLOSED))  # another text could be anything
        raise NnmtlError(
            f"expected closed contours of a tumor, got {told or 'no known type'}; draw its border, "
            "or name other regions with --tumor"
        )
    by_slice: dict[int, list[Points]] = defaultdict(list)
    for contour in contours:
        z, polygon = _on_slice(_points(contour), grid)
        by_slice[z].append(polygon)
    _check_gaps(sorted(by_slice))
    mask = np.zeros(grid.size[::-1], dtype=bool)
    for z, polygons in by_slice.items():
        mask[z] = fill_polygons(polygons, mask.shape[1:], may_cross=_CLOSED_XOR in kinds)
    return mask


def _points(contour: Dataset) -> Points:
    """(N, 3) in mm toward left, posterior and head."""
    data = as_texts(contour.ContourData)
    numbers = as_numbers(data, len(data))
    if numbers is None or len(numbers) % 3:
        raise NnmtlError("expected three numbers per point of a contour, got others; export again")
    return np.array(numbers).reshape(-1, 3)


def _on_slice(points: Points, grid: ImageHeader) -> tuple[int, Points]:
    """The slice of a contour and its points (x, y) there, in voxels."""
    indices = indices_at(points, grid)
    z = int(np.rint(np.median(indices[:, 2])))
    beside = indices[:, 2] - z
    if np.ptp(beside) > 2 * _TOLERANCE_VOXELS:
        raise NnmtlError(
            "expected contours in the planes of the image's slices, got one at an angle to them; "
            "choose the image that it was drawn on with --series"
        )
    if abs(beside).max() > _TOLERANCE_VOXELS:
        raise NnmtlError(
            "expected contours on the image's slices, got one between two; choose the image that "
            "it was drawn on with --series"
        )
    half = 0.5 + _TOLERANCE_VOXELS  # the outer edge of a voxel
    if (indices < -half).any() or (indices > np.array(grid.size) - 1 + half).any():
        raise NnmtlError(
            "expected contours inside the image, got one that reaches out of it; choose the image "
            "that it was drawn on with --series"
        )
    return z, indices[:, :2]


def _check_gaps(slices: Sequence[int]) -> None:
    steps = np.diff(slices)
    if len(slices) >= _FEWEST_SLICES and steps.min() > 1:
        raise NnmtlError(
            f"expected contours on neighboring slices, got {len(slices)} at least {steps.min()} "
            "slices apart; fill the slices between where they were drawn"
        )
