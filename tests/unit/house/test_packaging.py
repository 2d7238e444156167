"""What a user gets who installs the wheel instead of the sources."""

import json
import re
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
INSTALLED_AS = {
    "nnmtl": "nnmtl",
    "plans": "nnmtl/plans",
    "dataset_conversion": "nnmtl/dataset_conversion",
}
DATA = ("py.typed", "*.json", "*.html", "*.jinja", "*.css")

pytestmark = pytest.mark.e2e

REPORT = """
import importlib, json
from importlib import resources
import nnmtl
print(json.dumps({
    "package": nnmtl.__file__,
    "presets": sorted(p.name for p in resources.files("nnmtl.plans").iterdir()),
    "converters": importlib.import_module("nnmtl.dataset_conversion").__file__,
}))
"""


def names_in(wheel):
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_holds_one_top_level_name(wheel):
    tops = {name.partition("/")[0] for name in names_in(wheel)}
    assert tops == {"nnmtl", f"{wheel.name.split('-py3')[0]}.dist-info"}


def test_every_source_and_data_file_is_in_the_wheel(wheel):
    expected = {
        f"{installed}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, installed in INSTALLED_AS.items()
        for pattern in ("*.py", *DATA)
        for path in (ROOT / folder).rglob(pattern)
    }
    assert not expected - names_in(wheel)


def test_license_and_notice_are_in_the_wheel(wheel):
    names = {Path(name).name for name in names_in(wheel) if ".dist-info/licenses/" in name}
    assert names == {"LICENSE", "NOTICE"}


def test_the_wheel_pins_no_torch(wheel):
    (metadata,) = (name for name in names_in(wheel) if name.endswith("METADATA"))
    text = zipfile.ZipFile(wheel).read(metadata).decode()
    (torch,) = (line for line in text.splitlines() if re.match(r"Requires-Dist: torch\b", line))
    assert "==" not in torch.replace("!=", "")


def test_installed_packages_are_found_from_another_folder(installed, tmp_path):
    output = run(installed / "bin" / "python", "-c", REPORT, cwd=tmp_path)
    found = json.loads(output)
    assert found["package"].startswith(str(installed))
    assert found["converters"].startswith(str(installed))
    shipped = {path.name for path in (ROOT / "plans").glob("*.json")}
    assert shipped <= set(found["presets"])


def test_an_installed_command_runs_from_another_folder(installed, tmp_path):
    line = run(installed / "bin" / "nnMTL_env", cwd=tmp_path)
    folder = Path(line.strip().rpartition("=")[2].partition(":")[0])
    assert folder.is_relative_to(installed)
    assert [path.name for path in folder.glob("*.py")] == ["nnmtl_trainers.py"]


def run(*command, cwd):
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout
