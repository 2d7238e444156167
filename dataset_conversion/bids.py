"""BIDS: participants.tsv and images by subject, masks and images also from derivatives.

SOURCE is a folder of the Brain Imaging Data Structure (https://bids-specification.readthedocs.io):

    participants.tsv                             participant_id sub-01 and further columns
    sub-01/anat/sub-01_T1w.nii.gz                or sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz
    derivatives/NAME/sub-01/anat/sub-01_label-tumor_mask.nii.gz

--mapping is a JSON file as for `table`: what the columns mean, and a pattern per channel and for
the mask, from the folder of the subject or session on, where {case} is sub-01 or sub-01_ses-1:

    "case_id": "participant_id", "patient_id": "participant_id",
    "images": ["anat/{case}_T1w.nii.gz", "anat/{case}_ce-gad_T1w.nii.gz"],
    "mask": "anat/{case}_label-tumor_mask.nii.gz"

--images-from and --masks-from NAME take them from derivatives/NAME. Subjects with several sessions
need --session, images with several runs --run. Targets are those of participants.tsv: the tables
of sessions, sub-01_sessions.tsv, are not read. `n/a` is not observed. Where participants.json tells
other units than the mapping, a line says so.
"""

import argparse
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nnmtl.cohort.biomarker import ContinuousBiomarker
from nnmtl.cohort.csv_file import CsvRow
from nnmtl.cohort.strict_json import as_object
from nnmtl.dataset_conversion._dataset_writer import new_dataset_folder
from nnmtl.dataset_conversion._mapping import TableMapping, read_mapping
from nnmtl.dataset_conversion._source_column import SourceColumn
from nnmtl.dataset_conversion._source_images import SourceImages, find_images, packed_or_not
from nnmtl.dataset_conversion._source_table import (
    find_source_table,
    missing_channels,
    read_source_table,
)
from nnmtl.dataset_conversion.table import add_image_arguments, convert_rows
from nnmtl.errors import NnmtlError

_logger = logging.getLogger(__name__)

_PARTICIPANT = "participant_id"
_CASE = "case of BIDS"
_SUBJECT = re.compile(r"sub-[0-9A-Za-z]+")
_RUN = re.compile(r"_run-0*([0-9]+)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this converter needs beside the common arguments."""
    parser.add_argument(
        "--mapping", type=Path, required=True, help="JSON file that says what the columns mean"
    )
    parser.add_argument("--session", help="label of the session, such as 1 of ses-1")
    parser.add_argument("--run", type=int, help="number of the run of images that have several")
    for what in ("images", "masks"):
        parser.add_argument(
            f"--{what}-from", metavar="NAME", help=f"take {what} from derivatives/NAME"
        )
    add_image_arguments(parser)


def convert(arguments: argparse.Namespace, raw_folder: Path) -> Path:
    """Converts the table and, unless only targets are wanted, the images.

    Returns:
        The dataset's folder, written or to be written.

    Raises:
        NnmtlError: for the first thing in table or images that is not as it should be.
    """
    path = find_source_table(arguments.source, ("participants.tsv",))
    name = arguments.name or path.parent.resolve().name
    folder = new_dataset_folder(raw_folder, arguments.dataset_id, name)
    mapping = _read_mapping(arguments.mapping)
    bids = _Bids(
        images=_root(path.parent, arguments.images_from),
        masks=_root(path.parent, arguments.masks_from),
        session=(arguments.session or "").removeprefix("ses-"),
        run=arguments.run,
    )
    _compare_units(path.with_suffix(".json"), mapping)
    rows = read_source_table(path, [c for c in mapping.source_columns if c != _CASE])
    rows = [_with_case(row, bids, with_folders=not arguments.targets_only) for row in rows]
    found = None if arguments.targets_only else _find_images(rows, bids, mapping)
    return convert_rows(rows, mapping, arguments, source=path.parent, folder=folder, found=found)


@dataclass(frozen=True, kw_only=True)
class _Bids:
    """Which files are taken.

    Attributes:
        images: the folder of the subjects with images.
        masks: the same with masks.
        session: label; empty to take the only one, or none.
        run: None to take the only one, or none.
    """

    images: Path
    masks: Path
    session: str
    run: int | None


def _root(source: Path, derivative: str | None) -> Path:
    if derivative is None:
        return source
    folder = source / "derivatives" / derivative
    if not folder.is_dir():
        there = sorted(path.name for path in (source / "derivatives").glob("*") if path.is_dir())
        raise NnmtlError(
            f"{source}: expected derivatives/{derivative}, got {', '.join(there) or 'none'} in "
            "derivatives; name one of them, or leave the option out."
        )
    return folder


def _read_mapping(path: Path) -> TableMapping:
    mapping = read_mapping(path)
    for key, column in (("case_id", mapping.case_id), ("patient_id", mapping.patient_id)):
        if column != _PARTICIPANT:
            raise NnmtlError(f"{path}: {key}: expected {_PARTICIPANT!r}, got {column!r}.")
    if mapping.images is None or mapping.mask is None:
        raise NnmtlError(
            f"{path}: expected the keys 'images' and 'mask' with patterns such as "
            "'anat/{case}_T1w.nii.gz'; add them."
        )
    return replace(mapping, case_id=_CASE, not_observed=(*mapping.not_observed, "n/a"))


def _compare_units(path: Path, mapping: TableMapping) -> None:
    """Says where participants.json and the mapping name different units."""
    if not path.is_file():
        return
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise NnmtlError(f"{path}: expected JSON in UTF-8, but {error}; correct it.") from error
    described = as_object(content, where=str(path))
    for biomarker in mapping.biomarkers:
        column = mapping.columns[biomarker.name]
        if isinstance(biomarker, ContinuousBiomarker) and isinstance(column, SourceColumn):
            about = described.get(column.name)
            units = about.get("Units") if isinstance(about, dict) else None
            if units not in (None, biomarker.unit) and column.scale == 1:
                _logger.warning(
                    "%s: the unit of %r is %r, but %r in the mapping",
                    path.name,
                    column.name,
                    units,
                    biomarker.unit,
                )


def _with_case(row: CsvRow, bids: _Bids, *, with_folders: bool) -> CsvRow:
    subject = row[_PARTICIPANT]
    if not _SUBJECT.fullmatch(subject):
        raise row.error(_PARTICIPANT, "sub- and a label of letters and digits, such as sub-01")
    session = bids.session
    if with_folders:
        there = sorted(path.name[4:] for path in (bids.images / subject).glob("ses-*"))
        if not session and len(there) > 1:
            raise NnmtlError(
                f"{bids.images / subject}: expected one session, got {', '.join(there)}; choose "
                "one with --session."
            )
        session = session or "".join(there)
    case = f"{subject}_ses-{session}" if session else subject
    return replace(row, cells={**row.cells, _CASE: case})


def _find_images(rows: Sequence[CsvRow], bids: _Bids, mapping: TableMapping) -> SourceImages:
    def locate_image(pattern: str, case: str) -> Path:
        return _locate(bids.images, pattern, case, bids.run)

    def locate_mask(pattern: str, case: str) -> Path:
        return _locate(bids.masks, pattern, case, bids.run)

    found = find_images(
        bids.images,
        mapping,
        {row[_CASE]: missing_channels(row, mapping) for row in rows},
        locate_image=locate_image,
        locate_mask=locate_mask,
    )
    subjects = {path.name for path in bids.images.glob("sub-*") if path.is_dir()}
    without_row = subjects - {row[_PARTICIPANT] for row in rows}
    return replace(found, without_row=tuple(sorted(without_row)))


def _locate(root: Path, pattern: str, case: str, run: int | None) -> Path:
    """The file of this name, or the one that differs from it by the number of its run only."""
    path = root / case.replace("_", "/") / pattern.replace("{case}", case)
    single = packed_or_not(path)
    if single.is_file():
        return single
    name = path.name.removesuffix(".gz")
    by_run = {
        int(match[1]): other
        for other in sorted(path.parent.glob(f"{case}_*"))
        if (match := _RUN.search(other.name))
        and other.name.replace(match[0], "").removesuffix(".gz") == name
    }
    if run is None and len(by_run) > 1:
        raise NnmtlError(
            f"{path}: expected one run, got {', '.join(map(str, by_run))}; choose one with --run."
        )
    return by_run.get(run, path) if run is not None else next(iter(by_run.values()), path)
