"""nnMTL_check_dataset: tells what is wrong with a raw dataset, and counts what is in it."""

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from nnmtl.cli.command import run
from nnmtl.errors import NnmtlError

if TYPE_CHECKING:
    from nnmtl.cohort.raw_dataset import RawDataset


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnMTL_check_dataset",
        description="Checks a raw dataset: declaration, targets, images and label maps. Prints "
        "errors, warnings and notes, then counts; exits with 1 if there is an error.",
    )
    parser.add_argument(
        "-d", dest="dataset", required=True, metavar="ID", help="id or name of the dataset"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Prints findings and counts."""
    arguments = build_parser().parse_args(argv)
    # Not at the top: --help must answer at once.
    from nnmtl.cohort.raw_dataset import check_dataset, read_raw_dataset
    from nnmtl.nnunet.folders import dataset_name, raw_folder

    folder = raw_folder(dataset_name(arguments.dataset))
    try:
        dataset = read_raw_dataset(folder)
    except NnmtlError as error:
        print(f"error: {error}")
        return 1
    findings = check_dataset(dataset)
    for level in ("error", "warning", "note"):
        for finding in findings:
            if finding.level == level:
                print(f"{level}: {finding.message}")
    for line in _counts(dataset):
        print(line)
    return int(any(finding.level == "error" for finding in findings))


def entry() -> None:
    """The installed command."""
    run(main)


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
