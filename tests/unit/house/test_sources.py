"""What holds for every source file."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOURCES = sorted(
    path for folder in ("nnmtl", "dataset_conversion") for path in (ROOT / folder).rglob("*.py")
)
MAX_LINES = 400

every_source = pytest.mark.parametrize(
    "path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix()
)


@every_source
def test_a_file_is_short_enough_to_read(path):
    assert len(path.read_text().splitlines()) <= MAX_LINES


@every_source
def test_a_file_names_no_absolute_path_of_a_machine(path):
    assert not re.findall(
        r"[\"'](?:/home|/root|/work|/Users|/tmp|[A-Z]:\\)[^\"']*", path.read_text()
    )


def test_only_the_outer_rooms_read_the_environment():
    readers = {path for path in SOURCES if reads_environment(ast.parse(path.read_text()))}
    rooms = {path.relative_to(ROOT / "nnmtl").parts[0] for path in readers}
    assert rooms <= {"cli", "nnunet", "experiments"}


def reads_environment(tree):
    return any(
        isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
        for node in ast.walk(tree)
    )
