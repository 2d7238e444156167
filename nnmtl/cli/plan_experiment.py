"""nnMTL_plan_experiment: decisions from the facts."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from nnmtl.cli.arguments import add_budget, add_preset, add_spacing_policy, preset_name
from nnmtl.cli.command import run


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnMTL_plan_experiment",
        description="Writes the plans: nnU-Net's, plus regions, region of interest, heads, losses "
        "and schedule; and patient-grouped splits, unless there are some.",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("-d", dest="dataset", metavar="ID", help="dataset id or name in nnUNet_raw")
    source.add_argument(
        "--geometry",
        type=Path,
        metavar="TABLE.csv",
        help="explain the plan of images that are not here, from their spacings and shapes",
    )
    add_preset(parser)
    add_spacing_policy(parser)
    add_budget(parser)
    parser.add_argument(
        "--explain",
        action="store_true",
        help="print for each center what is planned, why, and what it would be otherwise, of a "
        "dataset that has been planned; and draw it over a case of each, beside the plans",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Plans, or explains."""
    arguments = build_parser().parse_args(argv)
    from nnmtl.planning.budget import Budget

    budget = Budget(device=arguments.device, memory_gb=arguments.memory_gb)
    asked = preset_name(arguments)
    if arguments.geometry is not None:
        from nnmtl.nnunet.explain import explain_table

        text = explain_table(arguments.geometry, preset_name=asked, budget=budget)
        print(text, end="")
        return 0
    from nnmtl.nnunet.folders import dataset_name

    name = dataset_name(arguments.dataset)
    if arguments.explain:
        from nnmtl.experiments.plan_picture import draw_planned
        from nnmtl.nnunet.explain import explain_dataset

        print(explain_dataset(name, preset_name=asked, budget=budget), end="")
        picture = draw_planned(name, preset_name=asked)
        if picture is not None:
            print(picture)
        return 0
    from nnmtl.nnunet.folders import preprocessed_folder
    from nnmtl.nnunet.planner import plan_experiment

    plans = plan_experiment(name, preset_name=asked, budget=budget)
    print(preprocessed_folder(name) / f"{plans}.json")
    return 0


def entry() -> None:
    """The installed command."""
    run(main)
