"""UCSF-PDGM: 501 MRI of 495 diffuse gliomas with IDH, MGMT, 1p/19q, grade and survival.

From https://doi.org/10.7937/tcia.bdgf-8v37 (Calabrese et al., Radiol Artif Intell 2022;4:e220058).
SOURCE is a folder with

    UCSF-PDGM-metadata_v5.csv            or _v2.csv; --targets-only needs nothing else
    UCSF-PDGM-v5/UCSF-PDGM-0004_nifti/   UCSF-PDGM-0004_T1.nii.gz, _T1c, _T2, _FLAIR and
                                         _tumor_segmentation: necrosis 1, edema 2, enhancing 4

The columns are those of `mappings/ucsf_pdgm.json`. The table writes UCSF-PDGM-004 where folders
have UCSF-PDGM-0004. Six exams are second ones of patients who have another: tables before version
3 number them like patients, later ones write UCSF-PDGM-0433_FU007d. They stay cases of their own
and carry the patient's id.

Checked on the whole table of version 2: there the six agree with the first exam in all columns but
their own id and those of BraTS. No image was at hand, and no table of version 5; their names are
those of public descriptions.
"""

import argparse
import re
from dataclasses import replace
from pathlib import Path

from nnmtl.cohort.csv_file import CsvRow
from nnmtl.dataset_conversion._public_set import find_public_set
from nnmtl.dataset_conversion._source_table import read_source_table
from nnmtl.dataset_conversion.table import add_image_arguments, convert_rows

_TABLES = tuple(f"UCSF-PDGM-metadata_v{version}.csv" for version in (5, 4, 3, 2))
_EXAM = re.compile(r"UCSF-PDGM-0*([0-9]+)(_FU[0-9]+d)?")
# Since version 3 these numbers are, in this order, follow-up exams of the others.
_PATIENT_OF_SECOND_EXAM = {315: 433, 278: 431, 175: 396, 138: 429, 181: 409, 289: 391}


add_arguments = add_image_arguments


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
        name="UCSFPDGM",
        mapping="ucsf_pdgm",
        tables=_TABLES,
        images="UCSF-PDGM-*_nifti",
    )
    columns = [name for name in found.mapping.source_columns if name not in ("exam", "patient")]
    rows = [_with_ids(row) for row in read_source_table(found.table, ("ID", *columns))]
    return convert_rows(rows, found.mapping, arguments, source=found.source, folder=found.folder)


def _with_ids(row: CsvRow) -> CsvRow:
    match = _EXAM.fullmatch(row["ID"])
    if match is None:
        raise row.error("ID", "an exam such as UCSF-PDGM-004 or UCSF-PDGM-433_FU007d")
    number, follow_up = int(match[1]), match[2] or ""
    patient = _PATIENT_OF_SECOND_EXAM.get(number, number)
    ids = {
        "exam": f"UCSF-PDGM-{number:04d}{follow_up}",
        "patient": f"UCSF-PDGM-{patient:04d}",
    }
    return replace(row, cells={**row.cells, **ids})
