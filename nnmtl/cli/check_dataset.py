"""nnMTL_check_dataset: tells what is wrong with a raw dataset, and draws its cases."""

import argparse
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nnmtl.cli.arguments import add_dataset, add_processes
from nnmtl.cli.command import run
from nnmtl.errors import NnmtlError

if TYPE_CHECKING:
    from nnmtl.cohort.raw_dataset import RawDataset

_PAGES = (".html", ".htm")


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnMTL_check_dataset",
        description="Checks a raw dataset: declaration, targets, images and label maps, also for "
        "cases unlike those of their center and for images that stand there twice. Prints errors, "
        "warnings and notes, then counts; exits with 1 if there is an error. Writes a page with a "
        "picture of every case, which is as private as the images.",
    )
    add_dataset(parser)
    parser.add_argument(
        "-o",
        dest="output",
        type=Path,
        metavar="PAGE.html",
        help="the page (default: check_dataset.html in the dataset's folder)",
    )
    add_processes(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Prints findings and counts, and says where the page is."""
    arguments = build_parser().parse_args(argv)
    # Not at the top: --help must answer at once.
    from nnmtl.cohort.raw_dataset import read_raw_dataset
    from nnmtl.experiments.check_dataset import examine_dataset
    from nnmtl.nnunet.folders import dataset_name, raw_folder
    from nnmtl.report.dataset_page import DATASET_PAGE_NAME, write_dataset_page

    folder = raw_folder(dataset_name(arguments.dataset))
    try:
        dataset = read_raw_dataset(folder)
    except NnmtlError as error:
        print(f"error: {error}")
        return 1
    page: Path = arguments.output or folder / DATASET_PAGE_NAME
    _check_place(page, folder)
    findings, cases = examine_dataset(dataset, num_processes=arguments.num_processes)
    write_dataset_page(dataset, findings, cases, page)
    for level in ("error", "warning", "note"):
        for finding in findings:
            if finding.level == level:
                print(f"{level}: {finding.message}")
    for line in _counts(dataset):
        print(line)
    print(page)
    return int(any(finding.level == "error" for finding in findings))


def entry() -> None:
    """The installed command."""
    run(main)


def _check_place(page: Path, folder: Path) -> None:
    """Refuses a page that could not or should not be written, before an hour of looking at images.

    Raises:
        NnmtlError: naming the option.
    """
    place = page.parent
    if not place.is_dir() or not os.access(place, os.W_OK) or page.is_dir():
        raise NnmtlError(
            f"{page}: expected a place for the page in a folder that exists and can be written; "
            "name another with -o PAGE.html."
        )
    if page.suffix.lower() not in _PAGES:
        raise NnmtlError(
            f"-o {page}: expected a name that ends in .html, since a page takes the place of what "
            "has its name; name another."
        )
    if place.resolve().parent == folder.resolve():
        raise NnmtlError(
            f"-o {page}: expected a place outside the folders of images and label maps; name "
            "another."
        )


def _counts(dataset: "RawDataset") -> Iterator[str]:
    """Lines with the number of cases per center, and of each biomarker's classes in them."""
    from nnmtl.cohort.validation import count_events

    table, train = dataset.table, dataset.train_images
    num_test = len(dataset.test_images)
    yield f"{dataset.folder.name}: cases for training {len(train)}, for testing {num_test}"
    known = table.select(set(train) & set(table.case_ids))
    for name in table.targets:
        yield f"  {name}: {_shown(count_events(known, name))}"
    for center, count in sorted(Counter(known.centers).items()):
        members = [
            case_id
            for case_id, of_case in zip(known.case_ids, known.centers, strict=True)
            if of_case == center
        ]
        of_center = known.select(members)
        yield f"  center {center}: {count}"
        for name in table.targets:
            yield f"    {name}: {_shown(count_events(of_center, name))}"


def _shown(events: Mapping[str, int]) -> str:
    return ", ".join(f"{event} {count}" for event, count in events.items())
