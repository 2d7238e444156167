"""Writes an nnU-Net raw dataset folder, whole or not at all."""

import json
import logging
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from nnmtl.cohort.declaration import KEY, Declaration, declaration_to_json, declared_labels
from nnmtl.cohort.image_file import ImageHeader, read_header, write_constant_image
from nnmtl.dataset_conversion._placed_file import grid_of_slices_first, place_file
from nnmtl.dataset_conversion._source_images import SourceCase
from nnmtl.errors import NnmtlError
from nnmtl.whole_file import can_be_written

_logger = logging.getLogger(__name__)

_CASES_BETWEEN_LINES = 100  # where files are written anew, a minute or so


def new_dataset_folder(raw_folder: Path, dataset_id: int, name: str) -> Path:
    """`Dataset<ID>_<name>` in nnU-Net's raw folder, not yet made.

    Raises:
        NnmtlError: if the id or the name cannot be, a dataset has this id, or nothing can be
            written there.
    """
    if not 0 <= dataset_id <= 999:
        raise NnmtlError(f"-d: expected an id from 0 to 999, got {dataset_id}.")
    if not name.replace("_", "").replace("-", "").isalnum() or "__" in name:
        raise NnmtlError(
            f"--name: expected letters, digits, '-' and single '_', got {name!r}; name the dataset."
        )
    for existing in raw_folder.glob(f"Dataset{dataset_id:03d}_*"):
        raise NnmtlError(f"-d: the dataset {existing} exists; remove it or choose another id.")
    folder = raw_folder / f"Dataset{dataset_id:03d}_{name}"
    if not can_be_written(folder):
        raise NnmtlError(
            f"nnUNet_raw: expected a folder that can be made or written, got {raw_folder}; change "
            "its permissions, or set another."
        )
    return folder


@contextmanager
def written_aside(folder: Path) -> Iterator[Path]:
    """A temporary folder that takes the name `folder` if the block ends well."""
    aside = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def labels_with_ignore(labels: Mapping[str, object]) -> dict[str, object]:
    """The labels and `ignore`, whose value nnU-Net expects to be the highest."""
    if "ignore" in labels:
        return dict(labels)
    return {**labels, "ignore": max(declared_labels(labels)) + 1}


def write_dataset_json(
    folder: Path,
    declaration: Declaration,
    *,
    channel_names: Mapping[str, str],
    labels: Mapping[str, object],
    num_training: int,
    file_ending: str,
    about: Mapping[str, object],
) -> None:
    """Writes dataset.json with our declaration."""
    content = {
        **about,
        "channel_names": channel_names,
        "labels": labels,
        "numTraining": num_training,
        "file_ending": file_ending,
        # Centers store axes in different orders; this reader turns all to one.
        "overwrite_image_reader_writer": "SimpleITKIOWithReorient",
        KEY: declaration_to_json(declaration),
    }
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    (folder / "dataset.json").write_text(text, encoding="utf-8")


def write_images(
    folder: Path,
    cases: Sequence[SourceCase],
    *,
    test_case_ids: Collection[str],
    ending: str,
    mask_values: Mapping[int, int] | None,
    ignore_label: int | None,
    with_copies: bool,
) -> None:
    """Places the files of all cases, linked or copied, into imagesTr, labelsTr and so on.

    Masks are written anew where `mask_values` changes them, all files where a case tells its grid.

    A missing channel becomes an image of zeros; a training case without mask a label map of
    `ignore_label`.
    """
    for number, case in enumerate(cases, start=1):
        part = "Ts" if case.case_id in test_case_ids else "Tr"
        for kind in ("images", "labels"):
            (folder / f"{kind}{part}").mkdir(exist_ok=True)
        grid = _grid(case)
        for channel, path in enumerate(case.channels):
            target = folder / f"images{part}" / f"{case.case_id}_{channel:04d}{ending}"
            if path is None:
                write_constant_image(target, grid, 0)
            else:
                place_file(
                    path,
                    target,
                    with_copies=with_copies,
                    slices_first_mm=case.slices_first_mm,
                )
        target = folder / f"labels{part}" / f"{case.case_id}{ending}"
        if case.mask is not None:
            place_file(
                case.mask,
                target,
                with_copies=with_copies,
                values=mask_values,
                slices_first_mm=case.slices_first_mm,
            )
        elif part == "Tr" and ignore_label is not None:
            write_constant_image(target, grid, ignore_label)
        if number % _CASES_BETWEEN_LINES == 0:
            _logger.info("%d of %d cases written", number, len(cases))


def _grid(case: SourceCase) -> ImageHeader:
    header = read_header(case.present[0])
    if case.slices_first_mm is None:
        return header
    return grid_of_slices_first(header, case.slices_first_mm)
