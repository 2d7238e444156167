"""What the pages say is true of the code."""

import dataclasses
import json
import re
import tomllib
from pathlib import Path

import pytest

from nnmtl.cohort.declaration import declaration_to_json, parse_declaration
from nnmtl.cohort.targets import read_targets, write_targets
from nnmtl.dataset_conversion._mapping import _OPTIONAL, _REQUIRED, read_mapping
from nnmtl.inference.prediction_json import parse_predictions
from nnmtl.inference.predictions import write_predictions
from nnmtl.planning.architecture import (
    ArchitecturePlan,
    architecture_to_json,
    parse_architecture,
)
from nnmtl.planning.center_configuration import OWN_KEYS, training_of_center
from nnmtl.planning.training import TrainingPlan, parse_training, training_to_json

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FILES = (ROOT / "docs" / "reference" / "files.md").read_text()
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


def block(language, page=FILES):
    """The only code block of a language in a page; by default the one about files."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)
    return found


def reference(name):
    return (ROOT / "docs" / "reference" / name).read_text()


def test_the_example_of_dataset_json_is_accepted_as_it_stands():
    dataset_json = json.loads(block("json"))
    assert declaration_to_json(parse_declaration(dataset_json)) == dataset_json["nnmtl"]


def test_the_example_of_targets_csv_is_accepted_as_it_stands(tmp_path):
    (tmp_path / "targets.csv").write_text(block("csv"))
    declaration = parse_declaration(json.loads(block("json")))
    table = read_targets(tmp_path / "targets.csv", declaration)
    write_targets(table, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == block("csv")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_names_only_commands_that_exist(page):
    commands = set(re.findall(r"\bnnMTL_[a-z_]+\b", page.read_text()))
    assert commands <= set(SCRIPTS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_links_to_files_that_exist(page):
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


def test_make_targets_that_pages_name_exist():
    makefile = (ROOT / "Makefile").read_text()
    named = {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)`", page.read_text())}
    assert named
    assert all(f"\n{name}:" in makefile for name in named)


def test_the_example_of_a_converter_writes_a_declaration_and_a_table(tmp_path):
    page = (ROOT / "docs" / "add-a-converter.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    names["write"](tmp_path)
    declaration = parse_declaration(json.loads((tmp_path / "dataset.json").read_text()))
    table = read_targets(tmp_path / "targets.csv", declaration)
    assert table.targets["ER"].observed.tolist() == [True, False]
    assert table.targets["Ki67"].lower[0] == 25


def test_the_examples_of_plans_are_accepted_as_they_stand():
    blocks = re.findall(r"```json\n(.*?)```", reference("plans.md"), flags=re.DOTALL)
    architecture, training, center = map(json.loads, blocks)
    assert architecture_to_json(parse_architecture(architecture)) == architecture
    assert training_to_json(parse_training(training)) == training
    assert set(center) == OWN_KEYS
    own = training_of_center(training, center["nnmtl"])
    assert list(own.roi_size) == center["nnmtl"]["roi_size"]


@pytest.mark.parametrize("plan", [ArchitecturePlan, TrainingPlan])
def test_every_key_of_the_plans_is_explained(plan):
    explained = "".join(
        line.split("|")[1] for line in reference("plans.md").splitlines() if line.startswith("| `")
    )
    assert all(f"`{field.name}`" in explained for field in dataclasses.fields(plan))


def test_the_examples_of_predictions_are_what_would_be_written(tmp_path):
    page = reference("predictions.md")
    content = json.loads(block("json", page))
    write_predictions(parse_predictions(content, where="predictions.md"), tmp_path)
    assert json.loads((tmp_path / "biomarkers.json").read_text()) == content
    assert (tmp_path / "biomarkers.csv").read_text() == block("csv", page)


def test_every_flag_is_explained():
    source = (ROOT / "nnmtl" / "inference" / "flags.py").read_text()
    flags = set(re.findall(r'"([A-Z]+_[A-Z]+)"', source))
    assert flags == set(
        re.findall(r"^\| `([A-Z_]+)` \|", reference("predictions.md"), re.MULTILINE)
    )


def test_the_example_of_a_mapping_is_accepted_and_has_every_key(tmp_path):
    (tmp_path / "columns.json").write_text(block("json", reference("mapping.md")))
    assert read_mapping(tmp_path / "columns.json").holdout is not None
    keys = set(json.loads(block("json", reference("mapping.md"))))
    assert keys == {*_REQUIRED, *_OPTIONAL}
