"""Trains without each center, configures the model for it as for a new one, and judges it there."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnmtl.errors import NnmtlError
from nnmtl.evaluation.center_probe import CenterProbe, probe_centers
from nnmtl.evaluation.compared import Part
from nnmtl.evaluation.left_out import LeaveOneCenterOut, judge_left_out
from nnmtl.evaluation.raw_dataset import RawDataset, read_raw_dataset
from nnmtl.experiments.center_dataset import (
    LeftOut,
    dataset_without,
    left_out_centers,
    write_dataset,
)
from nnmtl.experiments.compare import part_reader, read_predictions_of
from nnmtl.experiments.compare_jobs import Job, is_finished, run_job, time_left
from nnmtl.experiments.known_covariates import write_known_covariates
from nnmtl.experiments.lock import alone
from nnmtl.inference.predictions import JSON_NAME
from nnmtl.nnunet.cohort_files import CENTERS_FOLDER, read_json
from nnmtl.nnunet.folders import raw_folder
from nnmtl.nnunet.head_features import FEATURES, read_features
from nnmtl.nnunet.predict_folder import predict_folder
from nnmtl.planning.preset import load_preset, planned_biomarkers

logger = logging.getLogger(__name__)

# Cases of each training center that the probe looks at: more take time, and tell it no better.
PROBE_CASES = 40


@dataclass(frozen=True, kw_only=True)
class LeaveOutSettings:
    """What the experiment is told.

    Attributes:
        source: folder of the raw dataset.
        output: folder of the experiment, which holds nnU-Net's three.
        preset: of the plans.
        centers: to leave out; None takes each.
        seed: of the trainings.
        device: cpu, cuda or mps.
        pooled: folder of a model trained on all centers, with predicted validation cases; or None.
    """

    source: Path
    output: Path
    preset: str
    centers: tuple[str, ...] | None
    seed: int
    device: str
    pooled: Path | None


@dataclass(frozen=True, kw_only=True)
class CenterJob:
    """One center: its cases, and the training without them.

    Attributes:
        left_out: the cases.
        job: that trains on all others and predicts them.
    """

    left_out: LeftOut
    job: Job

    @property
    def probe(self) -> Path:
        """The folder of predicted cases of the other centers, for the probe."""
        return self.job.output / "probe"


def list_center_jobs(settings: LeaveOutSettings) -> list[CenterJob]:
    """A job per center, finished or not.

    Raises:
        NnmtlError: if the preset, a center or the pooled model is not there, or the pooled model is
            of another dataset.
    """
    raw = read_raw_dataset(settings.source)
    planned_biomarkers(load_preset(settings.preset), raw.declaration)
    for folder in [] if settings.pooled is None else _pooled_folders(settings.pooled):
        read_predictions_of(raw, "Tr", folder)
    return [
        CenterJob(
            left_out=left_out,
            job=Job(
                dataset=dataset_without(settings.source.name, left_out),
                output=settings.output / left_out.slug,
                preset=settings.preset,
                fold="all",
                seed=settings.seed,
                split="Ts",
                device=settings.device,
                center=left_out.center,
            ),
        )
        for left_out in left_out_centers(settings.source, settings.centers)
    ]


def is_done(center_job: CenterJob) -> bool:
    """Whether the center is predicted and the probe's cases are."""
    return is_finished(center_job.job) and (center_job.probe / JSON_NAME).is_file()


def run_centers(
    jobs: Sequence[CenterJob], source: Path, *, after_epoch: Callable[[Path], None]
) -> None:
    """Runs what is not done, one center after another; what an interruption left goes on."""
    todo = [each for each in jobs if not is_done(each)]
    logger.info("%d of %d centers are done", len(jobs) - len(todo), len(jobs))
    started = time.monotonic()
    for number, each in enumerate(todo):
        left = time_left(time.monotonic() - started, done=number, todo=len(todo) - number)
        logger.info("Center %d of %d: %s%s", number + 1, len(todo), each.left_out.center, left)
        with alone(each.job.output, doing=f"the cases without {each.left_out.center}"):
            write_dataset(source, raw_folder(each.job.dataset), each.left_out)
        run_job(each.job, after_epoch=after_epoch)
        _predict_for_probe(each)


def _predict_for_probe(center_job: CenterJob) -> None:
    """Predicts some cases of every other center with the same model."""
    import torch

    job = center_job.job
    raw = read_raw_dataset(raw_folder(job.dataset))
    images = job.output / "probe_images"
    images.mkdir(exist_ok=True)
    for case_id in _probe_cases(center_job.left_out, raw):
        for path in (raw.folder / "imagesTr").glob(f"{case_id}_[0-9][0-9][0-9][0-9].*"):
            if not (images / path.name).exists():
                (images / path.name).symlink_to(path.resolve())
    predict_folder(
        images,
        center_job.probe,
        job.model,
        folds=[job.fold],
        device=torch.device(job.device),
        with_features=True,
        covariates=write_known_covariates(raw.folder, images, job.output / "probe_covariates.csv"),
    )


def _probe_cases(left_out: LeftOut, raw: RawDataset) -> list[str]:
    """The same sample of each training center's cases at every call."""
    table = raw.targets()
    known = set(table.case_ids) & set(left_out.train)
    generator = np.random.default_rng(0)
    chosen: list[str] = []
    for center in sorted(set(table.centers)):
        cases = [
            case_id
            for case_id, of_case in zip(table.case_ids, table.centers, strict=True)
            if of_case == center and case_id in known
        ]
        chosen += generator.permutation(cases)[:PROBE_CASES].tolist()
    return chosen


def judge_centers(settings: LeaveOutSettings, jobs: Sequence[CenterJob]) -> LeaveOneCenterOut:
    """Reads the predictions of finished jobs, and judges them.

    Raises:
        NnmtlError: if predictions are missing or damaged.
    """
    raw = read_raw_dataset(settings.source)
    parts = {
        each.left_out.center: part_reader(read_raw_dataset(raw_folder(each.job.dataset)), "Ts")(
            each.job.predictions
        )
        for each in jobs
    }
    return LeaveOneCenterOut(
        dataset=settings.source.name,
        preset=settings.preset,
        is_phantom=raw.is_synthetic,
        pooled=None if settings.pooled is None else str(settings.pooled),
        rows=judge_left_out(parts, _pooled_parts(settings, raw), dataset=settings.source.name),
        probes={
            each.left_out.center: probe_predictions([each.job.predictions, each.probe], raw)
            for each in jobs
        },
        verdicts={each.left_out.center: _verdict(each) for each in jobs},
    )


def _pooled_parts(settings: LeaveOutSettings, raw: RawDataset) -> dict[int, Part]:
    if settings.pooled is None:
        return {}
    read = part_reader(raw, "Tr")
    return dict(enumerate(read(folder) for folder in _pooled_folders(settings.pooled)))


def _pooled_folders(model: Path) -> list[Path]:
    found = sorted(path.parent for path in model.glob(f"fold_[0-9]*/validation/{JSON_NAME}"))
    if not found:
        raise NnmtlError(
            f"--pooled {model}: expected a model folder with fold_*/validation/{JSON_NAME}, found "
            "none; name a model that nnMTL_train trained on all centers."
        )
    return found


def probe_predictions(folders: Sequence[Path], raw: RawDataset) -> CenterProbe:
    """How well what one model's heads see tells the center.

    Args:
        folders: of predictions with features/.
        raw: that tells the centers of their cases.
    """
    table = raw.targets()
    row_of = {case_id: row for row, case_id in enumerate(table.case_ids)}
    features, rows = [], []
    for folder in folders:
        for path in sorted((folder / FEATURES).glob("*.npy")):
            found = read_features(folder, path.stem)
            if found is not None:
                features.append(found)
                rows.append(row_of[path.stem])
    return probe_centers(
        np.stack(features) if features else np.empty((0, 0)),
        [table.centers[row] for row in rows],
        [table.patient_ids[row] for row in rows],
    )


def _verdict(center_job: CenterJob) -> str:
    path = center_job.job.model / CENTERS_FOLDER / f"{center_job.left_out.slug}.json"
    verdict: str = read_json(path)["verdict"]
    return verdict
