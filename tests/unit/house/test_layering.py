"""The import contracts hold in the built wheel, and would be seen broken.

Only the wheel shows `nnmtl.dataset_conversion` and `nnmtl.plans` to the import checker: in an
editable install they lie outside the package's folder.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LINT = "from importlinter.cli import lint_imports_command as lint; lint()"
DOWNWARD = "imports go downward only"

pytestmark = pytest.mark.e2e


@pytest.fixture
def package(installed, tmp_path):
    """A copy of the installed package that a test may change; the checker runs beside it."""
    (site_packages,) = installed.glob("lib/python*/site-packages")
    return Path(shutil.copytree(site_packages / "nnmtl", tmp_path / "nnmtl"))


def lint(installed, folder):
    command = [installed / "bin" / "python", "-c", LINT]
    command += ["--config", ROOT / "pyproject.toml", "--no-cache", "--no-logo"]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def test_the_wheel_keeps_the_contracts(installed, package):
    run = lint(installed, package.parent)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("room", "line", "contract"),
    [
        ("cohort", "import nnmtl.cli.env", DOWNWARD),
        ("plans", "import nnmtl.cohort.targets", DOWNWARD),
        ("cohort", "import nnmtl.dataset_conversion", DOWNWARD),
        ("dataset_conversion", "import nnmtl.cli.env", DOWNWARD),
        ("dataset_conversion", "import nnmtl.nnunet.extension", "converters know facts"),
        ("dataset_conversion", "import nnunetv2", "only nnmtl.nnunet knows nnU-Net"),
        ("network", "import dynamic_network_architectures", "only nnmtl.nnunet knows nnU-Net"),
        ("evaluation", "import torch", "have no torch"),
    ],
)
def test_a_forbidden_import_is_seen(installed, package, room, line, contract):
    (package / room / "planted.py").write_text(f'"""Planted."""\n\n{line}\n')
    run = lint(installed, package.parent)
    assert run.returncode == 1, run.stdout + run.stderr
    broken = [text for text in run.stdout.splitlines() if " BROKEN" in text]
    assert any(contract in text for text in broken), run.stdout
    assert f"nnmtl.{room}.planted" in run.stdout


def test_a_room_outside_the_layers_is_seen(installed, package):
    (package / "elsewhere.py").write_text('"""Planted."""\n')
    run = lint(installed, package.parent)
    assert "nnmtl.elsewhere" in run.stdout
    assert run.returncode == 1
