"""A synthetic DCE-MRI cohort with planted biomarkers; needs no SOURCE.

A result on it validates software, not biology.
"""

import argparse
from collections.abc import Iterator
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
    parser.add_argument(
        "--missing", default="", metavar="ER=0.3", help="share of training cases that lack a target"
    )
    parser.add_argument("--workers", type=int, default=1, help="number of processes (default: 1)")


def convert(arguments: argparse.Namespace, raw_folder: Path) -> Path:
    """Generates the cohort unless it is a dry run.

    Returns:
        The dataset's folder, written or to be written.

    Raises:
        NnmtlError: for an unknown preset, center or biomarker, a share outside 0 to 1, or an id
            that is taken.
    """
    name = arguments.name or f"PHANTOM_{arguments.preset}"
    folder = new_dataset_folder(raw_folder, arguments.dataset_id, name)
    from nnmtl.phantom.presets import preset_named
    from nnmtl.phantom.tables import check_biomarkers

    preset_named(arguments.preset)
    centers = _parse_counts(arguments.train, option="--train")
    test_centers = _parse_counts(arguments.test, option="--test")
    if not any(centers.values()):
        raise NnmtlError("--train: expected at least one case, got none; give a count, as in A=80.")
    biomarkers = tuple(arguments.biomarkers.split(","))
    missing = _parse_shares(arguments.missing)
    check_biomarkers(biomarkers, missing)
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
            biomarkers=biomarkers,
            missing=missing,
            workers=arguments.workers,
        )
    return folder


def _parse_counts(text: str, *, option: str) -> dict[str, int]:
    from nnmtl.phantom.centers import center_named

    counts: dict[str, int] = {}
    for name, count in _pairs(text):
        if not count.isdecimal():
            raise NnmtlError(
                f"{option}: expected counts such as A=80,B=80, got '{name}={count}'; correct it."
            )
        center = center_named(name).name
        if center in counts:
            raise NnmtlError(
                f"{option}: expected each center once, got {center!r} twice; give its sum once."
            )
        counts[center] = int(count)
    return counts


def _parse_shares(text: str) -> dict[str, float]:
    shares: dict[str, float] = {}
    for name, share in _pairs(text):
        if name in shares:
            raise NnmtlError(f"--missing: expected each biomarker once, got {name!r} twice.")
        try:
            shares[name] = float(share)
        except ValueError:
            raise NnmtlError(
                "--missing: expected shares such as ER=0.3,PR=0.3, "
                f"got '{name}={share}'; correct it."
            ) from None
    return shares


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for item in filter(None, text.split(",")):
        name, _, value = item.partition("=")
        yield name.strip(), value
