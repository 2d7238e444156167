"""nnMTL_plan_center: a trained model configured for a center that it has not seen."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from nnmtl.cli.command import run


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnMTL_plan_center",
        description="Configures a trained model for a new center from its images, without labels "
        "or targets, and says how they differ from those of training. Writes "
        "MODEL/centers/<name>.json, which nnMTL_predict --center reads; nothing else changes.",
    )
    parser.add_argument("-m", dest="model", type=Path, required=True, help="model folder")
    parser.add_argument(
        "-i", dest="images", type=Path, required=True, help="folder of images of the center"
    )
    parser.add_argument("--center", required=True, metavar="NAME", help="the new center's name")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Plans the center and shows what differs."""
    arguments = build_parser().parse_args(argv)
    from nnmtl.nnunet.plan_center import plan_new_center

    path, text = plan_new_center(arguments.model, arguments.images, arguments.center)
    print(text)
    print(path)
    return 0


def entry() -> None:
    """The installed command."""
    run(main)
