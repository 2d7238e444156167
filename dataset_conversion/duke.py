"""Duke-Breast-Cancer-MRI: receptors and acquisition of 922 breast cancers; targets only.

From https://doi.org/10.7937/TCIA.e3sv-re93 (Saha et al., Br J Cancer 2018;119:508). SOURCE is the
clinical table or a folder that has it:

    Clinical_and_Other_Features.xlsx    a line of groups, the line of names, a line of codes
    clinical.csv                        the same with the line of names only

The columns are those of `mappings/duke.json`; a borderline HER2 is not observed, and age is that
at diagnosis. The spacing within slices is the field of view by the number of rows. The spacing
across slices stays empty, because `Slice Thickness` is not to be trusted: where it says 2 mm,
MAMA-MIA says 1 mm of the same patients. The table does not tell the number of slices.

Checked on 617 rows of a .csv; the spacing within slices against the 206 of these patients whom
MAMA-MIA has, too. The .xlsx and the images, which are DICOM, were not at hand.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nnmtl.cohort.cell import format_number
from nnmtl.cohort.csv_file import CsvRow
from nnmtl.dataset_conversion._geometry_columns import GeometryColumns, GridColumn
from nnmtl.dataset_conversion._public_set import find_public_set
from nnmtl.dataset_conversion._source_table import read_source_table
from nnmtl.dataset_conversion.table import convert_rows
from nnmtl.errors import NnmtlError

_TABLES = ("Clinical_and_Other_Features.xlsx", "Clinical_and_Other_Features.csv", "clinical.csv")
_PREFIX = "Breast_MRI_"
_FIELD_OF_VIEW = "FOV Computed (Field of View) in cm"
# The published codes 0, 1, 2 and so on. In spite of the column's name they stand for mm.
_FIELD_OF_VIEW_MM = (
    *(250, 260, 270, 280, 290, 300, 303, 305, 310, 320, 330, 340, 345, 346, 350, 360, 365, 370),
    *(375, 380, 390, 400, 410, 420, 430, 440, 480),
)
_PIXELS = (320, 448, 512)
_IN_PLANE = GridColumn(name="in-plane spacing in mm")
_GEOMETRY = GeometryColumns(
    spacing_mm={"y": _IN_PLANE, "x": _IN_PLANE},
    shape={"y": GridColumn(name="Rows"), "x": GridColumn(name="Columns")},
    view=None,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this converter needs beside the common arguments."""
    parser.add_argument(
        "--targets-only",
        action="store_true",
        help="required: no images; dataset.json, targets.csv and geometry.csv",
    )
    parser.set_defaults(copy=False)


def convert(arguments: argparse.Namespace, raw_folder: Path) -> Path:
    """Converts the table.

    Returns:
        The dataset's folder, written or to be written.

    Raises:
        NnmtlError: for the first thing in the table that is not as it should be.
    """
    if not arguments.targets_only:
        raise NnmtlError(
            "--targets-only: expected this option, since the images of this collection are DICOM; "
            "give it, and convert the images with nnMTL_convert dicom."
        )
    found = find_public_set(arguments, raw_folder, name="Duke", mapping="duke", tables=_TABLES)
    columns = (*found.mapping.source_columns, _FIELD_OF_VIEW, "Rows", "Columns")
    rows = _cases(read_source_table(found.table, columns, header_with=found.mapping.case_id))
    mapping = replace(found.mapping, geometry=_GEOMETRY)
    return convert_rows(rows, mapping, arguments, source=found.source, folder=found.folder)


def _cases(rows: Sequence[CsvRow]) -> list[CsvRow]:
    """The rows of patients, without the line of codes, with their grid in mm and pixels."""
    return [
        replace(row, cells={**row.cells, **_grid(row)})
        for row in rows
        if row["Patient ID"].startswith(_PREFIX)
    ]


def _grid(row: CsvRow) -> dict[str, str]:
    num_rows = _decoded(row, "Rows", _PIXELS)
    num_columns = _decoded(row, "Columns", _PIXELS)
    field_of_view_mm = _decoded(row, _FIELD_OF_VIEW, _FIELD_OF_VIEW_MM)
    spacing_mm = field_of_view_mm / num_rows if field_of_view_mm and num_rows else None
    return {
        _IN_PLANE.name: "" if spacing_mm is None else format_number(spacing_mm),
        "Rows": "" if num_rows is None else str(num_rows),
        "Columns": "" if num_columns is None else str(num_columns),
    }


def _decoded(row: CsvRow, column: str, meanings: Sequence[int]) -> int | None:
    if not row[column]:
        return None
    if not row[column].isdecimal() or int(row[column]) >= len(meanings):
        raise row.error(column, f"a published code from 0 to {len(meanings) - 1}")
    return meanings[int(row[column])]
