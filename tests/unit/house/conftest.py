"""The wheel, built and installed as a user would, once for all tests of the house."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FOLDERS = ("nnmtl", "plans", "dataset_conversion")
FILES = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the sources, so that building leaves nothing in the repository."""
    source = tmp_path_factory.mktemp("source")
    for folder in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, source / folder, ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, source / name)
    dist = tmp_path_factory.mktemp("dist")
    options = ["--no-deps", "--no-build-isolation", "--quiet"]
    pip("wheel", *options, "--wheel-dir", dist, source)
    (built,) = dist.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, which sees the packages that the tests run with.

    They are on its path through a `.pth` file, whose folders' own `.pth` files are not read:
    so the editable install of the sources is not seen.
    """
    environment = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    pip("--python", python, "install", "--no-deps", "--quiet", wheel)
    (site_packages,) = environment.glob("lib/python*/site-packages")
    (site_packages / "packages_of_the_tests.pth").write_text(sysconfig.get_paths()["purelib"])
    return environment


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
