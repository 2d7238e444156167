"""nnMTL_demo: the whole path on synthetic patients."""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

from nnmtl.cli.arguments import check_device, check_output, seed, use_every_core
from nnmtl.cli.command import run


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnMTL_demo",
        description="Generates synthetic breast MRI of three centers, plans, trains, predicts "
        "held-out patients and evaluates. It shows that the software works; it says nothing about "
        "patients.",
    )
    parser.add_argument("-o", dest="output", type=Path, default=Path("demo_output"))
    parser.add_argument("--preset", default="easy", help="easy (default), reference or null")
    parser.add_argument("--seed", type=seed, default=0)
    parser.add_argument("-device", default="cpu", choices=["cpu", "cuda", "mps"])
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the demonstration and prints its summary."""
    arguments = build_parser().parse_args(argv)
    check_device(arguments.device)
    check_output(arguments.output)
    output = arguments.output.resolve()
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ[variable] = str(output / variable)
    os.environ.setdefault("nnUNet_n_proc_DA", "0")
    use_every_core()
    from nnmtl.cli.train import draw_curves
    from nnmtl.experiments.demo import DemoSettings, run_demo

    settings = DemoSettings(
        output=output, preset=arguments.preset, seed=arguments.seed, device=arguments.device
    )
    summary = run_demo(settings, after_epoch=draw_curves)
    print(json.dumps(summary, indent=1))
    print(output / "report.html")
    return 0


def entry() -> None:
    """The installed command."""
    run(main)
