"""One examination, from what was selected in it to its files in the dataset."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK

from nnmtl.cohort.image_file import ImageHeader
from nnmtl.dataset_conversion._dicom_corrections import (
    Corrections,
    Reference,
    corrected_phases,
    corrected_sequence,
)
from nnmtl.dataset_conversion._dicom_exam import Selection, select
from nnmtl.dataset_conversion._dicom_geometry import grid_of
from nnmtl.dataset_conversion._dicom_identity import Identity
from nnmtl.dataset_conversion._dicom_masks import files_of_exam, read_masks
from nnmtl.dataset_conversion._dicom_pixels import read_volume
from nnmtl.dataset_conversion._dicom_policy import (
    EXTRA_CHANNELS,
    Choice,
    channels,
    choose_phases,
    reference_phase,
)
from nnmtl.dataset_conversion._dicom_scan import Exam
from nnmtl.dataset_conversion._dicom_sequences import WantedSequence, choose_sequence
from nnmtl.dataset_conversion._dicom_stack import Stack
from nnmtl.dataset_conversion._image_grid import to_image
from nnmtl.dataset_conversion._image_step import ImageStep, draw_steps
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
        tumor: which segments, see `find_masks`.
        masks: which files beside, see `files_of_exam`: folder and pattern; None if none.
        sequences: further series as channels.
        corrections: what may be done to images.
    """

    policy: str
    extras: tuple[str, ...]
    series: str | None
    tumor: str | None
    masks: tuple[Path, str] | None
    sequences: tuple[WantedSequence, ...]
    corrections: Corrections


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is made of one examination.

    Attributes:
        identity: its names.
        selection: its series.
        choice: its phases; None if it is refused.
        problem: why it is refused, as a clause; empty if it is not.
        sequences: the series of each further channel, by name; None where there is none.
        steps: what was done to its images.
    """

    identity: Identity
    selection: Selection
    choice: Choice | None
    problem: str
    sequences: Mapping[str, Stack | None]
    steps: tuple[ImageStep, ...] = ()


def parse_extras(text: str) -> tuple[str, ...]:
    """The further channels of the option `--with`.

    Raises:
        NnmtlError: if one is unknown or stands twice.
    """
    extras = tuple(filter(None, text.split(",")))
    if not set(extras) <= set(EXTRA_CHANNELS) or len(set(extras)) < len(extras):
        raise NnmtlError(f"--with: expected some of {', '.join(EXTRA_CHANNELS)}, got {text!r}.")
    return extras


def parse_masks(pattern: str | None, source: Path) -> tuple[Path, str] | None:
    """The masks of the option `--masks`, as `files_of_exam` takes them.

    Raises:
        NnmtlError: if the pattern finds the same files for every examination.
    """
    if pattern is None:
        return None
    if "{patient}" not in pattern and "{case}" not in pattern:
        raise NnmtlError(
            "--masks: expected {patient} or {case} in the pattern, got neither; put one where the "
            "name of the file tells whose mask it is."
        )
    return source, pattern


def plan_case(exam: Exam, identity: Identity, wanted: Wanted) -> Case:
    """Decides all that headers tell; a reason to refuse stands in the case."""
    files = None if wanted.masks is None else files_of_exam(*wanted.masks, exam, identity)
    selection = select(exam, series=wanted.series, tumor=wanted.tumor, mask_files=files)
    choice, problem, sequences = None, selection.problem, {}
    if selection.chosen is not None:
        try:
            sequences = _sequences(selection, wanted)
            grid_of(selection.phases.slices[0])
            choice = choose_phases(wanted.policy, selection.phases, None)
        except NnmtlError as error:
            problem = f"series {selection.chosen.first.series.number}: {error}"
    return Case(
        identity=identity,
        selection=selection,
        choice=choice,
        problem=problem,
        sequences=sequences,
    )


def write_case(case: Case, folder: Path, wanted: Wanted, *, ignore_label: int | None) -> Case:
    """Writes the channels into imagesTr and the label map into labelsTr.

    A case without segmented tumor gets a label map of `ignore_label`.

    Returns:
        The case with the choice that only voxels could tell, and what was done to its images.

    Raises:
        NnmtlError: naming the case, if its voxels cannot be read or its segmentation not placed.
    """
    phases, case_id = case.selection.phases, case.identity.case_id
    grid = grid_of(phases.slices[0])
    read_phase = _reader(case.selection)
    steps: list[ImageStep] = []
    try:
        choice = choose_phases(wanted.policy, phases, read_phase)
        reference = Reference(phase=reference_phase(choice), grid=grid)
        corrected = corrected_phases(read_phase, reference, wanted.corrections, steps.append)
        images = channels(choice, wanted.extras, len(phases.slices), corrected)
        for name, stack in case.sequences.items():
            images.append(
                np.zeros(grid.size[::-1], dtype=np.uint8)
                if stack is None
                else corrected_sequence(
                    _image_of(stack),
                    name,
                    reference=reference,
                    reference_voxels=read_phase(reference.phase),
                    wanted=wanted.corrections,
                    record=steps.append,
                )
            )
        label_map = _label_map(case.selection, grid, ignore_label)
    except NnmtlError as error:
        raise refusal(replace(case, problem=str(error))) from error
    for channel, voxels in enumerate(images):
        _write_image(folder / "imagesTr" / f"{case_id}_{channel:04d}{ENDING}", voxels, grid)
    _write_image(folder / "labelsTr" / f"{case_id}{ENDING}", label_map, grid)
    draw_steps(folder, case_id, steps)
    return replace(case, choice=choice, steps=tuple(steps))


def refusal(case: Case) -> NnmtlError:
    """The error that tells which case cannot be converted, and why."""
    return NnmtlError(f"the case {case.identity.case_id!r}: {case.problem}.")


def has_mask(case: Case) -> bool:
    """Whether a segmented tumor becomes its label map."""
    return any(mask.tumor for mask in case.selection.masks)


def missing_channels(case: Case, num_others: int) -> tuple[int, ...]:
    """The channels of sequences that the examination has not, which come after the others."""
    return tuple(
        num_others + index for index, stack in enumerate(case.sequences.values()) if stack is None
    )


def _sequences(selection: Selection, wanted: Wanted) -> dict[str, Stack | None]:
    assert selection.chosen is not None
    return {
        sequence.name: choose_sequence(
            sequence,
            selection.stacks,
            selection.chosen,
            may_register=wanted.corrections.register,
        )
        for sequence in wanted.sequences
    }


def _image_of(stack: Stack) -> Any:
    assert stack.phases is not None
    slices = stack.phases.slices[0]
    return to_image(read_volume(slices), grid_of(slices))


def _reader(selection: Selection) -> Callable[[int], Voxels]:
    """Reads a phase once, however many channels need it."""

    @cache
    def read_phase(index: int) -> Voxels:
        return read_volume(selection.phases.slices[index])

    return read_phase


def _label_map(
    selection: Selection, grid: ImageHeader, ignore_label: int | None
) -> npt.NDArray[np.uint8]:
    if ignore_label is not None and not any(mask.tumor for mask in selection.masks):
        return np.full(grid.size[::-1], ignore_label, dtype=np.uint8)
    return read_masks(selection.masks, grid, TUMOR_LABEL)


def _write_image(path: Path, voxels: Voxels, grid: ImageHeader) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(to_image(voxels, grid), str(path), useCompression=True)
