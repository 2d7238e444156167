"""One examination, from what was selected in it to its files in the dataset."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK

from nnmtl.cohort.image_file import ImageHeader
from nnmtl.dataset_conversion._dicom_exam import Selection, select
from nnmtl.dataset_conversion._dicom_geometry import grid_of
from nnmtl.dataset_conversion._dicom_identity import Identity
from nnmtl.dataset_conversion._dicom_pixels import read_volume
from nnmtl.dataset_conversion._dicom_policy import (
    EXTRA_CHANNELS,
    Choice,
    channels,
    choose_phases,
)
from nnmtl.dataset_conversion._dicom_scan import Exam
from nnmtl.dataset_conversion._dicom_seg import read_label_map
from nnmtl.errors import NnmtlError

ENDING = ".nii.gz"
TUMOR_LABEL = 1

Voxels = npt.NDArray[np.generic]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be made of every examination.

    Attributes:
        policy: which phases, see `choose_phases`.
        extras: further channels, see `channels`.
        series: which series, see `select`.
        tumor: which segments, see `select`.
    """

    policy: str
    extras: tuple[str, ...]
    series: str | None
    tumor: str | None


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is made of one examination.

    Attributes:
        identity: its names.
        selection: its series.
        choice: its phases; None if it is refused.
        problem: why it is refused, as a clause; empty if it is not.
    """

    identity: Identity
    selection: Selection
    choice: Choice | None
    problem: str


def parse_extras(text: str) -> tuple[str, ...]:
    """The further channels of the option `--with`.

    Raises:
        NnmtlError: if one is unknown or stands twice.
    """
    extras = tuple(filter(None, text.split(",")))
    if not set(extras) <= set(EXTRA_CHANNELS) or len(set(extras)) < len(extras):
        raise NnmtlError(f"--with: expected some of {', '.join(EXTRA_CHANNELS)}, got {text!r}.")
    return extras


def plan_case(exam: Exam, identity: Identity, wanted: Wanted) -> Case:
    """Decides all that headers tell; a reason to refuse stands in the case."""
    selection = select(exam, series=wanted.series, tumor=wanted.tumor)
    choice, problem = None, selection.problem
    if selection.chosen is not None:
        try:
            grid_of(selection.phases.slices[0])
            choice = choose_phases(wanted.policy, selection.phases, None)
        except NnmtlError as error:
            problem = f"series {selection.chosen.first.series.number}: {error}"
    return Case(identity=identity, selection=selection, choice=choice, problem=problem)


def write_case(case: Case, folder: Path, wanted: Wanted, *, ignore_label: int | None) -> Case:
    """Writes the channels into imagesTr and the label map into labelsTr.

    A case without segmented tumor gets a label map of `ignore_label`.

    Returns:
        The case with the choice that only voxels could tell.

    Raises:
        NnmtlError: naming the case, if its voxels cannot be read or its segmentation not placed.
    """
    phases, case_id = case.selection.phases, case.identity.case_id
    grid = grid_of(phases.slices[0])
    read_phase = _reader(case.selection)
    try:
        choice = choose_phases(wanted.policy, phases, read_phase)
        images = channels(choice, wanted.extras, len(phases.slices), read_phase)
        label_map = _label_map(case.selection, grid, ignore_label)
    except NnmtlError as error:
        raise refusal(replace(case, problem=str(error))) from error
    for channel, voxels in enumerate(images):
        _write_image(folder / "imagesTr" / f"{case_id}_{channel:04d}{ENDING}", voxels, grid)
    _write_image(folder / "labelsTr" / f"{case_id}{ENDING}", label_map, grid)
    return replace(case, choice=choice)


def refusal(case: Case) -> NnmtlError:
    """The error that tells which case cannot be converted, and why."""
    return NnmtlError(f"the case {case.identity.case_id!r}: {case.problem}.")


def has_mask(case: Case) -> bool:
    """Whether a segmented tumor becomes its label map."""
    return any(mask.tumor for mask in case.selection.masks)


def _reader(selection: Selection) -> Callable[[int], Voxels]:
    """Reads a phase once, however many channels need it."""

    @cache
    def read_phase(index: int) -> Voxels:
        return read_volume(selection.phases.slices[index])

    return read_phase


def _label_map(
    selection: Selection, grid: ImageHeader, ignore_label: int | None
) -> npt.NDArray[np.uint8]:
    label_map = np.zeros(grid.size[::-1], dtype=np.uint8)
    masks = [mask for mask in selection.masks if mask.tumor]
    if not masks and ignore_label is not None:
        label_map[:] = ignore_label
    for mask in masks:
        label_of_segment = {segment.number: TUMOR_LABEL for segment in mask.tumor}
        label_map |= read_label_map(mask.file.path, grid, label_of_segment)
    return label_map


def _write_image(path: Path, voxels: Voxels, grid: ImageHeader) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = SimpleITK.GetImageFromArray(voxels)
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    SimpleITK.WriteImage(image, str(path), useCompression=True)
