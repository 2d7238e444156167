"""I-SPY2 as BreastDCEDL: 982 breast DCE-MRI with tumor masks, HR, HER2 and pCR.

From https://doi.org/10.5281/zenodo.15627233 (Fridman et al., arXiv 2506.12190), with the table of
https://github.com/naomifridman/BreastDCEDL. SOURCE is a folder with

    metadata_spy2_vis1_for_modeling.csv      --targets-only needs nothing else
    dce/ISPY2-100899_spy2_vis1_dce_aqc_0.nii.gz      before contrast; 1 and so on after it
    mask/ISPY2-100899_spy2_vis1_mask.nii.gz          tumor, 1; also masks/

or with dce and mask in a folder per patient. The columns are those of `mappings/ispy2.json`. ER
and PR are not declared: HR tells them only where both are negative, and a biomarker of one class
cannot be learned. MAMA-MIA, which has 980 of these patients, has positive ones from elsewhere.
Channels are the phase before contrast and the first after it.

The published files tell no grid: spacing 1 mm along axes that are slice, row and column. Such files
are written anew with the axes in the usual order and the spacing of the table, which tells neither
origin nor orientation. Files that tell a grid are kept.

Checked on the whole table: receptors and pCR agree with MAMA-MIA's in all 980. Of the images two
masks were at hand; names of the others are those of public descriptions.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nnmtl.cohort.cell import parse_number
from nnmtl.cohort.csv_file import CsvRow
from nnmtl.cohort.image_file import ImageHeader, read_header
from nnmtl.dataset_conversion._mapping import TableMapping
from nnmtl.dataset_conversion._public_set import find_public_set
from nnmtl.dataset_conversion._source_images import (
    SourceCase,
    SourceImages,
    find_images,
    folder_that_holds,
)
from nnmtl.dataset_conversion._source_table import read_source_table
from nnmtl.dataset_conversion.table import add_image_arguments, convert_rows
from nnmtl.errors import NnmtlError

_TABLES = ("metadata_spy2_vis1_for_modeling.csv",)
# A NIfTI whose matrix is the identity; SimpleITK turns its x and y, which point elsewhere in NIfTI.
_UNTOLD = ImageHeader(
    size=(), spacing_mm=(1, 1, 1), origin_mm=(0, 0, 0), direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1)
)


add_arguments = add_image_arguments


def convert(arguments: argparse.Namespace, raw_folder: Path) -> Path:
    """Converts the table and, unless only targets are wanted, the images.

    Returns:
        The dataset's folder, written or to be written.

    Raises:
        NnmtlError: for the first thing in table or images that is not as it should be.
    """
    ispy2 = find_public_set(arguments, raw_folder, name="ISPY2", mapping="ispy2", tables=_TABLES)
    source, mapping = ispy2.source, ispy2.mapping
    rows = read_source_table(ispy2.table, mapping.source_columns)
    found = None if arguments.targets_only else _find_images(source, rows, mapping)
    return convert_rows(rows, mapping, arguments, source=source, folder=ispy2.folder, found=found)


def _find_images(source: Path, rows: Sequence[CsvRow], mapping: TableMapping) -> SourceImages:
    by_case = {row["pid"]: row for row in rows}
    folder = folder_that_holds(source, "dce")
    prefix = ""
    if folder.name in by_case:
        folder, prefix = folder.parent, "{case}/"
    images = tuple(f"{prefix}dce/{name}" for name in mapping.images or ())
    masks = tuple(
        f"{prefix}{place}/{name}" for name in mapping.mask or () for place in ("mask", "masks")
    )
    mapping = replace(mapping, images=images, mask=masks)
    found = find_images(folder, mapping, dict.fromkeys(by_case, ()))
    return replace(found, cases=tuple(_with_grid(case, by_case) for case in found.cases))


def _with_grid(case: SourceCase, rows: Mapping[str, CsvRow]) -> SourceCase:
    path, row = case.present[0], rows[case.case_id]
    header = read_header(path)
    if replace(header, size=()) != _UNTOLD:
        return case
    size = tuple(parse_number(row, name) for name in ("n_z", "n_xy", "n_xy"))
    spacing_mm = [parse_number(row, name) for name in ("slice_space", "xy_spacing", "xy_spacing")]
    if header.size != size:
        raise NnmtlError(
            f"{path}: expected n_z slices of n_xy rows and columns, {_shown(size)}, as its row in "
            f"the table says, got {_shown(header.size)}; remove the case or correct the row."
        )
    across, down, along = (value or 0.0 for value in spacing_mm)
    if not min(across, down, along) > 0:
        raise NnmtlError(
            f"{row.path}: row {row.number}: expected slice_space and xy_spacing in mm, since the "
            f"images of {case.case_id} tell no spacing; fill them in or remove the row."
        )
    return replace(case, slices_first_mm=(across, down, along))


def _shown(numbers: Sequence[float | None]) -> str:
    return " x ".join("?" if number is None else f"{number:g}" for number in numbers)
