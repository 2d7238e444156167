"""What holds for every installed command."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
HEAVY = ("torch", "nnunetv2", "SimpleITK", "matplotlib", "sklearn", "scipy", "pandas")

LOAD_PARSER = """
import importlib, json, sys
module = importlib.import_module({module!r})
module.build_parser().format_help()
loaded = sorted({{name.partition(".")[0] for name in sys.modules}})
print(json.dumps({{"loaded": loaded, "has_entry": callable(module.entry)}}))
"""


@pytest.mark.parametrize(("command", "target"), SCRIPTS.items())
def test_help_needs_no_heavy_import(command, target):
    """Help answers in under a second: importing torch alone takes two."""
    module, _, function = target.partition(":")
    assert function == "entry"
    run = subprocess.run(
        [sys.executable, "-c", LOAD_PARSER.format(module=module)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, f"{command}: {run.stderr}"
    assert not [name for name in HEAVY if f'"{name}"' in run.stdout]
    assert '"has_entry": true' in run.stdout


CONVERTERS = sorted(
    path.stem for path in (ROOT / "dataset_conversion").glob("*.py") if path.name[0] != "_"
)
CONVERTER_HELP = """
import sys
from nnmtl.cli.convert import build_parser
build_parser({name!r}).format_help()
print(*{{name.partition(".")[0] for name in sys.modules}})
"""


@pytest.mark.parametrize("name", CONVERTERS)
def test_help_of_a_converter_needs_no_heavy_import(name):
    code = CONVERTER_HELP.format(name=name)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert not {"torch", "nnunetv2", "matplotlib", "sklearn", "pandas"} & set(run.stdout.split())


@pytest.mark.parametrize(("command", "target"), SCRIPTS.items())
def test_a_command_is_named_like_its_module(command, target):
    assert target == f"nnmtl.cli.{command.removeprefix('nnMTL_')}:entry"


def test_env_prints_one_line_that_a_shell_understands(tmp_path):
    code = "from nnmtl.cli.env import main; main([])"
    printed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"nnUNet_extTrainer": f"{tmp_path}/with space"},
    ).stdout
    assert printed.count("\n") == 1
    shell = subprocess.run(
        ["sh", "-c", f'{printed.strip()}; printf "%s" "$nnUNet_extTrainer"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shell.stdout.endswith(f"ext_trainer:{tmp_path}/with space")
