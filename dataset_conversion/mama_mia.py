"""MAMA-MIA: 1,506 breast DCE-MRI of Duke, I-SPY1, I-SPY2 and NACT, with tumor masks and receptors.

From https://doi.org/10.7303/syn60868042 (Garrucho et al., Sci Data 2025;12:453). SOURCE is the
folder downloaded from there:

    clinical_and_imaging_info.xlsx              or .csv; --targets-only needs nothing else
    images/DUKE_001/DUKE_001_0000.nii.gz        before contrast; 0001 and so on after it
    segmentations/expert/DUKE_001.nii.gz        tumor, 1

The columns are those of `mappings/mama_mia.json`. Channels are the phase before contrast and the
first after it. I-SPY2 tells the hormone receptors together: where they are negative, ER and PR
are; where they are positive, ER and PR are not observed.

Checked on the table in full. The names of images and masks follow public descriptions, and no
image of the set was at hand; the spacing across slices is the column slice_thickness, which agrees
with the DICOM of one examination (NACT).
"""

import argparse
from dataclasses import replace
from pathlib import Path

from nnmtl.dataset_conversion._public_set import find_public_set
from nnmtl.dataset_conversion._source_table import read_source_table
from nnmtl.dataset_conversion.table import add_image_arguments, convert_rows

_TABLES = ("clinical_and_imaging_info.xlsx", "clinical_and_imaging_info.csv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this converter needs beside the common arguments."""
    parser.add_argument(
        "--center",
        choices=("dataset", "site"),
        default="dataset",
        help="column of the center: 4 collections or 26 sites (default: dataset)",
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
        arguments, raw_folder, name="MAMAMIA", mapping="mama_mia", tables=_TABLES
    )
    mapping = replace(found.mapping, center=arguments.center)
    rows = read_source_table(found.table, mapping.source_columns)
    return convert_rows(rows, mapping, arguments, source=found.source, folder=found.folder)
