"""nnMTL_train: joint training of one fold."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from nnmtl.cli.arguments import add_device, check_device, fold
from nnmtl.cli.command import run


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnMTL_train",
        description="Trains segmentation and all biomarkers of one fold, then predicts the fold's "
        "validation cases. Ctrl-C saves the state; --c goes on from it.",
    )
    parser.add_argument("dataset", metavar="ID", help="dataset id or name")
    parser.add_argument("configuration", metavar="CONFIG", help="3d_fullres or 2d")
    parser.add_argument("fold", type=fold, metavar="FOLD", help="0 to 4, or all")
    parser.add_argument("-p", dest="plans", default="nnMTLPlans", help="name of the plans")
    parser.add_argument("--seed", type=int, metavar="S", help="makes the run repeatable on a CPU")
    parser.add_argument("--epochs", type=int, metavar="N", help="instead of the planned number")
    parser.add_argument(
        "--iterations", type=int, metavar="N", help="per epoch, instead of the planned number"
    )
    parser.add_argument(
        "--c", dest="continue_training", action="store_true", help="continue an interrupted run"
    )
    parser.add_argument(
        "-pretrained_weights",
        type=Path,
        metavar="CHECKPOINT",
        help="start with the encoder of this checkpoint of nnU-Net, nnMTL or nnssl",
    )
    add_device(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Trains."""
    arguments = build_parser().parse_args(argv)
    check_device(arguments.device)
    from nnmtl.nnunet.folders import dataset_name
    from nnmtl.nnunet.training_run import RunSettings, train

    settings = RunSettings(
        dataset=dataset_name(arguments.dataset),
        plans_name=arguments.plans,
        configuration=arguments.configuration,
        fold=arguments.fold,
        seed=arguments.seed,
        epochs=arguments.epochs,
        iterations=arguments.iterations,
        device=arguments.device,
        continue_training=arguments.continue_training,
        pretrained_weights=arguments.pretrained_weights,
    )
    folder = train(settings, after_epoch=draw_curves)
    print(f"{folder}\nnext: nnMTL_predict -i IMAGES -o OUT -m {folder.parent}")
    return 0


def draw_curves(folder: Path) -> None:
    """Draws progress.png, a panel per task."""
    from nnmtl.report.progress import draw_progress

    lines = (folder / "task_history.jsonl").read_text(encoding="utf-8").splitlines()
    dataset_json = json.loads((folder.parent / "dataset.json").read_text(encoding="utf-8"))
    is_phantom = dataset_json["nnmtl"].get("synthetic") is not None
    history = [json.loads(line) for line in lines]
    draw_progress(history, folder / "progress.png", is_phantom=is_phantom)


def entry() -> None:
    """The installed command."""
    run(main)
