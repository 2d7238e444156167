"""nnMTL_extract_fingerprint: the facts of a dataset."""

import argparse
from collections.abc import Sequence

from nnmtl.cli.arguments import add_dataset, add_processes
from nnmtl.cli.command import run


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnMTL_extract_fingerprint",
        description="Reads every training case once: geometry, intensities, targets.",
    )
    add_dataset(parser)
    add_processes(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Extracts the fingerprint."""
    arguments = build_parser().parse_args(argv)
    from nnmtl.nnunet.fingerprint import extract_fingerprint
    from nnmtl.nnunet.folders import dataset_name, preprocessed_folder

    name = dataset_name(arguments.dataset)
    extract_fingerprint(name, num_processes=arguments.num_processes)
    print(preprocessed_folder(name) / "nnmtl_fingerprint.json")
    return 0


def entry() -> None:
    """The installed command."""
    run(main)
