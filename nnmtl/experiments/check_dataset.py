"""Looks at every image and mask of a raw dataset, one case at a time."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from nnmtl.cohort.case_content import (
    CaseContent,
    Split,
    measure_channel,
    measure_mask,
    same_images,
)
from nnmtl.cohort.case_geometry import measure_tumor
from nnmtl.cohort.declaration import declared_labels
from nnmtl.cohort.image_file import ImageHeader, check_numbers, read_array, read_header
from nnmtl.cohort.orientation import orientation_code, shear, to_patient_axes
from nnmtl.cohort.raw_dataset import (
    RawDataset,
    check_grid,
    check_label_values,
    check_layout,
)
from nnmtl.cohort.strict_json import as_object
from nnmtl.cohort.validation import Finding
from nnmtl.cohort.validation_centers import check_center_targets
from nnmtl.cohort.validation_duplicates import check_duplicates
from nnmtl.cohort.validation_grids import check_grids
from nnmtl.cohort.validation_intensity import check_intensities
from nnmtl.cohort.validation_masks import check_masks
from nnmtl.errors import NnmtlError
from nnmtl.regions.body import body_mask
from nnmtl.report.dataset_page import PageCase
from nnmtl.report.thumbnail import draw_thumbnail

_REORIENTING_READER = "SimpleITKIOWithReorient"

_Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class _CaseFiles:
    """What is needed to look at one case; small, since it is sent to another process."""

    case_id: str
    patient_id: str
    center: str
    split: Split
    images: dict[int, Path]
    label: Path | None
    missing: tuple[int, ...]
    tumor_labels: tuple[int, ...]

    @property
    def paths(self) -> list[Path]:
        """All files of the case."""
        return [*self.images.values(), *([self.label] if self.label else [])]


def examine_dataset(
    dataset: RawDataset, *, num_processes: int
) -> tuple[list[Finding], list[PageCase]]:
    """Everything that is wrong with a dataset, and a picture of each case.

    The images of `num_processes` cases are in memory at a time; of each case stay some numbers, a
    fingerprint of 4 kB per channel and its picture of 20 kB.

    Args:
        dataset: as read.
        num_processes: cases at a time; 1 stays in this process.

    Returns:
        The findings, and the cases of training and testing.
    """
    findings = check_layout(dataset)
    cases = []
    for case, of_case in _examine(list(_case_files(dataset)), num_processes):
        cases.append(case)
        findings += of_case
    return findings + _compare(dataset, [case.content for case in cases if case.content]), cases


def _case_files(dataset: RawDataset) -> Iterator[_CaseFiles]:
    table = dataset.table.with_unobserved({*dataset.train_images, *dataset.test_images})
    row_of = {case_id: row for row, case_id in enumerate(table.case_ids)}
    splits: tuple[Split, Split] = ("Tr", "Ts")
    for split, images in zip(splits, (dataset.train_images, dataset.test_images), strict=True):
        for case_id, channels in images.items():
            label = dataset.folder / f"labels{split}" / f"{case_id}{dataset.file_ending}"
            yield _CaseFiles(
                case_id=case_id,
                patient_id=table.patient_ids[row_of[case_id]],
                center=table.centers[row_of[case_id]],
                split=split,
                images=dict(sorted(channels.items())),
                label=label if label.is_file() else None,
                missing=dataset.declaration.missing_channels.get(case_id, ()),
                tumor_labels=dataset.declaration.tumor_labels,
            )


def _examine(
    files: Sequence[_CaseFiles], num_processes: int
) -> Iterator[tuple[PageCase, list[Finding]]]:
    follow = partial(tqdm, total=len(files), desc="Looking at images", unit="case")
    if num_processes == 1:
        yield from follow(map(_examine_case, files))
        return
    # spawn: forking after a library has started threads can deadlock
    with ProcessPoolExecutor(num_processes, get_context("spawn")) as pool:
        yield from follow(pool.map(_examine_case, files))


def _examine_case(files: _CaseFiles) -> tuple[PageCase, list[Finding]]:
    """A case that cannot be read has no content and no picture."""
    findings = check_grid(files.case_id, files.paths)
    content, picture = None, None
    if not findings:
        try:
            content, picture = _look(files)
        except NnmtlError as error:
            findings = [Finding(level="error", message=str(error), case_ids=(files.case_id,))]
    case = PageCase(
        case_id=files.case_id,
        patient_id=files.patient_id,
        center=files.center,
        split=files.split,
        content=content,
        picture=picture,
    )
    return case, findings


def _look(files: _CaseFiles) -> tuple[CaseContent, bytes]:
    arrays = {number: read_array(path) for number, path in files.images.items()}
    for path in files.images.values():
        check_numbers(path)
    header = read_header(next(iter(files.images.values())))
    spacing_mm = header.spacing_mm[::-1]
    shape = next(iter(arrays.values())).shape
    label_map = read_array(files.label) if files.label else None
    tumor = np.zeros(shape, bool) if label_map is None else np.isin(label_map, files.tumor_labels)
    acquired = {number: array for number, array in arrays.items() if number not in files.missing}
    content = CaseContent(
        case_id=files.case_id,
        patient_id=files.patient_id,
        center=files.center,
        split=files.split,
        orientation=orientation_code(header.direction),
        shear=max(map(shear, files.paths)),
        geometry=measure_tumor(tumor, spacing_mm),
        channels={
            number: measure_channel(array, header.direction, spacing_mm)
            for number, array in acquired.items()
        },
        copies=same_images(acquired),
        mask=None if label_map is None else measure_mask(label_map, tumor, _body(acquired, shape)),
    )
    return content, _draw(list(arrays.values()), tumor, header)


def _body(images: dict[int, _Array], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Of the first channel that was acquired; everything without any."""
    first = next(iter(images.values()), None)
    return np.ones(shape, dtype=bool) if first is None else body_mask(first)


def _draw(images: Sequence[_Array], tumor: npt.NDArray[np.bool_], header: ImageHeader) -> bytes:
    spacing_mm = header.spacing_mm[::-1]
    turned = [to_patient_axes(image, header.direction, spacing_mm)[0] for image in images]
    turned_tumor, turned_spacing_mm = to_patient_axes(tumor, header.direction, spacing_mm)
    return draw_thumbnail(turned, turned_tumor, turned_spacing_mm)


def _compare(dataset: RawDataset, contents: Sequence[CaseContent]) -> list[Finding]:
    labels = declared_labels(
        as_object(dataset.dataset_json["labels"], where="dataset.json: labels")
    )
    known = dataset.table.select(set(dataset.train_images) & set(dataset.table.case_ids))
    reader = dataset.dataset_json.get("overwrite_image_reader_writer")
    return [
        *check_label_values(
            dataset,
            {
                case.case_id: case.mask.labels
                for case in contents
                if case.mask and case.split == "Tr"
            },
        ),
        *check_grids(contents, is_reoriented=reader == _REORIENTING_READER),
        *check_intensities(contents),
        *check_masks(contents, known_labels=labels),
        *check_duplicates(contents),
        *check_center_targets(known),
    ]
