"""nnMTL_leave_one_center_out: how a model does at a center that it has not seen."""

import argparse
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from nnmtl.cli.arguments import (
    add_dataset,
    add_device,
    add_preset,
    add_spacing_policy,
    check_device,
    check_output,
    preset_name,
    seed,
    use_every_core,
)
from nnmtl.cli.command import run


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnMTL_leave_one_center_out",
        description="For each center: trains on all others, configures the model for it as "
        "nnMTL_plan_center does, and judges it there; and asks what the heads see for the center. "
        "Run again, it goes on where it stopped.",
    )
    add_dataset(parser)
    parser.add_argument("-o", dest="output", type=Path, required=True, help="output folder")
    add_preset(parser)
    add_spacing_policy(parser)
    parser.add_argument(
        "--centers", nargs="+", metavar="NAME", help="to leave out, one by one (default: each)"
    )
    parser.add_argument("--seed", type=seed, default=0, metavar="S", help="of each training")
    parser.add_argument(
        "--pooled",
        type=Path,
        metavar="MODEL",
        help="folder of a model trained on all centers, to stand beside: its validation cases",
    )
    add_device(parser)
    parser.add_argument(
        "--list-jobs", action="store_true", help="print a command per center, and do nothing"
    )
    parser.add_argument("--only", metavar="CENTER", help="run this center, without the table")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the centers and prints the table, or what was asked for instead."""
    arguments = build_parser().parse_args(argv)
    check_output(arguments.output)
    from nnmtl.nnunet.folders import dataset_name, raw_folder

    source = raw_folder(dataset_name(arguments.dataset)).resolve()
    output = arguments.output.resolve()
    # The datasets without a center, their plans and models are kept apart from the user's own.
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ[variable] = str(output / variable)
    use_every_core()
    # Not at the top: --help must answer at once.
    from nnmtl.cli.train import draw_curves
    from nnmtl.experiments.leave_one_center_out import (
        LeaveOutSettings,
        is_done,
        judge_centers,
        list_center_jobs,
        run_centers,
    )
    from nnmtl.report.left_out_table import STEM, to_text, write_left_out

    settings = LeaveOutSettings(
        source=source,
        output=output,
        preset=preset_name(arguments),
        centers=_centers(arguments),
        seed=arguments.seed,
        device=arguments.device,
        pooled=None if arguments.pooled is None else arguments.pooled.resolve(),
    )
    jobs = list_center_jobs(settings)
    if arguments.list_jobs:
        print(*(_command(arguments, job.left_out.center) for job in jobs), sep="\n")
        return 0
    if not all(is_done(job) for job in jobs):
        check_device(arguments.device)
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (output / variable).mkdir(parents=True, exist_ok=True)
    run_centers(jobs, source, after_epoch=draw_curves)
    if arguments.only:
        print(jobs[0].job.predictions)
        return 0
    found = judge_centers(settings, jobs)
    write_left_out(found, output)
    print(to_text(found))
    print(output / f"{STEM}.md")
    return 0


def _centers(arguments: argparse.Namespace) -> tuple[str, ...] | None:
    if arguments.only:
        return (arguments.only,)
    return None if arguments.centers is None else tuple(dict.fromkeys(arguments.centers))


def _command(arguments: argparse.Namespace, center: str) -> str:
    words = [
        "nnMTL_leave_one_center_out", "-d", arguments.dataset, "-o", str(arguments.output),
        "--preset", preset_name(arguments), "--seed", str(arguments.seed),
        "-device", arguments.device, "--only", center,
    ]  # fmt: skip
    return shlex.join(words)


def entry() -> None:
    """The installed command."""
    run(main)
