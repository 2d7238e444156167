"""nnMTL_evaluate: judges predictions against a raw dataset."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from nnmtl.cli.arguments import add_dataset, check_output
from nnmtl.cli.command import run


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnMTL_evaluate",
        description="Judges predicted masks and biomarkers: metrics with intervals, overall and "
        "by center, as evaluation.json, evaluation.csv and evaluation.html.",
    )
    parser.add_argument(
        "-p", dest="predictions", type=Path, required=True, help="folder written by nnMTL_predict"
    )
    add_dataset(parser)
    parser.add_argument(
        "--split",
        choices=["Tr", "Ts"],
        help="of the predicted cases (default: the split that has them all)",
    )
    parser.add_argument(
        "-o", dest="output", type=Path, help="output folder (default: PREDICTIONS/evaluation)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluates and says where the page is."""
    arguments = build_parser().parse_args(argv)
    # Not at the top: --help must answer at once.
    from nnmtl.evaluation.files import write_evaluation
    from nnmtl.evaluation.raw_dataset import read_raw_dataset
    from nnmtl.experiments.evaluate_folder import evaluate_folder
    from nnmtl.nnunet.folders import dataset_name, raw_folder
    from nnmtl.report.page import PAGE_NAME, write_page
    from nnmtl.report.wording import summary_lines

    raw = read_raw_dataset(raw_folder(dataset_name(arguments.dataset)))
    if arguments.output is not None:
        check_output(arguments.output)
    evaluation = evaluate_folder(arguments.predictions, raw, split=arguments.split)
    output: Path = arguments.output or arguments.predictions / "evaluation"
    output.mkdir(parents=True, exist_ok=True)
    write_evaluation(evaluation, output)
    write_page(evaluation, raw, arguments.predictions, output / PAGE_NAME)
    for line in summary_lines(evaluation):
        print(line)
    print(output / PAGE_NAME)
    return 0


def entry() -> None:
    """The installed command."""
    run(main)
