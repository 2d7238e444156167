"""`nnMTL_env`: prints the line that lets stock nnU-Net commands find our trainer."""

import argparse
import os
import shlex
from collections.abc import Sequence

from nnmtl.cli.command import run


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments: it has none."""
    return argparse.ArgumentParser(
        prog="nnMTL_env",
        description="Prints the shell line that lets nnU-Net's own commands find nnMTLTrainer; "
        'use it as: eval "$(nnMTL_env)"',
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Prints `export nnUNet_extTrainer=...`, our folder in front of what is set already."""
    from nnmtl.nnunet.extension import VARIABLE, with_trainer_folder

    build_parser().parse_args(argv)
    print(f"export {VARIABLE}={shlex.quote(with_trainer_folder(os.environ.get(VARIABLE)))}")
    return 0


def entry() -> None:
    """The installed command."""
    run(main)
