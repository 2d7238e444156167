"""nnMTL_predict: masks, regions and biomarkers of new cases."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from nnmtl.cli.arguments import (
    add_device,
    check_device,
    check_output,
    fold,
    use_every_core,
)
from nnmtl.cli.command import run


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnMTL_predict",
        description="Predicts a folder of images: tumor masks, region maps, biomarkers.csv and "
        "biomarkers.json. An interrupted call goes on where it stopped. Research software, not a "
        "medical device.",
    )
    parser.add_argument("-i", dest="images", type=Path, required=True, help="folder of images")
    parser.add_argument("-o", dest="output", type=Path, required=True, help="output folder")
    parser.add_argument("-m", dest="model", type=Path, required=True, help="model folder")
    parser.add_argument(
        "-f", dest="folds", type=fold, nargs="+", help="folds to average (default: all there are)"
    )
    parser.add_argument("--center", metavar="NAME", help="the images' center")
    parser.add_argument(
        "--covariates",
        metavar="TABLE",
        type=Path,
        help="CSV file of the model's clinical covariates: case_id and a column each",
    )
    parser.add_argument(
        "--exact",
        action="store_true",
        help="nnU-Net's own precision: label maps identical to nnUNetv2_predict's",
    )
    parser.add_argument(
        "--features",
        dest="with_features",
        action="store_true",
        help="also write what the heads saw of each case, to features/",
    )
    add_device(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Predicts and says where."""
    arguments = build_parser().parse_args(argv)
    use_every_core()
    check_device(arguments.device)
    check_output(arguments.output)
    import torch

    from nnmtl.nnunet.predict_folder import predict_folder

    predict_folder(
        arguments.images,
        arguments.output,
        arguments.model,
        folds=arguments.folds,
        device=torch.device(arguments.device),
        center=arguments.center,
        exact=arguments.exact,
        with_features=arguments.with_features,
        covariates=arguments.covariates,
    )
    print(arguments.output / "biomarkers.csv")
    return 0


def entry() -> None:
    """The installed command."""
    run(main)
