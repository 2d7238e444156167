"""nnMTL_preprocess: arrays for training, as planned."""

import argparse
from collections.abc import Sequence

from nnmtl.cli.arguments import add_dataset, add_processes
from nnmtl.cli.command import run


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnMTL_preprocess",
        description="Resamples and normalizes every training case with nnU-Net's preprocessor.",
    )
    add_dataset(parser)
    parser.add_argument("-p", dest="plans", default="nnMTLPlans", help="name of the plans")
    parser.add_argument("-c", dest="configuration", default="3d_fullres", help="or 2d")
    add_processes(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Preprocesses."""
    arguments = build_parser().parse_args(argv)
    from nnmtl.nnunet.folders import dataset_name
    from nnmtl.nnunet.preprocess import preprocess

    preprocess(
        dataset_name(arguments.dataset),
        arguments.plans,
        arguments.configuration,
        num_processes=arguments.num_processes,
    )
    return 0


def entry() -> None:
    """The installed command."""
    run(main)
