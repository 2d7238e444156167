"""Images and masks in folders plus a table of labels (.csv, .tsv, .xlsx), described by a mapping.

The mapping is a JSON file; see the reference of files. Images are linked unless --copy is given.
"""

import argparse
import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from nnmtl.cohort.csv_file import CsvRow, write_csv
from nnmtl.cohort.declaration import Declaration
from nnmtl.cohort.splits import split_patients
from nnmtl.cohort.targets import TargetTable, parse_targets, write_targets
from nnmtl.dataset_conversion._dataset_writer import (
    labels_with_ignore,
    new_dataset_folder,
    write_dataset_json,
    write_images,
    written_aside,
)
from nnmtl.dataset_conversion._geometry_columns import read_geometry
from nnmtl.dataset_conversion._mapping import TableMapping, read_mapping
from nnmtl.dataset_conversion._source_images import (
    SourceCase,
    SourceImages,
    check_grids,
    find_images,
)
from nnmtl.dataset_conversion._source_table import (
    missing_channels,
    read_source_table,
    translate_row,
)
from nnmtl.dataset_conversion._unread_cells import (
    UNREAD_CSV,
    UnreadCell,
    find_unread,
    log_unread,
    write_unread,
)
from nnmtl.errors import NnmtlError

_logger = logging.getLogger(__name__)

_MOST_SHOWN = 5
_LARGEST_DENOMINATOR = 100  # a holdout of whole percents


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this converter needs beside the common arguments."""
    parser.add_argument(
        "--table", type=Path, required=True, help=".csv, .tsv or .xlsx, a row per case"
    )
    parser.add_argument(
        "--mapping",
        type=Path,
        required=True,
        help="JSON file that says what the columns mean, or the name of a shipped one (tcga_lgg)",
    )
    add_image_arguments(parser)


def add_image_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what every converter of a table with images takes."""
    parser.add_argument("--copy", action="store_true", help="copy images instead of linking them")
    parser.add_argument(
        "--targets-only",
        action="store_true",
        help="no images: dataset.json, targets.csv and, if the table tells it, geometry.csv",
    )
    parser.add_argument(
        "--skip-absent", action="store_true", help="leave out rows of cases that have no image"
    )


def convert(arguments: argparse.Namespace, raw_folder: Path) -> Path:
    """Checks everything, then writes the dataset unless it is a dry run.

    Returns:
        The dataset's folder, written or to be written.

    Raises:
        NnmtlError: for the first thing in table, mapping or images that is not as it should be.
    """
    source = Path(arguments.source) if arguments.source else Path()
    name = arguments.name or source.resolve().name
    folder = new_dataset_folder(raw_folder, arguments.dataset_id, name)
    if not (arguments.source or arguments.targets_only):
        raise NnmtlError("SOURCE: expected the folder of images, or --targets-only; name it.")
    mapping = read_mapping(arguments.mapping)
    rows = read_source_table(arguments.table, mapping.source_columns)
    return convert_rows(rows, mapping, arguments, source=source, folder=folder)


def convert_rows(
    rows: Sequence[CsvRow],
    mapping: TableMapping,
    arguments: argparse.Namespace,
    *,
    source: Path,
    folder: Path,
    found: SourceImages | None = None,
) -> Path:
    """Checks everything, then writes the dataset unless it is a dry run.

    Args:
        rows: of the source table.
        mapping: of its columns.
        arguments: those of `add_image_arguments`, and `dry_run`.
        source: the folder of images.
        folder: of the dataset.
        found: the images of the rows; None to find them by the mapping's patterns.

    Returns:
        The dataset's folder, written or to be written.

    Raises:
        NnmtlError: for the first thing in table or images that is not as it should be.
    """
    plan = _plan(rows, mapping)
    if arguments.targets_only and mapping.geometry:
        rows_by_case = {row[mapping.case_id]: row for row in rows}
        geometry = read_geometry(
            plan.table, rows_by_case, mapping.geometry, not_observed=mapping.not_observed
        )
        plan = replace(plan, geometry=geometry)
    if not arguments.targets_only:
        if found is None:
            flagged = {row[mapping.case_id]: missing_channels(row, mapping) for row in rows}
            found = find_images(source, mapping, flagged)
        plan = _with_images(plan, found, mapping, skip_absent=arguments.skip_absent)
    _log(plan)
    if not arguments.dry_run:
        with written_aside(folder) as aside:
            _write(plan, aside, mapping, with_copies=arguments.copy)
    return folder


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """All that will be written, checked."""

    table: TargetTable
    declaration: Declaration
    unread: Sequence[UnreadCell] = ()
    geometry: Mapping[str, Sequence[str]] | None = None
    cases: Sequence[SourceCase] = ()
    test_case_ids: Collection[str] = ()
    ending: str = ".nii.gz"


def _plan(rows: Sequence[CsvRow], mapping: TableMapping) -> _Plan:
    declaration = Declaration(
        tumor_labels=mapping.tumor_labels,
        biomarkers=mapping.biomarkers,
        covariates=mapping.covariates,
        missing_channels={
            row[mapping.case_id]: tuple(sorted(channels))
            for row in rows
            if (channels := missing_channels(row, mapping))
        },
    )
    path = rows[0].path if rows else Path("the table")
    translated = [translate_row(row, mapping) for row in rows]
    return _Plan(
        table=parse_targets(path, translated, declaration),
        declaration=declaration,
        unread=find_unread(rows, mapping),
    )


def _with_images(
    plan: _Plan, found: SourceImages, mapping: TableMapping, *, skip_absent: bool
) -> _Plan:
    _check_found(found, skip_absent=skip_absent)
    check_grids(found.cases)
    table = plan.table.select(case.case_id for case in found.cases)
    missing = {case.case_id: case.missing_channels for case in found.cases if case.missing_channels}
    return replace(
        plan,
        table=table,
        unread=[cell for cell in plan.unread if cell.case_id in set(table.case_ids)],
        declaration=replace(plan.declaration, missing_channels=missing),
        cases=found.cases,
        test_case_ids=_test_case_ids(table, mapping),
        ending=found.ending,
    )


def _check_found(found: SourceImages, *, skip_absent: bool) -> None:
    if found.without_image and not skip_absent:
        raise NnmtlError(
            f"{len(found.without_image)} cases of the table have no image "
            f"({_shown(found.without_image)}); add the images, or leave these rows out with "
            "--skip-absent."
        )
    if found.without_image:
        _logger.warning(
            "left out %d rows without image: %s",
            len(found.without_image),
            _shown(found.without_image),
        )
    if found.without_row:
        _logger.warning(
            "left out %d cases that the table does not name: %s",
            len(found.without_row),
            _shown(found.without_row),
        )


def _test_case_ids(table: TargetTable, mapping: TableMapping) -> tuple[str, ...]:
    if mapping.holdout is None:
        return ()
    share = Fraction(mapping.holdout.fraction).limit_denominator(_LARGEST_DENOMINATOR)
    shares = (share.denominator - share.numerator, share.numerator)
    if 0 in shares:
        raise NnmtlError(
            f"holdout: expected a fraction of whole percents, got {mapping.holdout.fraction}."
        )
    _, test = split_patients(table, shares, seed=mapping.holdout.seed)
    return test


def _write(plan: _Plan, folder: Path, mapping: TableMapping, *, with_copies: bool) -> None:
    is_unmasked = any(
        case.mask is None for case in plan.cases if case.case_id not in plan.test_case_ids
    )
    labels = labels_with_ignore(mapping.labels) if is_unmasked else dict(mapping.labels)
    ignore_label = labels.get("ignore")
    write_images(
        folder,
        plan.cases,
        test_case_ids=plan.test_case_ids,
        ending=plan.ending,
        mask_values=mapping.mask_values,
        ignore_label=ignore_label if isinstance(ignore_label, int) else None,
        with_copies=with_copies,
    )
    write_targets(plan.table, folder / "targets.csv")
    if plan.unread:
        write_unread(folder / UNREAD_CSV, plan.unread)
    if plan.geometry is not None:
        write_csv(folder / "geometry.csv", plan.geometry)
    write_dataset_json(
        folder,
        plan.declaration,
        channel_names=mapping.channel_names,
        labels=labels,
        num_training=len(plan.cases) - len(plan.test_case_ids),
        file_ending=plan.ending,
        about=mapping.about,
    )


def _log(plan: _Plan) -> None:
    _logger.info(
        "%d rows, %d patients; cases per center: %s",
        len(plan.table.case_ids),
        len(set(plan.table.patient_ids)),
        ", ".join(f"{name} {count}" for name, count in sorted(Counter(plan.table.centers).items())),
    )
    for name, target in plan.table.targets.items():
        _logger.info("%s: %d observed", name, int(target.observed.sum()))
    log_unread(plan.unread)
    if plan.cases:
        _logger.info(
            "%d cases with images, %d of them for testing, %d without mask, %d with missing "
            "channels",
            len(plan.cases),
            len(plan.test_case_ids),
            sum(case.mask is None for case in plan.cases),
            sum(bool(case.missing_channels) for case in plan.cases),
        )


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_SHOWN]) + (", ..." if len(names) > _MOST_SHOWN else "")
