"""nnMTL_plan_experiment: decisions from the facts."""

import argparse
from collections.abc import Sequence

from nnmtl.cli.arguments import add_dataset, add_preset
from nnmtl.cli.command import run


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnMTL_plan_experiment",
        description="Writes the plans: nnU-Net's, plus regions, region of interest, heads, losses "
        "and schedule; and patient-grouped splits, unless there are some.",
    )
    add_dataset(parser)
    add_preset(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Plans."""
    arguments = build_parser().parse_args(argv)
    from nnmtl.nnunet.folders import dataset_name, preprocessed_folder
    from nnmtl.nnunet.planner import plan_experiment

    name = dataset_name(arguments.dataset)
    plans = plan_experiment(name, preset_name=arguments.preset)
    print(preprocessed_folder(name) / f"{plans}.json")
    return 0


def entry() -> None:
    """The installed command."""
    run(main)
