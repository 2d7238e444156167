"""nnMTL_plan_and_preprocess: fingerprint, plan and arrays in one go."""

import argparse
from collections.abc import Sequence

from nnmtl.cli.arguments import (
    add_budget,
    add_dataset,
    add_preset,
    add_processes,
    add_spacing_policy,
    preset_name,
)
from nnmtl.cli.command import run


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnMTL_plan_and_preprocess",
        description="Checks a dataset, extracts its fingerprint, plans and preprocesses it.",
    )
    add_dataset(parser)
    add_preset(parser)
    add_spacing_policy(parser)
    add_budget(parser)
    parser.add_argument("-c", dest="configuration", default="3d_fullres", help="or 2d")
    add_processes(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the three stages, after the checks that would stop a training."""
    arguments = build_parser().parse_args(argv)
    from nnmtl.nnunet.folders import dataset_name, preprocessed_folder, raw_folder
    from nnmtl.nnunet.workers import start_importing
    from nnmtl.planning.budget import Budget

    budget = Budget(device=arguments.device, memory_gb=arguments.memory_gb)
    name = dataset_name(arguments.dataset)
    folder = preprocessed_folder(name)
    start_importing(raw_folder(name), arguments.num_processes)
    from nnmtl.cohort.raw_dataset import check_raw_dataset
    from nnmtl.errors import NnmtlError
    from nnmtl.nnunet.fingerprint import extract_fingerprint
    from nnmtl.nnunet.planner import plan_experiment, read_preset
    from nnmtl.nnunet.preprocess import preprocess

    findings = check_raw_dataset(raw_folder(name))
    for finding in findings:
        print(f"{finding.level}: {finding.message}")
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        raise NnmtlError(
            f"{name}: {len(errors)} errors, listed above. Correct them, then run this again."
        )
    read_preset(name, preset_name=arguments.preset)  # refused now, not after the fingerprint
    extract_fingerprint(name, num_processes=arguments.num_processes)
    plans = plan_experiment(name, preset_name=preset_name(arguments), budget=budget)
    preprocess(name, plans, arguments.configuration, num_processes=arguments.num_processes)
    print(
        f"{folder / plans}.json\nnext: nnMTL_train {arguments.dataset} "
        f"{arguments.configuration} 0 -p {plans}"
    )
    return 0


def entry() -> None:
    """The installed command."""
    run(main)
