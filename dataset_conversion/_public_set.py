"""Where the table and the images of a published set are, what they mean and where they go."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnmtl.dataset_conversion._dataset_writer import new_dataset_folder
from nnmtl.dataset_conversion._mapping import TableMapping, read_mapping
from nnmtl.dataset_conversion._source_images import folder_that_holds
from nnmtl.dataset_conversion._source_table import find_source_table


@dataclass(frozen=True, kw_only=True)
class PublicSet:
    """A set as somebody downloaded it, not yet read.

    Attributes:
        table: the clinical one.
        source: the folder that the mapping's patterns start from.
        mapping: shipped, of table and images.
        folder: of the dataset, not yet made.
    """

    table: Path
    source: Path
    mapping: TableMapping
    folder: Path


def find_public_set(
    arguments: argparse.Namespace,
    raw_folder: Path,
    *,
    name: str,
    mapping: str,
    tables: Sequence[str],
    images: str | None = None,
) -> PublicSet:
    """The set in SOURCE, which is its table or the folder that has it.

    Args:
        arguments: as every converter of a table gets them.
        raw_folder: nnU-Net's.
        name: of the dataset, where the arguments have none.
        mapping: name of the shipped one.
        tables: names of the table, of which the first that is there is taken.
        images: a name or pattern of what the folder of images holds; None if it is the table's.

    Raises:
        NnmtlError: if the dataset cannot be made, or table or images are not there.
    """
    folder = new_dataset_folder(raw_folder, arguments.dataset_id, arguments.name or name)
    table = find_source_table(arguments.source, tables)
    source = table.parent
    if images is not None and not arguments.targets_only:
        source = folder_that_holds(source, images)
    return PublicSet(table=table, source=source, mapping=read_mapping(Path(mapping)), folder=folder)
