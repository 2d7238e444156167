"""The jobs of a comparison: each trains one fold of one preset with one seed, and predicts."""

import logging
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnmtl.errors import NnmtlError
from nnmtl.evaluation.results import Split
from nnmtl.experiments.compare_preparation import CONFIGURATION, plans_path, prepare
from nnmtl.experiments.known_covariates import write_known_covariates
from nnmtl.experiments.lock import alone
from nnmtl.inference.predictions import JSON_NAME
from nnmtl.nnunet.cohort_files import read_json, write_json
from nnmtl.nnunet.folders import raw_folder, results_folder
from nnmtl.nnunet.plan_center import plan_new_center
from nnmtl.nnunet.predict_folder import predict_folder
from nnmtl.nnunet.prediction_input import CHECKPOINT
from nnmtl.nnunet.training_run import (
    SETTINGS,
    RunSettings,
    model_folder,
    run_record,
    seeded_name,
    train,
)
from nnmtl.planning.preset import file_name_part, plans_name

logger = logging.getLogger(__name__)

MADE_BY = "made_by.json"  # in a job's folder: the checkpoint that predicted


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training with its predictions of held-out cases.

    Attributes:
        dataset: dataset name.
        output: folder of the comparison.
        preset: of the plans, with its biomarker if it is of one task.
        fold: to train; a number, or "all".
        seed: of the training.
        split: `Ts` predicts the test cases, `Tr` the fold's validation cases.
        device: cpu, cuda or mps.
        center: of all test cases, for which the model is configured as for one that it has not
            seen, and what its heads saw is kept; None predicts them as they are.
    """

    dataset: str
    output: Path
    preset: str
    fold: int | str
    seed: int
    split: Split
    device: str
    center: str | None = None

    @property
    def name(self) -> str:
        """As `--only` takes it."""
        return f"{file_name_part(self.preset)}__fold_{self.fold}__seed_{self.seed}"

    @property
    def fold_folder(self) -> Path:
        """The fold's folder in the model's."""
        return self.model / f"fold_{self.fold}"

    @property
    def model(self) -> Path:
        """The model's folder."""
        name = seeded_name(plans_name(self.preset), self.seed)
        return model_folder(self.dataset, name, CONFIGURATION)

    @property
    def predictions(self) -> Path:
        """The folder of predicted held-out cases."""
        if self.split == "Tr":
            return self.fold_folder / "validation"
        return self.output / self.name / "predictions"

    @property
    def command(self) -> str:
        """The shell command that runs this job alone."""
        words = [
            "nnMTL_compare", "-d", self.dataset, "-o", str(self.output), "--presets", self.preset,
            "--folds", str(self.fold), "--seeds", str(self.seed), "--split", self.split,
            "-device", self.device, "--only", self.name,
        ]  # fmt: skip
        return shlex.join(words)


def find_job(jobs: Sequence[Job], name: str) -> Job:
    """The job of this name; raises `NnmtlError` naming those there are."""
    found = [job for job in jobs if job.name == name]
    if not found:
        raise NnmtlError(
            f"--only {name}: expected one of the jobs of this comparison, which are "
            f"{', '.join(job.name for job in jobs) or 'none'}; copy a line of --list-jobs."
        )
    return found[0]


def is_finished(job: Job) -> bool:
    """Whether its model is trained and has predicted.

    Raises:
        NnmtlError: if the model's folder holds a run with other plans or settings.
    """
    return _is_trained(job) and _is_predicted(job)


def run_jobs(jobs: Sequence[Job], *, after_epoch: Callable[[Path], None]) -> None:
    """Runs what is not finished, one job after another; what an interruption left goes on.

    Args:
        jobs: in their order.
        after_epoch: called with the fold's folder when an epoch of training has ended.
    """
    todo = [job for job in jobs if not is_finished(job)]
    if jobs:
        logger.info("%d of %d jobs are finished", len(jobs) - len(todo), len(jobs))
    started = time.monotonic()
    for number, job in enumerate(todo):
        left = time_left(time.monotonic() - started, done=number, todo=len(todo) - number)
        logger.info("Job %d of %d: %s%s", number + 1, len(todo), job.name, left)
        run_job(job, after_epoch=after_epoch)


def run_job(job: Job, *, after_epoch: Callable[[Path], None]) -> None:
    """Prepares, trains and predicts what is not done; another process on the job is waited for."""
    with alone(job.output / job.name, doing=job.name):
        if not _is_trained(job) or (job.split == "Tr" and not _is_predicted(job)):
            prepare(job.dataset, job.preset)
            _train(job, after_epoch)
        if job.split == "Ts" and not _is_predicted(job):
            _predict(job)


def _is_trained(job: Job) -> bool:
    path = plans_path(job.dataset, job.preset)
    if not path.is_file() or not (job.fold_folder / CHECKPOINT).is_file():
        return False
    plans = read_json(path)
    plans["plans_name"] = seeded_name(plans["plans_name"], job.seed)
    if read_json(job.fold_folder / SETTINGS) != run_record(plans, CONFIGURATION, seed=job.seed):
        raise NnmtlError(
            f"{job.fold_folder}: expected a run as {path} plans it, got one with other plans, "
            "epochs or pretrained weights; move the folder away to train anew."
        )
    return True


def _is_predicted(job: Job) -> bool:
    if not (job.predictions / JSON_NAME).is_file():
        return False
    if job.split == "Tr":
        return True
    made_by = job.output / job.name / MADE_BY
    return made_by.is_file() and read_json(made_by) == _checkpoint(job)


def _train(job: Job, after_epoch: Callable[[Path], None]) -> None:
    settings = RunSettings(
        dataset=job.dataset,
        plans_name=plans_name(job.preset),
        configuration=CONFIGURATION,
        fold=job.fold,
        seed=job.seed,
        epochs=None,
        iterations=None,
        device=job.device,
        continue_training=True,
    )
    train(settings, after_epoch=after_epoch, predict_validation=job.split == "Tr")


def _predict(job: Job) -> None:
    import torch

    images = raw_folder(job.dataset) / "imagesTs"
    if job.center is not None:
        plan_new_center(job.model, images, job.center)
    predict_folder(
        images,
        job.predictions,
        job.model,
        folds=[job.fold],
        device=torch.device(job.device),
        center=job.center,
        with_features=True,  # tells how well the heads' view tells the center
        covariates=write_known_covariates(
            raw_folder(job.dataset), images, job.output / job.name / "covariates.csv"
        ),
    )
    write_json(_checkpoint(job), job.output / job.name / MADE_BY)


def _checkpoint(job: Job) -> dict[str, Any]:
    """Which model predicts: that of another dataset or of another training is another."""
    path = job.fold_folder / CHECKPOINT
    where = path.relative_to(results_folder(job.dataset).parent)
    return {"checkpoint": where.as_posix(), "written_ns": path.stat().st_mtime_ns}


def time_left(seconds: float, *, done: int, todo: int) -> str:
    """Jobs take about equally long; nothing is known before the first has ended."""
    if not done:
        return ""
    minutes = max(1, round(seconds / done * todo / 60))
    told = f"{minutes} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"
    return f", about {told} left for all"
