"""The jobs of a comparison: what is listed, what is done, and what is not done twice."""

import json
import logging
import shlex
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from nnmtl.cli.compare import build_parser
from nnmtl.errors import NnmtlError
from nnmtl.experiments import compare_jobs, compare_preparation
from nnmtl.experiments.compare import CompareSettings, Named, list_jobs
from nnmtl.experiments.compare_jobs import find_job, is_finished, run_job, run_jobs
from nnmtl.experiments.lock import alone

DATASET = "Dataset007_Test"
CONFIGURATION = {
    "spacing": [2.0, 1.0, 1.0],
    "normalization_schemes": ["ZScoreNormalization"],
    "patch_size": [32, 32, 32],
    "batch_size": 2,
    "nnmtl": {"epochs": 3},
}


def plan(preset: str, **changes: object) -> Path:
    """Writes a plans file as the planner names it; `nnMTLPlans` for the default preset."""
    name = "nnMTLPlans" if preset == "spatial_mtl" else f"nnMTLPlans_{preset}"
    path = compare_preparation.plans_path(DATASET, preset)
    configuration = CONFIGURATION | {"data_identifier": f"{name}_3d_fullres"} | changes
    content = {
        "plans_name": name,
        "foreground_intensity_properties_per_channel": {},
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "configurations": {"3d_fullres": configuration},
    }
    path.write_text(json.dumps(content))
    return path


class Stages:
    """Stands in for the stages of nnU-Net: each notes its call and leaves its files."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fails_at: str | None = None

    def note(self, call: str) -> None:
        self.calls.append(call)
        if call == self.fails_at:
            raise KeyboardInterrupt

    def extract_fingerprint(self, dataset: str) -> None:
        self.note("fingerprint")
        path = compare_preparation.preprocessed_folder(dataset) / "nnmtl_fingerprint.json"
        path.write_text("{}")

    def plan_experiment(self, dataset: str, *, preset_name: str) -> None:
        self.note(f"plan {preset_name}")
        plan(preset_name, batch_size=len(self.calls))

    def preprocess(self, dataset: str, plans: str, configuration: str) -> None:
        self.note(f"preprocess {plans}")
        (compare_preparation.preprocessed_folder(dataset) / f"{plans}_{configuration}").mkdir()

    def train(self, settings, *, after_epoch, predict_validation) -> None:
        assert settings.continue_training  # else an interrupted training would be refused
        model = f"nnMTLTrainer__{settings.plans_name}_seed{settings.seed}__3d_fullres"
        folder = compare_jobs.results_folder(DATASET) / model / f"fold_{settings.fold}"
        self.note(f"train {settings.plans_name} fold {settings.fold} seed {settings.seed}")
        folder.mkdir(parents=True, exist_ok=True)
        path = compare_preparation.preprocessed_folder(DATASET) / f"{settings.plans_name}.json"
        plans = json.loads(path.read_text())
        run = {
            "seed": settings.seed,
            "plans_name": f"{plans['plans_name']}_seed{settings.seed}",
            "configuration": plans["configurations"].pop("3d_fullres"),
        }
        if plans["configurations"]:
            run["centers"] = plans["configurations"]
        (folder / "nnmtl_run.json").write_text(json.dumps(run))
        (folder / "checkpoint_final.pth").touch()
        if predict_validation:
            (folder / "validation").mkdir()
            (folder / "validation" / "biomarkers.json").write_text("{}")

    def predict_folder(
        self, images: Path, output: Path, model: Path, *, folds, device, center, with_features,
        covariates,
    ) -> None:  # fmt: skip
        self.note(f"predict fold {folds[0]} of {model.name}")
        assert images.name == "imagesTs"
        assert (model / f"fold_{folds[0]}" / "checkpoint_final.pth").is_file()
        output.mkdir(parents=True, exist_ok=True)
        (output / "biomarkers.json").write_text("{}")


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stages:
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (tmp_path / variable / DATASET).mkdir(parents=True)
        monkeypatch.setenv(variable, str(tmp_path / variable))
    images = tmp_path / "nnUNet_raw" / DATASET / "imagesTs"
    images.mkdir()
    (images / "case_0000.nii.gz").touch()
    fakes = Stages()
    for name in ("extract_fingerprint", "plan_experiment", "preprocess"):
        monkeypatch.setattr(compare_preparation, name, getattr(fakes, name))
    monkeypatch.setattr(compare_jobs, "write_known_covariates", lambda *_: None)
    for name in ("train", "predict_folder"):
        monkeypatch.setattr(compare_jobs, name, getattr(fakes, name))
    monkeypatch.setattr(compare_preparation, "check_raw_dataset", lambda _: [])
    return fakes


def settings(tmp_path: Path, *presets: str, folds=(0,), seeds=(0,), split="Ts") -> CompareSettings:
    return CompareSettings(
        dataset=DATASET,
        output=tmp_path / "out",
        named=tuple(Named(name=preset) for preset in presets),
        folds=folds,
        seeds=seeds,
        split=split,
        device="cpu",
    )


def jobs_of(tmp_path: Path, *presets: str, **options):
    return list_jobs(settings(tmp_path, *presets, **options))


def run_all(jobs) -> None:
    run_jobs(jobs, after_epoch=lambda _: None)


def test_every_preset_is_trained_with_the_first_seed_and_fold_before_the_next(tmp_path, stages):
    jobs = jobs_of(tmp_path, "tiny_cpu", "spatial_mtl", folds=(0, 1), seeds=(0, 5))
    assert [job.name for job in jobs] == [
        f"{preset}__fold_{fold}__seed_{seed}"
        for seed in (0, 5)
        for fold in (0, 1)
        for preset in ("tiny_cpu", "spatial_mtl")
    ]


def test_a_listed_command_asks_for_just_that_job(tmp_path, stages):
    jobs = jobs_of(tmp_path / "with space", "tiny_cpu+core_only", "spatial_mtl", seeds=(3, 4))
    for job in jobs:
        command, *words = shlex.split(job.command)
        assert command == "nnMTL_compare"
        arguments = build_parser().parse_args(words)
        again = CompareSettings(
            dataset=arguments.dataset,
            output=arguments.output,
            named=tuple(Named(name=name) for _, name, _ in arguments.entries),
            folds=tuple(arguments.folds),
            seeds=tuple(arguments.seeds),
            split=arguments.split,
            device=arguments.device,
        )
        assert find_job(list_jobs(again), arguments.only) == job


def test_a_job_that_is_not_of_the_comparison_is_refused(tmp_path, stages):
    jobs = jobs_of(tmp_path, "tiny_cpu")
    with pytest.raises(NnmtlError, match=r"--only tiny: expected .* tiny_cpu__fold_0__seed_0"):
        find_job(jobs, "tiny")


def test_all_stages_run_once_and_nothing_is_done_again(tmp_path, stages):
    jobs = jobs_of(tmp_path, "tiny_cpu", seeds=(0, 1))
    run_all(jobs)
    model = "nnMTLTrainer__nnMTLPlans_tiny_cpu_seed{}__3d_fullres"
    expected = ["fingerprint", "plan tiny_cpu", "preprocess nnMTLPlans_tiny_cpu"]
    for seed in (0, 1):
        expected.append(f"train nnMTLPlans_tiny_cpu fold 0 seed {seed}")
        expected.append(f"predict fold 0 of {model.format(seed)}")
    assert stages.calls == expected
    run_all(jobs)
    assert stages.calls == expected


@pytest.mark.parametrize("position", range(5))
def test_an_interrupted_comparison_goes_on_at_the_stage_where_it_stopped(
    tmp_path, stages, position
):
    jobs = jobs_of(tmp_path, "tiny_cpu")
    whole = [
        "fingerprint", "plan tiny_cpu", "preprocess nnMTLPlans_tiny_cpu",
        "train nnMTLPlans_tiny_cpu fold 0 seed 0",
        "predict fold 0 of nnMTLTrainer__nnMTLPlans_tiny_cpu_seed0__3d_fullres",
    ]  # fmt: skip
    stages.fails_at = whole[position]
    with pytest.raises(KeyboardInterrupt):
        run_all(jobs)
    assert not is_finished(jobs[0])
    stages.fails_at = None
    stages.calls.clear()
    run_all(jobs)
    assert stages.calls == whole[position:]


def test_presets_with_equal_preprocessing_share_their_arrays(tmp_path, stages):
    run_all(jobs_of(tmp_path, "tiny_cpu", "spatial_mtl"))
    assert [call for call in stages.calls if "preprocess" in call] == [
        "preprocess nnMTLPlans_tiny_cpu"
    ]
    path = compare_preparation.plans_path(DATASET, "spatial_mtl")
    configuration = json.loads(path.read_text())["configurations"]["3d_fullres"]
    assert configuration["data_identifier"] == "nnMTLPlans_tiny_cpu_3d_fullres"


@pytest.mark.parametrize(
    "changes", [{"spacing": [1.0, 1.0, 1.0]}, {"use_mask_for_norm": [True]}, {"unheard_of": 1}]
)
def test_presets_with_other_preprocessing_have_their_own_arrays(tmp_path, stages, changes):
    plan("tiny_cpu", **changes)
    run_all(jobs_of(tmp_path, "tiny_cpu", "spatial_mtl"))
    assert [call for call in stages.calls if "preprocess" in call] == [
        "preprocess nnMTLPlans_tiny_cpu",
        "preprocess nnMTLPlans",
    ]


def test_presets_with_other_grids_of_a_center_have_their_own_arrays(tmp_path, stages):
    path = plan("tiny_cpu")
    plans = json.loads(path.read_text())
    plans["configurations"]["3d_fullres_a"] = {"spacing": [3.0, 1.0, 1.0], "nnmtl": {}}
    path.write_text(json.dumps(plans))
    run_all(jobs_of(tmp_path, "tiny_cpu", "spatial_mtl"))
    assert [call for call in stages.calls if "preprocess" in call] == [
        "preprocess nnMTLPlans_tiny_cpu",
        "preprocess nnMTLPlans",
    ]


def test_on_validation_cases_the_training_predicts_and_test_images_are_not_needed(tmp_path, stages):
    (tmp_path / "nnUNet_raw" / DATASET / "imagesTs" / "case_0000.nii.gz").unlink()
    with pytest.raises(NnmtlError, match=r"expected the images of test cases.*--split Tr"):
        jobs_of(tmp_path, "tiny_cpu")
    jobs = jobs_of(tmp_path, "tiny_cpu", folds=(0, 1), split="Tr")
    run_all(jobs)
    assert [call.split()[0] for call in stages.calls[-2:]] == ["train", "train"]
    assert all(is_finished(job) for job in jobs)
    validation = jobs[1].predictions / "biomarkers.json"
    assert validation.parent.parent.name == "fold_1"
    validation.unlink()  # as an interruption after the training would leave it
    assert not is_finished(jobs[1])


def test_predictions_of_another_training_are_made_anew(tmp_path, stages):
    (job,) = jobs_of(tmp_path, "tiny_cpu")
    run_all([job])
    (job.fold_folder / "checkpoint_final.pth").unlink()
    stages.calls.clear()
    time.sleep(0.01)
    run_all([job])
    assert [call.split()[0] for call in stages.calls] == ["train", "predict"]


def test_a_model_of_other_plans_is_neither_used_nor_overwritten(tmp_path, stages):
    (job,) = jobs_of(tmp_path, "tiny_cpu")
    run_all([job])
    plan("tiny_cpu", nnmtl={"epochs": 999})
    stages.calls.clear()
    with pytest.raises(NnmtlError, match=r"got one with other plans.*move the folder away"):
        run_all([job])
    assert stages.calls == []


def test_a_dataset_with_errors_is_refused_before_anything_is_written(tmp_path, stages, monkeypatch):
    from nnmtl.cohort.validation import Finding

    finding = Finding(level="error", message="targets.csv: something is wrong.")
    monkeypatch.setattr(compare_preparation, "check_raw_dataset", lambda _: [finding])
    with pytest.raises(NnmtlError, match=r"got 1, the first being: targets.csv: something"):
        run_all(jobs_of(tmp_path, "tiny_cpu"))
    assert stages.calls == []


@pytest.mark.parametrize(
    ("presets", "options", "message"),
    [
        (["tiny_gpu"], {}, "expected one of .*tiny_cpu.* but got 'tiny_gpu'"),
        (["tiny_cpu", "tiny_cpu"], {}, "tiny_cpu: expected .* different names"),
        (["tiny_cpu"], {"folds": ("all",), "split": "Tr"}, "--folds all: expected fold numbers"),
        (["tiny_cpu"], {"folds": (0, 5)}, "fold 5: expected 0 to 4, or all"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_training(
    tmp_path, stages, presets, options, message
):
    with pytest.raises(NnmtlError, match=message):
        jobs_of(tmp_path, *presets, **options)


def test_progress_tells_the_jobs_and_the_time_that_is_left(tmp_path, stages, monkeypatch, caplog):
    clock = iter([0.0, 0.0, 600.0, 1200.0])
    monkeypatch.setattr(compare_jobs, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    jobs = jobs_of(tmp_path, "tiny_cpu", seeds=(0, 1, 2))
    with caplog.at_level(logging.INFO, logger=compare_jobs.__name__):
        run_all(jobs)
    told = [message for message in caplog.messages if message.startswith(("Job", "0"))]
    assert told == [
        "0 of 3 jobs are finished",
        "Job 1 of 3: tiny_cpu__fold_0__seed_0",
        "Job 2 of 3: tiny_cpu__fold_0__seed_1, about 20 minutes left for all",
        "Job 3 of 3: tiny_cpu__fold_0__seed_2, about 10 minutes left for all",
    ]


def test_a_second_run_waits_until_the_first_has_ended(tmp_path):
    """The lock belongs to the opened file, so that a thread stands for another process."""
    has_entered = threading.Event()

    def enter():
        with alone(tmp_path, doing="this"):
            has_entered.set()

    with alone(tmp_path, doing="this"):
        other = threading.Thread(target=enter)
        other.start()
        assert not has_entered.wait(0.2)
    assert has_entered.wait(10)
    other.join()


def test_one_job_alone_leaves_the_others(tmp_path, stages):
    first, second = jobs_of(tmp_path, "tiny_cpu", "spatial_mtl")
    run_job(second, after_epoch=lambda _: None)
    assert is_finished(second)
    assert not is_finished(first)


@pytest.fixture
def declares(tmp_path):
    """Writes a declaration of binary biomarkers."""

    def write(*names):
        biomarkers = [{"name": name, "kind": "binary"} for name in names]
        declared = {"schema": 1, "tumor_labels": [1], "biomarkers": biomarkers}
        path = tmp_path / "nnUNet_raw" / DATASET / "dataset.json"
        path.write_text(json.dumps({"nnmtl": declared}))

    return write


def test_a_single_task_preset_is_a_job_per_declared_biomarker(tmp_path, stages, declares):
    declares("ER", "PR")
    jobs = jobs_of(tmp_path, "single_task", "single_task:PR", seeds=(0, 1))
    assert [job.name for job in jobs] == [
        f"single_task-{name}__fold_0__seed_{seed}" for seed in (0, 1) for name in ("ER", "PR")
    ]
    command = shlex.split(jobs[1].command)
    assert command[command.index("--presets") + 1] == "single_task:PR"
    assert jobs_of(tmp_path, "single_task:PR") == [jobs[1]]


@pytest.mark.parametrize("preset", ["single_task", "single_task:HER2"])
def test_a_single_task_without_its_biomarker_is_refused(tmp_path, stages, declares, preset):
    declares(*(["ER"] if ":" in preset else []))
    with pytest.raises(NnmtlError, match=rf"--preset {preset}: expected one biomarker behind"):
        jobs_of(tmp_path, preset)
