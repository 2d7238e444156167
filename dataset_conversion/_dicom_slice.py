"""One slice of a DICOM series, as its header describes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Plane:
    """Where a slice lies, in the patient's coordinates (mm toward left, posterior and head).

    Attributes:
        position_mm: center of the first voxel.
        orientation: direction along a row, then that down a column.
        spacing_mm: between rows, then between columns, as DICOM orders them.
        shape: number of rows and of columns.
        increment_mm: from slice to slice as the tags say (SpacingBetweenSlices); None if absent.
        thickness_mm: of the slice; None if absent.
    """

    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing_mm: tuple[float, ...]
    shape: tuple[int, int]
    increment_mm: float | None
    thickness_mm: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """What the slices of a file share; its identifiers are those of the file.

    Attributes:
        patient_id: empty if absent, as all texts here.
        study_uid: of the examination.
        accession: number of the examination's order.
        study_time: its date and time, as a text that sorts.
        uid: of the series.
        number: of the series.
        description: as in the files, so that only `shown_description` of it may be shown.
        name_words: of the patient's name and id, which no text that is shown may have.
        modality: such as MR.
        scanner: manufacturer and model.
        field_strength_t: in tesla; None if absent.
        burned_in: why text may be drawn into its voxels, in a few words; empty if nothing says so.
        is_capture: whether it is a picture of a screen.
    """

    patient_id: str
    study_uid: str
    accession: str
    study_time: str
    uid: str
    number: str
    description: str
    name_words: tuple[str, ...]
    modality: str
    scanner: str
    field_strength_t: float | None
    burned_in: str
    is_capture: bool

    @property
    def study_day(self) -> str:
        """The date of the examination; empty if absent."""
        return self.study_time.partition(" ")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """One slice: a file, or a frame of one.

    Attributes:
        path: of its file.
        frame: its index in the file.
        instance_uid: of the file, empty if absent.
        series: what the slices of the file share.
        plane: None if not known.
        is_gray: whether a voxel is one number.
        is_inverted: whether a higher number is darker (MONOCHROME1).
        frame_of_reference: None if absent, as the following.
        image_type: such as ORIGINAL, PRIMARY, M.
        echo_time_ms: of the sequence.
        b_value: of diffusion, in s/mm2.
        protocol: further settings of the sequence, as texts.
        order: the tags that may tell phases apart; times in s, dates in days.
        num_phases: that the acquisition had, as the tags say; None if absent.
        rescale: slope and intercept from stored numbers to values; None where absent.
        scale_slope: Philips' private one, which is not applied; None if absent.
    """

    path: Path
    frame: int
    instance_uid: str
    series: Series
    plane: Plane | None
    is_gray: bool
    is_inverted: bool
    frame_of_reference: str | None
    image_type: tuple[str, ...] | None
    echo_time_ms: float | None
    b_value: float | None
    protocol: tuple[str, ...]
    order: Mapping[str, float]
    num_phases: int | None
    rescale: tuple[float | None, float | None]
    scale_slope: float | None
