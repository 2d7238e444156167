"""The baselines of a comparison: measured in the masks that the first preset predicted."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from nnmtl.baselines.classifiers import ModelKind
from nnmtl.errors import NnmtlError
from nnmtl.experiments.baseline_run import BaselineSettings, FeatureKind, run_baseline
from nnmtl.experiments.compare_jobs import Job
from nnmtl.inference.predictions import JSON_NAME
from nnmtl.nnunet.cohort_files import SPLITS
from nnmtl.nnunet.folders import preprocessed_folder, raw_folder

logger = logging.getLogger(__name__)

TRUE_MASKS = "_true_masks"
SHUFFLED = "_shuffled"


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What a baseline's name says: `region_logistic`, `radiomics_svm_true_masks`.

    Attributes:
        features: what the model sees.
        model: the kind of model.
        has_true_masks: whether held-out cases are measured in their true masks.
        is_shuffled: whether the training targets are permuted: a control that cannot have learned.
    """

    features: FeatureKind
    model: ModelKind
    has_true_masks: bool
    is_shuffled: bool = False


def parse_baseline(name: str) -> Baseline:
    """Raises `NnmtlError` naming the features and models there are."""
    unshuffled = name.removesuffix(SHUFFLED)
    features, _, model = unshuffled.removesuffix(TRUE_MASKS).partition("_")
    if features not in get_args(FeatureKind) or model not in get_args(ModelKind):
        raise NnmtlError(
            f"--baselines {name}: expected FEATURES_MODEL with features "
            f"{', '.join(get_args(FeatureKind))} and model {', '.join(get_args(ModelKind))}, such "
            f"as region_logistic, region_logistic{TRUE_MASKS} or region_logistic{SHUFFLED}."
        )
    return Baseline(
        features=features,  # type: ignore[arg-type]
        model=model,  # type: ignore[arg-type]
        has_true_masks=unshuffled.endswith(TRUE_MASKS),
        is_shuffled=name.endswith(SHUFFLED),
    )


def baseline_folder(name: str, job: Job) -> Path:
    """Where a baseline's predictions of a job's held-out cases are."""
    return job.output / "baselines" / f"fold_{job.fold}__seed_{job.seed}" / name


def run_baselines(name: str, jobs: Sequence[Job]) -> None:
    """Fits a baseline for each job's fold and predicts the job's held-out cases.

    Training cases are measured in their true masks, held-out ones in those that the job predicted,
    unless the name says otherwise. What is newer than the job's predictions is kept.

    Args:
        name: of the baseline.
        jobs: finished, of one preset.
    """
    baseline = parse_baseline(name)
    for job in jobs:
        output = baseline_folder(name, job)
        if _is_newer(output / JSON_NAME, job.predictions / JSON_NAME):
            continue
        logger.info("Baseline %s, fold %s, seed %d", name, job.fold, job.seed)
        settings = BaselineSettings(
            dataset=raw_folder(job.dataset),
            splits=preprocessed_folder(job.dataset) / SPLITS,
            fold=int(job.fold),
            features=baseline.features,
            model=baseline.model,
            output=output,
            held_out=job.split,
            masks=None if baseline.has_true_masks else job.predictions,
            shuffle_seed=job.seed if baseline.is_shuffled else None,
            workers=os.cpu_count() or 1,
        )
        run_baseline(settings)


def _is_newer(path: Path, other: Path) -> bool:
    return path.is_file() and path.stat().st_mtime_ns >= other.stat().st_mtime_ns
