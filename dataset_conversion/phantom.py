"""A synthetic DCE-MRI cohort with planted biomarkers; needs no SOURCE.

A result on it validates software, not biology.
"""

import argparse
from pathlib import Path

from nnmtl.dataset_conversion._dataset_writer import new_dataset_folder
from nnmtl.errors import NnmtlError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this converter needs beside the common arguments."""
    parser.add_argument("--preset", default="easy", help="kind of cohort (default: easy)")
    parser.add_argument(
        "--train", required=True, metavar="A=80,B=80", help="training cases per center"
    )
    parser.add_argument("--test", default="", metavar="A=40,C=40", help="test cases per center")
    parser.add_argument("--seed", type=int, default=0, help="of the training cases (default: 0)")
    parser.add_argument("--test-seed", type=int, help="of the test cases (default: another one)")
    parser.add_argument(
        "--biomarkers", default="ER,PR,HER2,Ki67", help="to declare (default: ER,PR,HER2,Ki67)"
    )
    parser.add_argument("--workers", type=int, default=1, help="number of processes (default: 1)")


def convert(arguments: argparse.Namespace, raw_folder: Path) -> Path:
    """Generates the cohort unless it is a dry run.

    Returns:
        The dataset's folder, written or to be written.

    Raises:
        NnmtlError: for an unknown preset, center or biomarker, or an id that is taken.
    """
    name = arguments.name or f"PHANTOM_{arguments.preset}"
    folder = new_dataset_folder(raw_folder, arguments.dataset_id, name)
    from nnmtl.phantom.presets import preset_named

    preset_named(arguments.preset)
    centers = _parse_counts(arguments.train, option="--train")
    test_centers = _parse_counts(arguments.test, option="--test")
    if not any(centers.values()):
        raise NnmtlError("--train: expected at least one case, got none; give a count, as in A=80.")
    if not arguments.dry_run:
        from nnmtl.phantom.cohort import write_cohort

        raw_folder.mkdir(parents=True, exist_ok=True)
        write_cohort(
            folder,
            preset=arguments.preset,
            centers=centers,
            seed=arguments.seed,
            test_centers=test_centers or None,
            test_seed=arguments.test_seed,
            biomarkers=tuple(arguments.biomarkers.split(",")),
            workers=arguments.workers,
        )
    return folder


def _parse_counts(text: str, *, option: str) -> dict[str, int]:
    from nnmtl.phantom.centers import center_named

    counts: dict[str, int] = {}
    for item in filter(None, text.split(",")):
        center, _, count = item.partition("=")
        if not count.isdecimal():
            raise NnmtlError(
                f"{option}: expected counts such as A=80,B=80, got {item!r}; correct it."
            )
        name = center_named(center.strip()).name
        if name in counts:
            raise NnmtlError(
                f"{option}: expected each center once, got {name!r} twice; give its sum once."
            )
        counts[name] = int(count)
    return counts
