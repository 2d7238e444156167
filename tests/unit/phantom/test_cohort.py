import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from nnmtl.cohort.declaration import parse_declaration
from nnmtl.cohort.targets import read_targets
from nnmtl.errors import NnmtlError
from nnmtl.phantom import cohort
from nnmtl.phantom.case import generate_case
from nnmtl.phantom.cohort import NOTICE, write_cohort
from nnmtl.phantom.montage import draw_montage

ARGUMENTS = {
    "preset": "easy",
    "centers": {"B": 2, "A": 3},
    "seed": 11,
    "test_centers": {"A": 2, "C": 1},
    "biomarkers": ("ER", "PR", "HER2", "HER2_3", "Ki67"),
    "missing": {"Ki67": 1.0},
}


def read_bytes(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "Dataset901_PHANTOM_Test"
    write_cohort(folder, **ARGUMENTS)
    return folder


def test_layout_is_nnunets(dataset):
    names = sorted(str(path.relative_to(dataset)) for path in dataset.rglob("*.nii.gz"))
    train = [
        "PHANTOM_A_0000",
        "PHANTOM_A_0001",
        "PHANTOM_A_0002",
        "PHANTOM_B_0000",
        "PHANTOM_B_0001",
    ]
    test = ["PHANTOM_A_T0000", "PHANTOM_A_T0001", "PHANTOM_C_T0000"]
    assert names == sorted(
        [f"imagesTr/{name}_0000.nii.gz" for name in train]
        + [f"labelsTr/{name}.nii.gz" for name in train]
        + [f"imagesTs/{name}_0000.nii.gz" for name in test]
        + [f"labelsTs/{name}.nii.gz" for name in test]
    )
    description = json.loads((dataset / "dataset.json").read_text())
    assert description["numTraining"] == len(train)
    assert description["nnmtl"]["synthetic"]["preset"] == "easy"


def test_table_is_read_back_by_the_declaration(dataset):
    declaration = parse_declaration(json.loads((dataset / "dataset.json").read_text()))
    table = read_targets(dataset / "targets.csv", declaration)
    assert list(table.targets) == list(ARGUMENTS["biomarkers"])
    assert set(table.centers) == {"A", "B", "C"}
    row = table.index("PHANTOM_B_0001")
    expected = generate_case("easy", "B", 11, 1).targets
    assert table.targets["ER"].possible[row].tolist() == [not expected["ER"], bool(expected["ER"])]


def test_only_training_cases_have_gaps(dataset):
    with (dataset / "targets.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["Ki67"]) for row in rows] == ["_T" in row["case_id"] for row in rows]
    assert all(row["ER"] for row in rows)


def test_truth_has_no_gaps_and_the_posterior(dataset):
    with (dataset / "phantom_truth.csv").open() as file:
        rows = {row["case_id"]: row for row in csv.DictReader(file)}
    case = generate_case("easy", "A", 11, 2)
    row = rows["PHANTOM_A_0002"]
    assert float(row["true_Ki67"]) == case.targets["Ki67"]
    for name, value in case.posterior.items():
        assert float(row[name]) == pytest.approx(value, rel=1e-6)
    assert float(row["u_c_ktrans"]) == pytest.approx(case.traits["c_ktrans"])


def test_files_hold_the_case_and_say_that_it_is_synthetic(dataset):
    image = SimpleITK.ReadImage(str(dataset / "imagesTr" / "PHANTOM_B_0000_0000.nii.gz"))
    label_map = SimpleITK.ReadImage(str(dataset / "labelsTr" / "PHANTOM_B_0000.nii.gz"))
    case = generate_case("easy", "B", 11, 0)
    assert np.array_equal(SimpleITK.GetArrayFromImage(image), case.image)
    assert np.array_equal(SimpleITK.GetArrayFromImage(label_map), case.label_map)
    assert image.GetSpacing()[::-1] == pytest.approx(case.spacing_mm)
    assert image.GetMetaData("ITK_FileNotes").strip() == NOTICE


def test_bytes_do_not_depend_on_the_number_of_workers(dataset, tmp_path):
    again = tmp_path / "again"
    write_cohort(again, **ARGUMENTS, workers=2)
    assert read_bytes(again) == read_bytes(dataset)


def test_more_cases_leave_the_first_ones_alone(dataset, tmp_path):
    more = tmp_path / "more"
    write_cohort(more, preset="easy", centers={"A": 4}, seed=11)
    name = "imagesTr/PHANTOM_A_0002_0000.nii.gz"
    assert (more / name).read_bytes() == (dataset / name).read_bytes()


def test_existing_folder_is_refused(dataset):
    before = read_bytes(dataset)
    with pytest.raises(NnmtlError, match="expected a new folder"):
        write_cohort(dataset, **ARGUMENTS)
    assert read_bytes(dataset) == before


def test_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(cohort, "generate_case", fail)
    with pytest.raises(KeyboardInterrupt):
        write_cohort(tmp_path / "new", preset="easy", centers={"A": 1}, seed=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"test_seed": 11}, "test_seed other than the seed 11"),
        ({"seed": -1}, "seeds of at least 0, got seed=-1"),
        ({"preset": "hard"}, "expected a preset among"),
        ({"centers": {"X": 1}}, "expected a center among A, B, C, D, got 'X'"),
        ({"centers": {"A": -1}}, "got -1 for the center 'A'"),
        ({"biomarkers": ("ER", "EGFR")}, "got 'EGFR'"),
        ({"missing": {"Ki67": 2.0}}, "got 2.0 for 'Ki67'"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(changed, message, tmp_path):
    with pytest.raises(NnmtlError, match=message):
        write_cohort(tmp_path / "new", **{**ARGUMENTS, **changed})
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_to_the_end(tmp_path):
    seen = []
    write_cohort(
        tmp_path / "new",
        preset="null",
        centers={"C": 2},
        seed=0,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 2), (2, 2)]


def test_montage_is_drawn(tmp_path):
    draw_montage(tmp_path / "montage.png")
    assert (tmp_path / "montage.png").read_bytes().startswith(b"\x89PNG")
