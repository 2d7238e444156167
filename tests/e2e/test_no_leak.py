"""Plans and weights do not know the targets of validation and test cases, nor the order of rows."""

import csv
import json
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.e2e

WRITTEN = ("splits_final.json", "targets.csv", "nnmtl_fingerprint.json", "dataset_fingerprint.json")


def rewrite(path: Path, change):
    """Changes the rows of a table, a list of dicts, in place."""
    with path.open(newline="") as stream:
        reader = csv.DictReader(stream)
        names, rows = list(reader.fieldnames), list(reader)
    rows = change(rows)
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def exchange_targets(case_ids):
    """Gives each of these cases the targets of the next one that has others."""

    def change(rows):
        chosen = [row for row in rows if row["case_id"] in case_ids]
        targets = [{key: row[key] for key in list(row)[3:]} for row in chosen]
        assert len({tuple(each.values()) for each in targets}) > 1
        for row, values in zip(chosen, [*targets[1:], targets[0]], strict=True):
            row.update(values)
        return rows

    return change


def weights(fold):
    checkpoint = torch.load(fold / "checkpoint_final.pth", weights_only=False)
    return checkpoint["network_weights"]


def are_equal(first, second):
    return all(
        torch.equal(value.nan_to_num(), second[name].nan_to_num()) for name, value in first.items()
    )


@pytest.fixture
def split(prepared):
    return json.loads((prepared.preprocessed / "splits_final.json").read_text())[0]


@pytest.fixture
def reference(trained):
    (fold,) = trained.results.glob("*/fold_0")
    return fold


def test_targets_of_validation_and_test_cases_change_neither_plans_nor_weights(
    workspace, prepared, reference, split
):
    test_cases = [path.name[:-12] for path in (prepared.raw / "imagesTs").iterdir()]
    rewrite(workspace.raw / "targets.csv", exchange_targets(split["val"]))
    rewrite(workspace.raw / "targets.csv", exchange_targets(test_cases))
    workspace.plan()
    copied = (workspace.preprocessed / "targets.csv").read_bytes()
    assert copied != (prepared.preprocessed / "targets.csv").read_bytes()
    for name in (f"{workspace.plans}.json", "splits_final.json"):
        written = (workspace.preprocessed / name).read_bytes()
        assert written == (prepared.preprocessed / name).read_bytes(), name
    assert are_equal(weights(workspace.train(seed=0)), weights(reference))


def test_targets_of_training_cases_change_the_weights(workspace, reference, split):
    rewrite(workspace.raw / "targets.csv", exchange_targets(split["train"]))
    workspace.plan()
    assert not are_equal(weights(workspace.train(seed=0)), weights(reference))


def test_targets_of_test_cases_never_leave_the_raw_dataset(workspace, prepared):
    names = [path.name[:-12] for path in (prepared.raw / "imagesTs").iterdir()]
    for path in workspace.preprocessed.iterdir():
        if path.is_file():
            assert not any(name in path.read_text() for name in names), path.name


def test_the_order_of_rows_changes_no_file(workspace, prepared):
    rewrite(workspace.raw / "targets.csv", lambda rows: rows[::-1])
    (workspace.preprocessed / "splits_final.json").unlink()
    workspace.plan()
    for name in (*WRITTEN, f"{workspace.plans}.json"):
        written = (workspace.preprocessed / name).read_bytes()
        assert written == (prepared.preprocessed / name).read_bytes(), name
