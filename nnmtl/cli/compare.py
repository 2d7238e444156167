"""nnMTL_compare: models side by side on the same patients."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nnmtl.cli.arguments import (
    add_dataset,
    add_device,
    check_device,
    check_output,
    fold,
    seed,
    use_every_core,
)
from nnmtl.cli.command import run

if TYPE_CHECKING:
    from nnmtl.experiments.compare import Named


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnMTL_compare",
        description="Trains presets over folds and seeds as far as that is not done, predicts "
        "held-out cases, and compares all with the first one named: each metric with its interval, "
        "and the paired difference with its interval. Run again, it goes on where it stopped.",
    )
    add_dataset(parser)
    parser.add_argument("-o", dest="output", type=Path, required=True, help="output folder")
    parser.add_argument(
        "--presets",
        dest="entries",
        action="extend",
        nargs="+",
        type=_preset,
        default=[],
        metavar="P",
        help="to plan, train and compare",
    )
    parser.add_argument(
        "--baselines",
        dest="entries",
        action="extend",
        nargs="+",
        type=_baseline,
        metavar="B",
        help="classical models in the first preset's folds and masks, such as region_logistic, "
        "radiomics_svm, clinical_logistic, volume_logistic, region_logistic_true_masks, "
        "region_logistic_shuffled",
    )
    parser.add_argument(
        "--predictions",
        dest="entries",
        action="extend",
        nargs="+",
        type=_predictions,
        metavar="NAME=FOLDER",
        help="existing predictions to compare; the same name again is another seed or fold",
    )
    parser.add_argument(
        "--folds", type=fold, nargs="+", default=[0], metavar="F", help="to train (default 0)"
    )
    parser.add_argument(
        "--seeds", type=seed, nargs="+", default=[0], metavar="S", help="of each fold (default 0)"
    )
    parser.add_argument(
        "--split",
        choices=["Ts", "Tr"],
        default="Ts",
        help="compare on the test cases (Ts, default) or on the folds' validation cases (Tr)",
    )
    add_device(parser)
    parser.add_argument(
        "--list-jobs", action="store_true", help="print a command per training, and do nothing"
    )
    parser.add_argument("--only", metavar="JOB", help="run this job, without the table")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the jobs and prints the table, or what was asked for instead."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if not arguments.entries:
        parser.error("expected --presets or --predictions, got neither; name what to compare")
    check_output(arguments.output)
    use_every_core()
    # Not at the top: --help must answer at once.
    from nnmtl.cli.train import draw_curves
    from nnmtl.experiments.compare import CompareSettings, compare_predictions, list_jobs
    from nnmtl.experiments.compare_jobs import find_job, is_finished, run_jobs
    from nnmtl.nnunet.folders import dataset_name
    from nnmtl.report.comparison_table import MARKDOWN_NAME, to_text, write_comparison

    settings = CompareSettings(
        dataset=dataset_name(arguments.dataset),
        output=arguments.output.resolve(),
        named=_gather(arguments.entries),
        folds=tuple(dict.fromkeys(arguments.folds)),
        seeds=tuple(dict.fromkeys(arguments.seeds)),
        split=arguments.split,
        device=arguments.device,
    )
    jobs = list_jobs(settings)
    if arguments.list_jobs:
        print(*(job.command for job in jobs), sep="\n")
        return 0
    chosen = [find_job(jobs, arguments.only)] if arguments.only else jobs
    if not all(is_finished(job) for job in chosen):
        check_device(arguments.device)
    run_jobs(chosen, after_epoch=draw_curves)
    if arguments.only:
        print(chosen[0].predictions)
        return 0
    comparison = compare_predictions(settings, jobs)
    settings.output.mkdir(parents=True, exist_ok=True)
    write_comparison(comparison, settings.output)
    print(to_text(comparison))
    print(settings.output / MARKDOWN_NAME)
    return 0


def entry() -> None:
    """The installed command."""
    run(main)


_Entry = tuple[str, str, Path | None]


def _preset(text: str) -> _Entry:
    return "preset", text, None


def _baseline(text: str) -> _Entry:
    return "baseline", text, None


def _predictions(text: str) -> _Entry:
    name, _, folder = text.partition("=")
    if not name or not folder:
        raise argparse.ArgumentTypeError(f"expected NAME=FOLDER, got {text!r}")
    return "predictions", name, Path(folder)


def _gather(entries: Sequence[_Entry]) -> "tuple[Named, ...]":
    """In the order of the first mention; folders of one name belong together."""
    from nnmtl.experiments.compare import Named

    folders: dict[tuple[str, str], list[Path]] = {}
    for kind, name, folder in entries:
        folders.setdefault((kind, name), []).extend([folder] if folder else [])
    return tuple(
        Named(name=name, folders=tuple(found), is_baseline=kind == "baseline")
        for (kind, name), found in folders.items()
    )
