"""docs/add-a-center.md, followed word for word as far as no network is trained."""

import os
import re
import shlex
from pathlib import Path

from nnmtl.cli.convert import main
from nnmtl.cohort.raw_dataset import check_raw_dataset

PAGE = (Path(__file__).parents[4] / "docs" / "add-a-center.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def converter_commands():
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    found = [shlex.split(line)[1:] for line in lines if line.startswith("nnMTL_convert ")]
    return [[word.replace("$nnUNet_raw", os.environ["nnUNet_raw"]) for word in w] for w in found]


def test_the_guide_leads_to_a_dataset(dicom, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "nnUNet_raw"))
    exams = [dicom.default_exam(phases=2, patient_id=f"{4711 + index}") for index in range(5)]
    dicom.write(tmp_path / "export", [file for exam in exams for file in exam.files()])
    (table,) = blocks("csv")
    rows = [f"{4711 + index},{index}0,<1,{index % 4}+,neg,15\n" for index in range(1, 5)]
    (tmp_path / "cases.csv").write_text(table + "".join(rows))
    for language, name in (("python", "join.py"), ("json", "columns.json")):
        (tmp_path / name).write_text(*blocks(language))
    dry_run, convert, join = converter_commands()
    assert main(dry_run) == main(convert) == 0
    exec((tmp_path / "join.py").read_text(), {})
    assert main(join) == 0
    dataset = tmp_path / "nnUNet_raw" / "Dataset002_BreastNorth"
    assert sum(line.endswith(",North,1,0,0,20-30") for line in lines_of(dataset)) == 1
    errors = [item.message for item in check_raw_dataset(dataset) if item.level == "error"]
    assert all("add cases" in error for error in errors)


def lines_of(dataset):
    return (dataset / "targets.csv").read_text().splitlines()
