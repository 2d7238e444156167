"""nnMTL_evaluate from files to numbers and page."""

import csv
import json
import math
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from nnmtl.cli.evaluate import main
from nnmtl.errors import NnmtlError
from nnmtl.evaluation.files import evaluation_to_json
from nnmtl.evaluation.raw_dataset import read_raw_dataset
from nnmtl.experiments.evaluate_folder import evaluate_folder

Written = tuple[Path, Path]


def evaluate(predictions: Path) -> dict:
    """The content of evaluation.json, without drawing the page."""
    raw = read_raw_dataset(next((predictions.parent / "raw").glob("Dataset999_*")))
    return json.loads(json.dumps(evaluation_to_json(evaluate_folder(predictions, raw))))


def run_command(predictions: Path) -> dict[str, str]:
    """The text of each file that the command writes."""
    assert main(["-p", str(predictions), "-d", "999"]) == 0
    return {path.name: path.read_text() for path in (predictions / "evaluation").iterdir()}


def task(content: dict, name: str, center: str | None = None) -> dict:
    (found,) = [t for t in content["tasks"] if (t["task"], t["center"]) == (name, center)]
    return found


def rewrite(path: Path, edit: object) -> None:
    content = json.loads(path.read_text())
    edit(content)  # type: ignore[operator]
    path.write_text(json.dumps(content))


def test_every_task_is_judged_overall_and_by_center(written: Written) -> None:
    content = evaluate(written[1])
    assert [(t["task"], t["center"]) for t in content["tasks"]] == [
        (name, center)
        for name in ("segmentation", "ER", "HER2_3", "Ki67")
        for center in (None, "A", "B")
    ]
    assert content["split"] == "Ts"
    assert content["phantom"] is True
    assert task(content, "segmentation")["num_patients"] == 11


def test_unobserved_and_set_targets_are_left_out_but_intervals_count(written: Written) -> None:
    content = evaluate(written[1])
    er, her2, ki67 = (task(content, name) for name in ("ER", "HER2_3", "Ki67"))
    assert (er["num_without_truth"], her2["num_without_truth"]) == (1, 1)
    assert er["metrics"]["auc"]["n"] == 12 - 1 - 1
    assert ki67["num_without_truth"] == 0
    assert ki67["metrics"]["mae"]["n"] == 11
    assert ki67["metrics"]["pearson"]["n"] == 10
    assert content["cases"]["case_003"]["biomarkers"]["Ki67"]["target"] == [20.0, 30.0]


def test_a_missing_answer_counts_as_knowing_nothing_in_intention_to_diagnose(
    written: Written,
) -> None:
    content = evaluate(written[1])
    er, ki67 = task(content, "ER"), task(content, "Ki67")
    assert er["num_without_answer"] == 1
    assert er["intention_to_diagnose"]["auc"]["n"] == er["metrics"]["auc"]["n"] + 1
    missed = content["cases"]["case_011"]["biomarkers"]["Ki67"]
    assert missed["answer"] is None
    expected = (ki67["metrics"]["mae"]["value"] * 11 + abs(22.8 - missed["target"])) / 12
    assert ki67["intention_to_diagnose"]["mae"]["value"] == pytest.approx(expected)


def test_probabilities_of_cutoffs_are_judged_where_model_and_dataset_share_them(
    written: Written,
) -> None:
    """The model tells 14 and 25 %; the dataset asks for 14, 20 and 30 %."""

    def tell(content: dict) -> None:
        content["biomarkers"][2]["cutoffs"] = [14, 25]
        for case in content["cases"].values():
            value = case["biomarkers"]["Ki67"]["value"]
            odds = [None, None] if value is None else [min(1, value / 28), min(1, value / 60)]
            case["biomarkers"]["Ki67"]["at_least"] = dict(zip(["14", "25"], odds, strict=True))

    rewrite(written[1] / "biomarkers.json", tell)
    ki67 = task(evaluate(written[1]), "Ki67")
    told = {name for name in ki67["metrics"] if name.startswith("brier")}
    assert told == {"brier_at_14"}
    assert 0 < ki67["metrics"]["brier_at_14"]["value"] < 1
    n = {name: ki67[part]["brier_at_14"]["n"] for name, part in
         (("answered", "metrics"), ("all", "intention_to_diagnose"))}  # fmt: skip
    assert n["all"] == n["answered"] + 1
    page = run_command(written[1])["evaluation.html"]
    assert "Brier score of being at least 14" in page
    assert "P(≥14)" in page


def test_a_missed_tumor_counts_with_the_worst_values(written: Written) -> None:
    content = evaluate(written[1])
    missed = content["cases"]["case_011"]["segmentation"]
    assert missed["dice"] == 0
    assert missed["hd95_mm"] == pytest.approx(math.hypot(32, 40, 40))
    assert task(content, "segmentation")["num_without_answer"] == 1


def test_the_exact_posterior_is_judged_on_the_same_cases(written: Written) -> None:
    content = evaluate(written[1])
    number = task(content, "Ki67")["metrics"]
    assert number["mae_bayes"]["n"] == number["mae"]["n"]
    assert number["mae_bayes"]["value"] < 10
    metrics = task(content, "ER")["metrics"]
    assert metrics["auc_bayes"]["n"] == metrics["auc"]["n"]
    assert metrics["auc_bayes"]["value"] > 0.5


def test_the_table_has_the_numbers_of_the_json(written: Written) -> None:
    files = run_command(written[1])
    content = json.loads(files["evaluation.json"])
    rows = list(csv.DictReader(files["evaluation.csv"].splitlines()))
    (row,) = [
        r
        for r in rows
        if (r["task"], r["center"], r["analysis"], r["metric"]) == ("ER", "all", "answered", "auc")
    ]
    auc = task(content, "ER")["metrics"]["auc"]
    assert float(row["value"]) == pytest.approx(auc["value"], rel=1e-5)
    assert int(row["n_events"]) == auc["n_events"]


def test_an_undefined_metric_is_null_with_a_reason(written: Written) -> None:
    raw, predictions = written
    targets = raw / "Dataset999_PHANTOM_Test" / "targets.csv"
    lines = targets.read_text().splitlines()
    negative = [lines[0]] + [re.sub(r"^(([^,]*,){3})[01],", r"\g<1>0,", line) for line in lines[1:]]
    targets.write_text("\n".join(negative) + "\n")
    content = json.loads(run_command(predictions)["evaluation.json"])
    auc = task(content, "ER")["metrics"]["auc"]
    assert auc["value"] is None
    assert auc["reason"] == "the cases do not have both classes"


def test_two_runs_write_equal_bytes(written: Written, tmp_path: Path) -> None:
    for name in ("first", "second"):
        main(["-p", str(written[1]), "-d", "999", "-o", str(tmp_path / name)])
    for name in ("evaluation.json", "evaluation.csv", "evaluation.html"):
        first, second = (tmp_path / run / name for run in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()


def test_the_page_stands_alone_and_marks_a_phantom(written: Written) -> None:
    html = run_command(written[1])["evaluation.html"]
    assert html.count("Research software, not a medical device") == 1
    assert "Phantom, not patient data." in html
    assert not re.search(r"(src|href)=\"(?!data:)", html)
    assert "<script" not in html
    assert html.count("data:image/svg+xml") == 4
    assert html.count("data:image/png") == 3
    for title in ("Best Dice", "Median Dice", "Worst Dice: case_011"):
        assert title in html


def test_a_page_of_patients_has_no_phantom_mark(written: Written) -> None:
    raw, predictions = written
    rewrite(raw / "Dataset999_PHANTOM_Test" / "dataset.json", lambda d: d["nnmtl"].pop("synthetic"))
    rewrite(predictions / "biomarkers.json", lambda d: d.update(trained_on="patients"))
    files = run_command(predictions)
    assert json.loads(files["evaluation.json"])["phantom"] is False
    html = files["evaluation.html"]
    assert "not patient data" not in html.lower()


def test_names_are_escaped_in_the_page(written: Written) -> None:
    rewrite(written[1] / "biomarkers.json", lambda d: d.update(model="<b>model</b>"))
    html = run_command(written[1])["evaluation.html"]
    assert "<b>model</b>" not in html
    assert "&lt;b&gt;model&lt;/b&gt;" in html


def test_a_case_without_label_map_is_left_out_of_dice_and_noted(written: Written) -> None:
    raw, predictions = written
    (raw / "Dataset999_PHANTOM_Test" / "labelsTs" / "case_002.nii.gz").unlink()
    content = evaluate(predictions)
    assert task(content, "segmentation")["metrics"]["dice"]["n"] == 11
    assert any("no true label map" in note for note in content["notes"])


def test_a_case_without_row_keeps_its_dice(written: Written) -> None:
    raw, predictions = written
    targets = raw / "Dataset999_PHANTOM_Test" / "targets.csv"
    lines = [line for line in targets.read_text().splitlines() if "case_005" not in line]
    targets.write_text("\n".join(lines) + "\n")
    content = evaluate(predictions)
    assert task(content, "segmentation")["metrics"]["dice"]["n"] == 12
    assert content["cases"]["case_005"]["biomarkers"]["ER"]["target"] is None
    assert "1 predicted cases have no row in targets.csv." in content["notes"]


def test_ignored_voxels_do_not_count(written: Written) -> None:
    raw, predictions = written
    whole = evaluate(predictions)["cases"]["case_004"]["segmentation"]
    dataset = raw / "Dataset999_PHANTOM_Test"
    rewrite(dataset / "dataset.json", lambda d: d["labels"].update(ignore=2))
    for case_id, ignored in (("case_002", np.s_[:]), ("case_004", np.s_[:, :20])):
        path = dataset / "labelsTs" / f"{case_id}.nii.gz"
        image = SimpleITK.ReadImage(str(path))
        array = SimpleITK.GetArrayFromImage(image)
        array[ignored] = 2
        changed = SimpleITK.GetImageFromArray(array)
        changed.CopyInformation(image)
        SimpleITK.WriteImage(changed, str(path))
    content = evaluate(predictions)
    assert content["cases"]["case_002"]["segmentation"] is None
    half = content["cases"]["case_004"]["segmentation"]
    for volume in ("true_volume_ml", "predicted_volume_ml"):
        assert 0 < half[volume] < whole[volume]
    assert half["dice"] == pytest.approx(whole["dice"], abs=0.2)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["-d", "998"], "expected one folder Dataset998_\\* in .*, found none"),
        (["-d", "999", "--split", "Tr"], "expected all predicted cases in imagesTr"),
    ],
)
def test_a_wrong_dataset_or_split_is_told_in_a_sentence(
    written: Written, arguments: list[str], complaint: str
) -> None:
    with pytest.raises(NnmtlError, match=complaint):
        main(["-p", str(written[1]), *arguments])


def test_predictions_of_other_cases_are_refused(written: Written) -> None:
    rewrite(
        written[1] / "biomarkers.json",
        lambda d: d["cases"].update(stranger=d["cases"]["case_000"]),
    )
    with pytest.raises(NnmtlError, match="such as 'stranger'"):
        evaluate(written[1])


def test_a_lost_label_map_is_refused_unless_the_case_failed(written: Written) -> None:
    (written[1] / "case_011.nii.gz").unlink()
    assert evaluate(written[1])["cases"]["case_011"]["segmentation"]["dice"] == 0
    (written[1] / "case_001.nii.gz").unlink()
    with pytest.raises(NnmtlError, match=r"case_001\.nii\.gz: expected the label map"):
        evaluate(written[1])


def test_a_label_map_of_another_shape_is_refused(written: Written) -> None:
    small = SimpleITK.GetImageFromArray(np.zeros((4, 4, 4), np.uint8))
    SimpleITK.WriteImage(small, str(written[1] / "case_001.nii.gz"))
    with pytest.raises(NnmtlError, match=r"expected the shape \(16, 40, 40\)"):
        evaluate(written[1])


def test_other_categories_under_one_name_are_refused(written: Written) -> None:
    def rename(dataset: dict) -> None:
        dataset["nnmtl"]["biomarkers"][1]["categories"] = ["low", "zero", "positive"]

    rewrite(written[0] / "Dataset999_PHANTOM_Test" / "dataset.json", rename)
    with pytest.raises(NnmtlError, match="zero/low/positive, but the dataset declares"):
        evaluate(written[1])


def test_an_unset_variable_is_named(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("nnUNet_raw")
    with pytest.raises(NnmtlError, match="nnUNet_raw is expected to name a folder"):
        main(["-p", str(written[1]), "-d", "999"])


def test_help_answers_without_heavy_imports() -> None:
    code = (
        "import sys; from nnmtl.cli.evaluate import build_parser; build_parser().format_help();"
        "assert not {'torch', 'SimpleITK', 'matplotlib', 'nnunetv2'} & set(sys.modules)"
    )
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True)
    assert time.monotonic() - start < 5


def test_evaluating_needs_no_torch(written: Written) -> None:
    code = (
        "import sys; from nnmtl.cli.evaluate import main;"
        f"main(['-p', {str(written[1])!r}, '-d', '999']);"
        "assert not {'torch', 'nnunetv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
