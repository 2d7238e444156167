"""nnMTL_train: joint training of one fold."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nnmtl.cli.arguments import add_device, check_device, fold, seed, whole_number
from nnmtl.cli.command import run
from nnmtl.errors import NnmtlError

if TYPE_CHECKING:
    from nnmtl.nnunet.training_run import RunSettings


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
    parser.add_argument("-p", dest="plans", help="name of the plans (default nnMTLPlans)")
    parser.add_argument("--seed", type=seed, metavar="S", help="makes the run repeatable on a CPU")
    parser.add_argument(
        "--epochs", type=whole_number(1), metavar="N", help="instead of the planned number"
    )
    parser.add_argument(
        "--iterations",
        type=whole_number(1),
        metavar="N",
        help="per epoch, instead of the planned number",
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
    parser.add_argument(
        "--adapt",
        type=Path,
        metavar="MODEL",
        help="go on from this trained model with its plans, at a tenth of its rates, on labeled "
        "cases of another center; ID needs no plans",
    )
    parser.add_argument(
        "--heads_only", action="store_true", help="with --adapt: encoder and decoder stay"
    )
    add_device(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Trains."""
    arguments = build_parser().parse_args(argv)
    _refuse_combinations(arguments)
    check_device(arguments.device)
    from nnmtl.nnunet.folders import dataset_name
    from nnmtl.nnunet.training_run import RunSettings, train

    settings = RunSettings(
        dataset=dataset_name(arguments.dataset),
        plans_name=arguments.plans or "nnMTLPlans",
        configuration=arguments.configuration,
        fold=arguments.fold,
        seed=arguments.seed,
        epochs=arguments.epochs,
        iterations=arguments.iterations,
        device=arguments.device,
        continue_training=arguments.continue_training,
        pretrained_weights=arguments.pretrained_weights,
    )
    if arguments.adapt is None:
        folder = train(settings, after_epoch=draw_curves)
    else:
        folder = _adapt(settings, arguments.adapt, heads_only=arguments.heads_only)
    print(f"{folder}\nnext: nnMTL_predict -i IMAGES -o OUT -m {folder.parent}")
    return 0


def _refuse_combinations(arguments: argparse.Namespace) -> None:
    """Adapting takes plans and weights from the model."""
    if arguments.adapt is None:
        if arguments.heads_only:
            raise NnmtlError("--heads_only: expected --adapt MODEL with it, got none; add it.")
    elif arguments.plans is not None or arguments.pretrained_weights is not None:
        raise NnmtlError(
            f"--adapt {arguments.adapt}: expected neither -p nor -pretrained_weights, since plans "
            "and weights are the model's; leave them out."
        )


def _adapt(settings: "RunSettings", model: Path, *, heads_only: bool) -> Path:
    from nnmtl.experiments.adapt import adapt
    from nnmtl.report.adapted_table import adapted_to_text, write_adapted

    folder, rows = adapt(settings, model, heads_only=heads_only, after_epoch=draw_curves)
    if rows:
        print(adapted_to_text(rows, is_phantom=_is_phantom(folder)), end="\n\n")
        print(write_adapted(rows, folder))
    return folder


def _is_phantom(folder: Path) -> bool:
    dataset_json = json.loads((folder.parent / "dataset.json").read_text(encoding="utf-8"))
    return dataset_json["nnmtl"].get("synthetic") is not None


def draw_curves(folder: Path) -> None:
    """Draws progress.png, a panel per task."""
    from nnmtl.report.progress import draw_progress

    lines = (folder / "task_history.jsonl").read_text(encoding="utf-8").splitlines()
    history = [json.loads(line) for line in lines]
    draw_progress(history, folder / "progress.png", is_phantom=_is_phantom(folder))


def entry() -> None:
    """The installed command."""
    run(main)
