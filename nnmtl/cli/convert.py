"""nnMTL_convert: a center's export becomes an nnU-Net raw dataset with targets."""

import argparse
import ast
import importlib
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Protocol, cast

from nnmtl.cli.command import run

_PACKAGE = "nnmtl.dataset_conversion"


class Converter(Protocol):
    """What a file in dataset_conversion offers; its docstring's first line is its help."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Adds the converter's own arguments."""

    def convert(self, arguments: argparse.Namespace, raw_folder: Path) -> Path:
        """Writes the dataset into nnU-Net's raw folder and returns its folder."""


def build_parser(converter: str | None = None) -> argparse.ArgumentParser:
    """The command's arguments, and a converter's own where it is named."""
    known = converter_summaries()
    parser = argparse.ArgumentParser(
        prog="nnMTL_convert" if converter is None else f"nnMTL_convert {converter}",
        description="Converts a source into an nnU-Net raw dataset with targets.csv."
        if converter is None
        else known[converter],
        epilog="converters (see nnMTL_convert CONVERTER --help):\n"
        + "\n".join(f"  {name:<12} {summary}" for name, summary in known.items())
        if converter is None
        else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("converter", choices=known, metavar="CONVERTER", help="kind of source")
    parser.add_argument("source", nargs="?", metavar="SOURCE", help="what to convert")
    parser.add_argument(
        "-d", dest="dataset_id", type=int, required=True, metavar="ID", help="id of the new dataset"
    )
    parser.add_argument("--name", help="of the dataset (default: the source's)")
    parser.add_argument("--dry-run", action="store_true", help="check all, write nothing")
    if converter is not None:
        _load(converter).add_arguments(parser)
    return parser


def converter_summaries() -> dict[str, str]:
    """The first line of each converter's docstring, by name, without importing any."""
    summaries = {}
    for file in sorted(files(_PACKAGE).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".py") and not file.name.startswith("_"):
            docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
            summaries[file.name.removesuffix(".py")] = docstring.partition("\n")[0]
    return summaries


def main(argv: Sequence[str] | None = None) -> int:
    """Converts and says where the dataset is."""
    argv = sys.argv[1:] if argv is None else argv
    known = converter_summaries()
    named = next((word for word in argv if word in known), None)
    arguments = build_parser(named).parse_args(argv)
    from nnmtl.nnunet.folders import folder_from_environment

    raw_folder = folder_from_environment("nnUNet_raw")
    folder = _load(arguments.converter).convert(arguments, raw_folder)
    if arguments.dry_run:
        print(f"nothing written; would be {folder}")
    else:
        print(f"{folder}\nnext: nnMTL_check_dataset -d {arguments.dataset_id}")
    return 0


def entry() -> None:
    """The installed command."""
    run(main)


def _load(converter: str) -> Converter:
    return cast(Converter, importlib.import_module(f"{_PACKAGE}.{converter}"))
