"""Leaving a center out: which cases are learned from, what is listed, and what is told."""

import json
import shlex
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK

from nnmtl.cli.leave_one_center_out import build_parser, main
from nnmtl.cohort.biomarker import BinaryBiomarker
from nnmtl.cohort.raw_dataset import check_raw_dataset
from nnmtl.errors import NnmtlError
from nnmtl.experiments.center_dataset import dataset_without, left_out_centers, write_dataset
from nnmtl.experiments.leave_one_center_out import LeaveOutSettings, list_center_jobs
from nnmtl.inference.case_prediction import STATUS_OK
from nnmtl.inference.predictions import (
    BiomarkerPrediction,
    CasePrediction,
    PredictionSet,
    write_predictions,
)

DATASET = "Dataset007_Test"


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Four cases of two centers, and one without a row; one test case that no job may see."""
    folder = tmp_path / "nnUNet_raw" / DATASET
    for name in ("imagesTr", "labelsTr", "imagesTs"):
        (folder / name).mkdir(parents=True)
    for case in ("a1", "a2", "b1", "b2", "c1"):
        image = SimpleITK.GetImageFromArray(np.ones((4, 4, 4), np.uint8))
        SimpleITK.WriteImage(image, str(folder / "imagesTr" / f"{case}_0000.nii.gz"))
        SimpleITK.WriteImage(image, str(folder / "labelsTr" / f"{case}.nii.gz"))
    image_bytes = (folder / "imagesTr" / "a1_0000.nii.gz").read_bytes()
    (folder / "imagesTs" / "t1_0000.nii.gz").write_bytes(image_bytes)
    rows = ["a1,p1,A,1", "a2,p1,A,1", "b1,p2,St B,0", "b2,p3,St B,1", "t1,p4,A,0"]
    (folder / "targets.csv").write_text("case_id,patient_id,center,ER\n" + "\n".join(rows) + "\n")
    declared = {
        "schema": 1,
        "tumor_labels": [1],
        "biomarkers": [{"name": "ER", "kind": "binary"}],
        "covariates": [],
    }
    content = {
        "channel_names": {"0": "pre"},
        "labels": {"background": 0, "tumor": 1},
        "numTraining": 5,
        "file_ending": ".nii.gz",
        "nnmtl": declared,
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "nnUNet_raw"))
    for variable in ("nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    return folder


def test_the_cases_of_a_center_are_tested_and_all_others_are_trained_on(source):
    by_center = {each.center: each for each in left_out_centers(source, None)}
    assert by_center["A"].test == ("a1", "a2")
    assert by_center["A"].train == ("b1", "b2", "c1")
    assert by_center["St B"].train == ("a1", "a2", "c1")
    assert dataset_without(DATASET, by_center["St B"]) == f"{DATASET}_without_st-b"


def test_the_dataset_holds_no_image_of_the_center_among_those_to_learn_from(source, tmp_path):
    (left_out,) = left_out_centers(source, ["A"])
    target = tmp_path / "out" / "Dataset007_Test_without_a"
    write_dataset(source, target, left_out)
    names = {
        part: sorted(path.name for path in (target / part).iterdir())
        for part in ("imagesTr", "labelsTr", "imagesTs", "labelsTs")
    }
    assert names["imagesTr"] == [f"{case}_0000.nii.gz" for case in ("b1", "b2", "c1")]
    assert names["labelsTr"] == ["b1.nii.gz", "b2.nii.gz", "c1.nii.gz"]
    assert names["imagesTs"] == ["a1_0000.nii.gz", "a2_0000.nii.gz"]
    assert names["labelsTs"] == ["a1.nii.gz", "a2.nii.gz"]
    assert json.loads((target / "dataset.json").read_text())["numTraining"] == 3
    assert "t1" not in (target / "targets.csv").read_text()
    errors = [each.message for each in check_raw_dataset(target) if each.level == "error"]
    assert not [message for message in errors if "image" in message]
    before = (target / "dataset.json").stat().st_mtime_ns
    write_dataset(source, target, left_out)
    assert (target / "dataset.json").stat().st_mtime_ns == before


def test_a_dataset_that_was_made_from_other_cases_is_refused(source, tmp_path):
    (left_out,) = left_out_centers(source, ["A"])
    target = tmp_path / "out" / "Dataset007_Test_without_a"
    write_dataset(source, target, left_out)
    with pytest.raises(NnmtlError, match="it was made from others"):
        write_dataset(source, target, replace(left_out, train=left_out.train[1:]))


@pytest.mark.parametrize(
    ("centers", "message"), [(["C"], r"--centers C: .* which are A, St B"), (["t1"], "--centers")]
)
def test_a_center_that_is_not_there_is_refused(source, centers, message):
    with pytest.raises(NnmtlError, match=message):
        left_out_centers(source, centers)


def settings(source, tmp_path, **changes):
    options = {
        "source": source,
        "output": tmp_path / "out",
        "preset": "tiny_cpu",
        "centers": None,
        "seed": 3,
        "device": "cpu",
        "pooled": None,
    }
    return LeaveOutSettings(**options | changes)


def test_each_center_has_a_job_that_trains_all_others_and_configures_for_it(source, tmp_path):
    jobs = list_center_jobs(settings(source, tmp_path))
    assert [each.job.center for each in jobs] == ["A", "St B"]
    assert {(each.job.fold, each.job.split, each.job.seed) for each in jobs} == {("all", "Ts", 3)}
    assert len({each.job.predictions for each in jobs}) == 2
    assert not any(each.job.dataset == DATASET for each in jobs)


def test_a_pooled_model_without_validation_cases_is_refused_before_training(source, tmp_path):
    with pytest.raises(NnmtlError, match=r"--pooled .*expected a model folder with fold_\*"):
        list_center_jobs(settings(source, tmp_path, pooled=tmp_path))


def test_a_preset_that_cannot_be_planned_is_refused_before_training(source, tmp_path):
    assert list_center_jobs(settings(source, tmp_path, preset="single_task:ER"))
    for preset in ("single_task", "single_task:PR"):
        with pytest.raises(NnmtlError, match="expected one biomarker behind a colon"):
            list_center_jobs(settings(source, tmp_path, preset=preset))


@pytest.mark.parametrize(("case_id", "is_of_source"), [("a1", True), ("z9", False)])
def test_a_pooled_model_of_another_dataset_is_refused_before_training(
    source, tmp_path, case_id, is_of_source
):
    folder = tmp_path / "pooled" / "fold_0" / "validation"
    folder.mkdir(parents=True)
    write_predictions(predictions_of(case_id), folder)
    asked = settings(source, tmp_path, pooled=tmp_path / "pooled")
    if is_of_source:
        assert list_center_jobs(asked)
    else:
        with pytest.raises(NnmtlError, match=rf"images.* of {DATASET}, got 'z9'"):
            list_center_jobs(asked)


def predictions_of(case_id):
    answer = BiomarkerPrediction(answer=(0.5,))
    case = CasePrediction(
        case_id=case_id,
        center="A",
        status=STATUS_OK,
        reason=None,
        flags=(),
        tumor_volume_ml=1.0,
        biomarkers={"ER": answer},
    )
    return PredictionSet(
        trained_on="patients",
        model="model",
        folds=(0,),
        biomarkers=(BinaryBiomarker(name="ER"),),
        thresholds={},
        training_median={},
        cases=(case,),
    )


def test_a_device_that_is_not_there_is_refused_before_a_folder_is_made(
    source, tmp_path, monkeypatch
):
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(variable, str(tmp_path / variable))  # which the command sets
    monkeypatch.setenv("nnUNet_def_n_proc", "1")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    words = ["-d", "7", "-o", str(tmp_path / "new"), "--preset", "tiny_cpu", "-device", "cuda"]
    with pytest.raises(NnmtlError, match="-device cuda"):
        main(words)
    assert not (tmp_path / "new").exists()


def test_the_listed_commands_are_complete_and_write_nothing(source, tmp_path, capsys, monkeypatch):
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(variable, str(tmp_path / variable))  # which the command sets
    monkeypatch.setenv("nnUNet_def_n_proc", "1")
    words = ["-d", "7", "-o", str(tmp_path / "new"), "--preset", "tiny_cpu", "-device", "cpu"]
    assert main([*words, "--list-jobs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert not (tmp_path / "new").exists()
    commands = [build_parser().parse_args(shlex.split(line)[1:]) for line in lines]
    assert [command.only for command in commands] == ["A", "St B"]
    assert {(command.preset, command.device) for command in commands} == {("tiny_cpu", "cpu")}
