"""nnMTL_evaluate: judges predictions against a raw dataset."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from nnmtl.cli.command import run
from nnmtl.errors import NnmtlError


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
    parser.add_argument(
        "-d", dest="dataset_id", type=int, required=True, help="number of the dataset in nnUNet_raw"
    )
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
    from nnmtl.evaluation.raw_dataset import find_raw_dataset
    from nnmtl.experiments.evaluate_folder import evaluate_folder
    from nnmtl.report.page import PAGE_NAME, write_page
    from nnmtl.report.wording import summary_lines

    raw = find_raw_dataset(_raw_folder(), arguments.dataset_id)
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


def _raw_folder() -> Path:
    folder = os.environ.get("nnUNet_raw")  # noqa: SIM112 - nnU-Net's own spelling
    if not folder:
        raise NnmtlError(
            "nnUNet_raw is not set; set it to the folder that holds the raw datasets, such as "
            "export nnUNet_raw=/data/nnUNet_raw."
        )
    return Path(folder)
