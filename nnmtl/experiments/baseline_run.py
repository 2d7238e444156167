"""Trains a baseline on a fold's training cases and predicts its held-out cases."""

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from nnmtl.baselines.classifiers import ModelKind
from nnmtl.baselines.feature_table import CaseFiles, Row, measure_cases
from nnmtl.baselines.fold import Answers, answer_held_out
from nnmtl.cohort.biomarker import Biomarker
from nnmtl.cohort.image_file import read_array, read_header
from nnmtl.cohort.raw_dataset import RawDataset, read_raw_dataset
from nnmtl.cohort.targets import UNKNOWN_CENTER, ClassTarget, ContinuousTarget, TargetTable
from nnmtl.errors import NnmtlError
from nnmtl.inference.case_prediction import (
    STATUS_OK,
    BiomarkerPrediction,
    CasePrediction,
    answer_columns,
)
from nnmtl.inference.flags import case_flags
from nnmtl.inference.predictions import PredictionSet, write_predictions
from nnmtl.nnunet.cohort_files import read_json

FeatureKind = Literal["region", "radiomics", "clinical", "volume", "combined"]
OF_COVARIATES = ("clinical", "combined")
Subset = Literal["Tr", "Ts"]

EMPTY = "empty_segmentation"
NO_REGION = "no tumor was segmented, so there is no region to look at"


@dataclass(frozen=True, kw_only=True)
class BaselineSettings:
    """What a baseline is told.

    Attributes:
        dataset: the raw dataset's folder.
        splits: a splits_final.json.
        fold: its number in there.
        features: what the model sees; `clinical` are the declared covariates, `combined` these
            and `region`.
        model: the kind.
        output: the prediction folder; feature tables are kept beside it, for all its neighbors.
        held_out: which cases to predict: the fold's validation cases (Tr), or imagesTs (Ts).
        training_masks: folder of label maps of the training cases, best of models that have not
            seen them; None takes the true ones.
        masks: the same of the held-out cases, such as a network's prediction folder.
        shuffle_seed: permutes the training targets, for a model that cannot have learned anything.
        workers: number of processes that measure features.
    """

    dataset: Path
    splits: Path
    fold: int
    features: FeatureKind
    model: ModelKind
    output: Path
    held_out: Subset = "Ts"
    training_masks: Path | None = None
    masks: Path | None = None
    shuffle_seed: int | None = None
    workers: int = 1

    @property
    def name(self) -> str:
        """The model's name in the predictions, such as `baseline_region_logistic`."""
        parts = ["baseline", self.features, self.model]
        parts += ["true_masks"] if self.masks is None else []
        parts += ["shuffled"] if self.shuffle_seed is not None else []
        return "_".join(parts)


def run_baseline(settings: BaselineSettings) -> PredictionSet:
    """Writes label maps, biomarkers.csv and biomarkers.json as nnMTL_predict does.

    Features, tuning, thresholds and medians come from the fold's training cases alone. A training
    case without tumor voxels is left out; a held-out one is answered with nan, except by clinical
    covariates, which need no tumor. The label maps are copies of those that were measured.

    Raises:
        NnmtlError: if a file is missing or does not fit, the fold does not exist, the dataset
            declares no covariates where some are asked for, or no training case has a tumor.
    """
    dataset = read_raw_dataset(settings.dataset)
    _check(settings, dataset)
    training, held_out = _tables(settings, dataset)
    train_files = _files(dataset, training, "Tr", settings.training_masks)
    test_files = _files(dataset, held_out, settings.held_out, settings.masks)
    train_rows = _rows(settings, training, train_files)
    test_rows = _rows(settings, held_out, test_files)
    answers = answer_held_out(
        dataset.declaration.biomarkers,
        training,
        train_rows,
        test_rows,
        model=settings.model,
        shuffle_seed=settings.shuffle_seed,
    )
    settings.output.mkdir(parents=True, exist_ok=True)
    for files in test_files:
        shutil.copyfile(files.label_map, settings.output / (files.case_id + dataset.file_ending))
    predictions = PredictionSet(
        trained_on="patients" if dataset.declaration.synthetic is None else "phantom",
        model=settings.name,
        folds=(settings.fold,),
        biomarkers=dataset.declaration.biomarkers,
        thresholds=_thresholds(dataset.declaration.biomarkers, training),
        training_median=_medians(training),
        cases=tuple(
            _case(dataset, files, center, answer)
            for files, center, answer in zip(test_files, held_out.centers, answers, strict=True)
        ),
    )
    write_predictions(predictions, settings.output)
    return predictions


def _check(settings: BaselineSettings, dataset: RawDataset) -> None:
    if settings.features in OF_COVARIATES and not dataset.declaration.covariates:
        raise NnmtlError(
            f"{settings.name}: expected clinical covariates in {dataset.folder}/dataset.json, but "
            "none is declared; declare some, or use other features."
        )
    if settings.masks is not None and settings.masks.resolve() == settings.output.resolve():
        raise NnmtlError(
            f"{settings.output}: expected an output folder apart from the label maps that are "
            "read; name another one."
        )


def _tables(settings: BaselineSettings, dataset: RawDataset) -> tuple[TargetTable, TargetTable]:
    """The rows of the training and of the held-out cases."""
    folds = read_json(settings.splits)
    if not 0 <= settings.fold < len(folds):
        raise NnmtlError(
            f"{settings.splits}: expected a fold from 0 to {len(folds) - 1}, got {settings.fold}."
        )
    fold = folds[settings.fold]
    held_out = fold["val"] if settings.held_out == "Tr" else list(dataset.test_images)
    if not fold["train"] or not held_out:
        raise NnmtlError(
            f"{settings.name}: expected training and held-out cases, got {len(fold['train'])} in "
            f"{settings.splits} and {len(held_out)} of images{settings.held_out}; add some."
        )
    table = dataset.table.with_unobserved([*fold["train"], *held_out])
    return table.select(fold["train"]), table.select(held_out)


def _files(
    dataset: RawDataset, table: TargetTable, subset: Subset, masks: Path | None
) -> list[CaseFiles]:
    """What each case is measured from; the true label map where there is no other folder."""
    images = dataset.train_images if subset == "Tr" else dataset.test_images
    absent = [case_id for case_id in table.case_ids if case_id not in images]
    if absent:
        raise NnmtlError(
            f"{dataset.folder}: expected images of the case {absent[0]!r} in images{subset}, but "
            "there are none; name the splits of this dataset."
        )
    folder = dataset.folder / f"labels{subset}" if masks is None else masks
    return [
        CaseFiles(
            case_id=case_id,
            images=tuple(images[case_id][channel] for channel in sorted(images[case_id])),
            label_map=folder / (case_id + dataset.file_ending),
            tumor_labels=dataset.declaration.tumor_labels,
        )
        for case_id in table.case_ids
    ]


def _rows(settings: BaselineSettings, table: TargetTable, files: Sequence[CaseFiles]) -> list[Row]:
    """The features of each case; none where there is no tumor to measure."""
    clinical = [
        {name: float(column[row]) for name, column in table.covariates.items()}
        for row in range(len(table.case_ids))
    ]
    if settings.features == "clinical":
        return list(clinical)
    kind = "region" if settings.features == "combined" else settings.features
    kept = settings.output.parent / f"features_{kind}.csv"
    measured = measure_cases(files, kind, kept=kept, workers=settings.workers)
    rows = [measured[case_id] for case_id in table.case_ids]
    if settings.features != "combined":
        return rows
    return [row and {**row, **known} for row, known in zip(rows, clinical, strict=True)]


def _thresholds(biomarkers: Sequence[Biomarker], training: TargetTable) -> dict[str, float]:
    """From which probability on a case is positive: the prevalence, as for the network."""
    thresholds = {}
    for biomarker in biomarkers:
        target = training.targets[biomarker.name]
        if biomarker.kind != "binary" or not isinstance(target, ClassTarget):
            continue
        if target.observed.any():
            thresholds[biomarker.name] = float(target.possible[target.observed, 1].mean())
    return thresholds


def _medians(training: TargetTable) -> dict[str, float]:
    return {
        name: float(np.median((target.lower + target.upper)[target.observed] / 2))
        for name, target in training.targets.items()
        if isinstance(target, ContinuousTarget) and target.observed.any()
    }


def _case(
    dataset: RawDataset, files: CaseFiles, center: str, answer: Answers | None
) -> CasePrediction:
    declaration = dataset.declaration
    mask = np.isin(read_array(files.label_map), files.tumor_labels)
    spacing_mm = read_header(files.label_map).spacing_mm[::-1]
    is_phantom = declaration.synthetic is not None
    biomarkers = {}
    for biomarker in declaration.biomarkers:
        nothing = (math.nan,) * len(answer_columns(biomarker))
        given = nothing if answer is None else answer[biomarker.name]
        folds = () if answer is None else (given,)
        biomarkers[biomarker.name] = BiomarkerPrediction(answer=given, folds=folds)
    return CasePrediction(
        case_id=files.case_id,
        center=None if center == UNKNOWN_CENTER else center,
        status=EMPTY if answer is None else STATUS_OK,
        reason=NO_REGION if answer is None else None,
        flags=tuple(case_flags(mask, spacing_mm, is_truncated=False, is_phantom=is_phantom)),
        tumor_volume_ml=float(np.count_nonzero(mask) * math.prod(spacing_mm) / 1000),
        biomarkers=biomarkers,
    )
