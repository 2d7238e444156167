"""nnMTL_compare from folders of predictions to the table."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from nnmtl.cli import compare
from nnmtl.cli.evaluate import main as evaluate
from nnmtl.errors import NnmtlError
from nnmtl.experiments import compare_jobs
from nnmtl.report import comparison_table

Written = tuple[Path, Path]


@pytest.fixture
def output(written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setenv("nnUNet_def_n_proc", "1")
    return tmp_path / "compared"


def run(output: Path, *words: object) -> dict:
    """The content of comparison.json."""
    assert compare.main(["-d", "999", "-o", str(output), *map(str, words)]) == 0
    return json.loads((output / "comparison.json").read_text())


def cell(content: dict, task: str, metric: str, entry: str) -> dict:
    (row,) = [row for row in content["rows"] if (row["task"], row["metric"]) == (task, metric)]
    (found,) = [found for found in row["cells"] if found["entry"] == entry]
    return found


def copy_with(predictions: Path, name: str, edit: object) -> Path:
    """A copy beside the predictions; `edit` changes the content of its biomarkers.json."""
    folder = predictions.with_name(name)
    shutil.copytree(predictions, folder)
    content = json.loads((folder / "biomarkers.json").read_text())
    edit(content)  # type: ignore[operator]
    (folder / "biomarkers.json").write_text(json.dumps(content))
    return folder


def add_noise(content: dict) -> None:
    generator = np.random.default_rng(0)
    for case in content["cases"].values():
        if case["status"] == "ok":
            case["biomarkers"]["ER"]["probability"] = generator.random()
            case["biomarkers"]["Ki67"]["value"] = generator.uniform(0, 100)


def test_values_are_those_of_evaluate_and_differences_to_the_first_entry(
    written: Written, output: Path
) -> None:
    predictions = written[1]
    noisy = copy_with(predictions, "noisy", add_noise)
    content = run(output, "--predictions", f"model={predictions}", f"noise={noisy}")
    assert content["reference"] == "model"
    for name, folder in (("model", predictions), ("noise", noisy)):
        evaluate(["-p", str(folder), "-d", "999"])
        evaluation = json.loads((folder / "evaluation" / "evaluation.json").read_text())
        for task in evaluation["tasks"]:
            # One case has no answer; a comparison counts it.
            judged = task.get("intention_to_diagnose", task["metrics"])
            for metric in ("auc", "auc_macro", "mae", "skill", "dice", "hd95_mm"):
                numbers = judged.get(metric)
                if not numbers or (task["center"] and metric == "skill"):
                    continue
                rows = content["centers"][task["center"]] if task["center"] else content["rows"]
                found = cell({"rows": rows}, task["task"], metric, name)
                assert [found[key] for key in ("value", "lower", "upper")] == [
                    numbers[key] for key in ("value", "lower", "upper")
                ]
    model, noise = (cell(content, "Ki67", "mae", name) for name in ("model", "noise"))
    assert noise["difference"]["value"] == pytest.approx(noise["value"] - model["value"])
    assert noise["verdict"] == "higher"
    assert (model["difference"], model["verdict"]) == (None, None)


def test_the_files_and_the_print_agree(
    written: Written, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noisy = copy_with(written[1], "noisy", add_noise)
    content = run(output, "--predictions", f"model={written[1]}", f"noise={noisy}")
    rows = list(csv.DictReader((output / "comparison.csv").read_text().splitlines()))
    (row,) = [r for r in rows if (r["center"], r["metric"], r["entry"]) == ("", "mae", "noise")]
    found = cell(content, "Ki67", "mae", "noise")
    assert float(row["difference_lower"]) == pytest.approx(found["difference"]["lower"], rel=1e-5)
    assert (row["n"], row["verdict"]) == ("12", "higher")
    told = f"+{found['difference']['value']:.2f} (+{found['difference']['lower']:.2f} to "
    markdown, printed = (output / "comparison.md").read_text(), capsys.readouterr().out
    assert told in markdown
    assert told in printed
    table = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in table} == {9}
    assert printed.endswith(f"{output / 'comparison.md'}\n")
    assert {path.name for path in output.iterdir()} == {
        "comparison.json", "comparison.csv", "comparison.md",
    }  # fmt: skip


def test_a_phantom_is_marked_and_patients_are_not(written: Written, output: Path) -> None:
    words = ("--predictions", f"model={written[1]}")
    assert run(output, *words)["phantom"] is True
    assert "Phantom, not patient data" in (output / "comparison.md").read_text()
    for path, key in (
        (written[0] / "Dataset999_PHANTOM_Test" / "dataset.json", "nnmtl"),
        (written[1] / "biomarkers.json", "trained_on"),
    ):
        content = json.loads(path.read_text())
        if key == "nnmtl":
            del content[key]["synthetic"]
        else:
            content[key] = "patients"
        path.write_text(json.dumps(content))
    assert run(output, *words)["phantom"] is False
    assert "Phantom, not patient data" not in (output / "comparison.md").read_text()


def test_what_cannot_be_computed_is_null_with_a_reason(written: Written, output: Path) -> None:
    clinical = copy_with(written[1], "clinical", lambda content: None)
    for mask in clinical.glob("*.nii.gz"):
        mask.unlink()
    content = run(output, "--predictions", f"model={written[1]}", f"clinical={clinical}")
    found = cell(content, "segmentation", "dice", "clinical")
    assert (found["value"], found["verdict"]) == (None, "undefined")
    assert found["reason"] == "this entry draws no masks"
    assert "–: this entry draws no masks" in (output / "comparison.md").read_text()


def test_a_mask_that_is_missing_among_others_is_an_error(written: Written, output: Path) -> None:
    (written[1] / "case_002.nii.gz").unlink()
    with pytest.raises(NnmtlError, match=r"case_002.nii.gz: expected the label map"):
        run(output, "--predictions", f"model={written[1]}")


def test_folders_of_one_name_are_seeds_where_they_have_the_same_cases(
    written: Written, output: Path
) -> None:
    noisy = copy_with(written[1], "noisy", add_noise)
    content = run(output, "--predictions", f"model={written[1]}", f"model={noisy}")
    found = cell(content, "Ki67", "mae", "model")
    assert [run["run"] for run in content["entries"]["model"]] == ["run 1", "run 2"]
    assert found["value"] == pytest.approx(np.mean(found["runs"]))
    assert found["runs"][0] != found["runs"][1]
    assert any("the value is the mean of theirs" in note for note in content["notes"])


def test_folders_of_one_name_are_folds_where_they_share_no_case(
    written: Written, output: Path, tmp_path: Path
) -> None:
    raw, predictions = written
    dataset = raw / "Dataset999_PHANTOM_Test"
    for kind in ("images", "labels"):
        (dataset / f"{kind}Ts").rename(dataset / f"{kind}Tr")
    cases = sorted(json.loads((predictions / "biomarkers.json").read_text())["cases"])
    halves = [cases[:6], cases[6:]]
    splits = tmp_path / "nnUNet_preprocessed" / dataset.name / "splits_final.json"
    splits.parent.mkdir(parents=True)
    splits.write_text(json.dumps([{"train": halves[1 - k], "val": halves[k]} for k in (0, 1)]))

    def keep(half: list[str]) -> object:
        def edit(content: dict) -> None:
            content["cases"] = {case: content["cases"][case] for case in half}

        return edit

    folds = [copy_with(predictions, f"fold{k}", keep(halves[k])) for k in (0, 1)]
    words = [f"whole={predictions}", *(f"folds={folder}" for folder in folds)]
    with pytest.raises(NnmtlError, match=r"expected predictions of cases in imagesTs.*--split"):
        run(output, "--predictions", *words)
    content = run(output, "--split", "Tr", "--predictions", *words)
    assert len(content["entries"]["folds"]) == 1
    assert content["num_cases"] == 12
    # The same answers, and AUCs within the folds of the splits in both.
    for row in content["rows"]:
        assert row["cells"][1]["difference"] == {"value": 0, "lower": 0, "upper": 0}
    assert any("one fold only" in note for note in content["notes"])


def test_the_reference_is_named_first_whatever_its_kind() -> None:
    parser = compare.build_parser()
    words = ["--predictions", "a=one", "--presets", "tiny_cpu", "--predictions", "a=two", "b=three"]
    arguments = parser.parse_args(["-d", "999", "-o", "out", *words])
    named = compare._gather(arguments.entries)
    assert [entry.name for entry in named] == ["a", "tiny_cpu", "b"]
    assert [len(entry.folders) for entry in named] == [2, 0, 1]


def test_listing_jobs_prints_a_command_each_and_writes_nothing(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--presets", "tiny_cpu", "spatial_mtl", "--seeds", "0", "1", "--list-jobs"]
    assert compare.main(["-d", "999", "-o", str(output), *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all(re.search(r"--only \w+__fold_0__seed_\d$", line) for line in lines)
    assert not output.exists()


def test_nothing_is_trained_on_a_device_that_is_not_there(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NnmtlError, match="-device cuda: expected such a device"):
        compare.main(["-d", "999", "-o", str(output), "--presets", "tiny_cpu"])
    assert not output.exists()


def test_finished_jobs_and_predictions_are_compared_and_one_job_makes_no_table(
    written: Written, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions, started = written[1], []

    def fake_job(job: compare_jobs.Job, *, after_epoch: object) -> None:
        started.append(job.name)
        shutil.copytree(predictions, job.predictions)

    monkeypatch.setattr(compare_jobs, "run_job", fake_job)
    monkeypatch.setattr(compare_jobs, "is_finished", lambda job: job.predictions.is_dir())
    words = ["--presets", "tiny_cpu", "--seeds", "0", "1", "--predictions", f"old={predictions}"]
    words += ["-device", "cpu"]
    only = "tiny_cpu__fold_0__seed_1"
    assert compare.main(["-d", "999", "-o", str(output), *words, "--only", only]) == 0
    assert started == [only]
    assert not (output / "comparison.md").exists()
    content = run(output, *words)
    assert started == [only, "tiny_cpu__fold_0__seed_0"]
    runs = content["entries"]["tiny_cpu"]
    assert [each["run"] for each in runs] == ["seed 0", "seed 1"]
    assert cell(content, "ER", "auc", "old")["verdict"] == "not resolved"
    run(output, *words)
    assert len(started) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected --presets or --predictions"),
        (["--predictions", "folder"], "expected NAME=FOLDER, got 'folder'"),
        (["--presets", "tiny_cpu", "--split", "Tx"], "invalid choice"),
    ],
)
def test_a_wrong_call_is_explained(
    output: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        compare.main(["-d", "999", "-o", str(output), *words])
    assert message in capsys.readouterr().err


def test_a_folder_without_predictions_is_refused_before_any_training(
    written: Written, output: Path
) -> None:
    words = ["--presets", "tiny_cpu", "--predictions", f"old={written[0]}", "-device", "cpu"]
    with pytest.raises(NnmtlError, match=r"expected the file biomarkers.json"):
        compare.main(["-d", "999", "-o", str(output), *words])
    assert not output.exists()


def test_the_page_about_comparisons_explains_every_column_and_option() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "compare.md").read_text()
    explained = "".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    options = [action.option_strings[0] for action in compare.build_parser()._actions]
    assert all(f"`{column}`" in explained for column in comparison_table._CSV_COLUMNS)
    assert all(option in explained for option in options if option not in ("-h", "-d", "-o"))
