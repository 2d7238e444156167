"""UPENN-GBM: MRI before surgery of 611 glioblastomas with IDH1, MGMT and survival.

From https://doi.org/10.7937/TCIA.709X-DN49 (Bakas et al., Sci Data 2022;9:453). SOURCE is a folder
with

    UPENN-GBM_clinical_info_v2.1.csv     --targets-only needs nothing else
    NIfTI-files/images_structural/UPENN-GBM-00001_11/UPENN-GBM-00001_11_T1.nii.gz
                                         and _T1GD, _T2, _FLAIR; without skull
    NIfTI-files/images_segm/UPENN-GBM-00001_11_segm.nii.gz
                                         necrosis 1, edema 2, enhancing 4; corrected by experts: 147
    NIfTI-files/automated_segm/UPENN-GBM-00001_11_automated_approx_segm.nii.gz
                                         the same by a model: 611

The columns are those of `mappings/upenn_gbm.json`. A case takes the corrected mask where there is
one, else the automated; --corrected-masks leaves the others without. Rows that end in _21, which
are follow-up examinations, are left out: they have no mask, and their survival starts elsewhere.

Neither table nor images were at hand: names of files, columns and values, and the numbers of masks,
are those of public descriptions.
"""

import argparse
import logging
import re
from dataclasses import replace
from pathlib import Path

from nnmtl.cohort.csv_file import CsvRow
from nnmtl.dataset_conversion._public_set import find_public_set
from nnmtl.dataset_conversion._source_table import read_source_table
from nnmtl.dataset_conversion.table import add_image_arguments, convert_rows

_logger = logging.getLogger(__name__)

_TABLES = ("UPENN-GBM_clinical_info_v2.1.csv",)
_SCAN = re.compile(r"(UPENN-GBM-[0-9]{5})_(11|21)")
_BEFORE_SURGERY = "11"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this converter needs beside the common arguments."""
    parser.add_argument(
        "--corrected-masks", action="store_true", help="no automated masks, only corrected ones"
    )
    add_image_arguments(parser)


def convert(arguments: argparse.Namespace, raw_folder: Path) -> Path:
    """Converts the table and, unless only targets are wanted, the images.

    Returns:
        The dataset's folder, written or to be written.

    Raises:
        NnmtlError: for the first thing in table or images that is not as it should be.
    """
    found = find_public_set(
        arguments,
        raw_folder,
        name="UPENNGBM",
        mapping="upenn_gbm",
        tables=_TABLES,
        images="images_structural",
    )
    mapping = found.mapping
    if arguments.corrected_masks and mapping.mask:
        mapping = replace(mapping, mask=mapping.mask[:1])
    columns = [name for name in mapping.source_columns if name != "patient"]
    rows = _before_surgery(read_source_table(found.table, columns))
    return convert_rows(rows, mapping, arguments, source=found.source, folder=found.folder)


def _before_surgery(rows: list[CsvRow]) -> list[CsvRow]:
    kept = []
    for row in rows:
        match = _SCAN.fullmatch(row["ID"])
        if match is None:
            raise row.error("ID", "a scan such as UPENN-GBM-00001_11")
        if match[2] == _BEFORE_SURGERY:
            kept.append(replace(row, cells={**row.cells, "patient": match[1]}))
    if len(kept) < len(rows):
        _logger.info("left out %d follow-up examinations", len(rows) - len(kept))
    return kept
