"""Arguments that several commands share."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from nnmtl.errors import NnmtlError
from nnmtl.planning.spacing import POLICIES
from nnmtl.whole_file import can_be_written, nearest_existing


def add_dataset(parser: argparse.ArgumentParser) -> None:
    """`-d`, the dataset's id or name."""
    parser.add_argument(
        "-d", dest="dataset", required=True, metavar="ID", help="dataset id or name in nnUNet_raw"
    )


def add_processes(parser: argparse.ArgumentParser) -> None:
    """`-np`, the number of worker processes."""
    parser.add_argument(
        "-np",
        dest="num_processes",
        type=whole_number(1),
        default=2,
        metavar="N",
        help="processes (default 2)",
    )


def add_preset(parser: argparse.ArgumentParser) -> None:
    """`--preset`, one of the shipped plans."""
    parser.add_argument(
        "--preset",
        default="spatial_mtl",
        metavar="P",
        help="which network and schedule to plan (default spatial_mtl; a laptop: tiny_cpu)",
    )


def add_spacing_policy(parser: argparse.ArgumentParser) -> None:
    """`--spacing_policy`, which voxels the centers have."""
    parser.add_argument(
        "--spacing_policy",
        choices=POLICIES,
        help="one grid for all centers as nnU-Net plans it (pooled) or one that no large center "
        "dominates (strict); each center's own voxels near that grid (per_center) or however far "
        "(native); instead of the preset's, which is strict",
    )


def preset_name(arguments: argparse.Namespace) -> str:
    """The preset that was asked for, with the policy added to it, before a single biomarker."""
    policy: str | None = arguments.spacing_policy
    shipped, colon, biomarker = str(arguments.preset).partition(":")
    added = "" if policy is None else f"+{policy}"
    return f"{shipped}{added}{colon}{biomarker}"


def add_budget(parser: argparse.ArgumentParser) -> None:
    """`--memory-gb` and `--device`, the machine that is planned for."""
    parser.add_argument(
        "--memory-gb",
        type=float,
        metavar="N",
        help="of GPU memory (with --device cpu of main memory) to plan for; default nnU-Net's, 8",
    )
    parser.add_argument(
        "--device",
        default="cuda",
        choices=["cpu", "cuda"],
        help="to plan for: cpu narrows network, patch and epochs to what a CPU can train",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """`-device`, as in nnU-Net."""
    parser.add_argument(
        "-device", default="cuda", choices=["cpu", "cuda", "mps"], help="default cuda"
    )


def check_device(device: str) -> None:
    """Refuses a device that is not there before any work is done.

    Raises:
        NnmtlError: naming the option.
    """
    import torch

    is_there: dict[str, Callable[[], bool]] = {
        "cpu": lambda: True,
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
    }
    if not is_there[device]():
        raise NnmtlError(
            f"-device {device}: expected such a device, but torch {torch.__version__} finds none "
            "on this machine. Use -device cpu, or install torch for your hardware."
        )


def check_output(folder: Path) -> None:
    """Refuses an output folder that could not be made or written, before any work is done.

    Raises:
        NnmtlError: naming the option.
    """
    there = nearest_existing(folder.absolute())
    if not can_be_written(there / "file"):
        kind = "may not be written" if there.is_dir() else "is a file"
        raise NnmtlError(
            f"-o {folder}: expected a folder that can be written, but {there} {kind}; name another."
        )


def use_every_core() -> None:
    """Lets nnU-Net predict with all cores, unless told otherwise; it reads the number at import."""
    os.environ.setdefault("nnUNet_def_n_proc", str(os.cpu_count() or 1))


def whole_number(low: int, high: int | None = None) -> Callable[[str], int]:
    """A type of argument: a whole number from `low`, up to `high` if that is given."""

    def parse(text: str) -> int:
        number = int(text) if text.removeprefix("-").isdecimal() else low - 1
        if number < low or (high is not None and number > high):
            limit = f"of at least {low}" if high is None else f"from {low} to {high}"
            raise argparse.ArgumentTypeError(f"expected a whole number {limit}, got {text!r}")
        return number

    return parse


# What numpy's generator takes.
seed = whole_number(0, 2**32 - 1)


def fold(text: str) -> int | str:
    """A fold number or `all`."""
    if text == "all":
        return text
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"expected a fold number or 'all', got {text!r}")
    return int(text)
