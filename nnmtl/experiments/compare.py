"""Compares presets, trained where they are not yet, and folders of predictions."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnmtl.baselines.radiomics import import_extractor
from nnmtl.errors import NnmtlError
from nnmtl.evaluation.compared import Entry, MaskScores, Part, Run, merge_tasks
from nnmtl.evaluation.comparison import Comparison, compare
from nnmtl.evaluation.join import join
from nnmtl.evaluation.label_maps import judge_segmentation
from nnmtl.evaluation.raw_dataset import (
    RawDataset,
    missing_cases,
    read_posteriors,
    read_raw_dataset,
)
from nnmtl.evaluation.results import Split
from nnmtl.experiments.compare_baselines import (
    baseline_folder,
    parse_baseline,
    run_baselines,
)
from nnmtl.experiments.compare_jobs import Job
from nnmtl.experiments.evaluate_folder import answers_of
from nnmtl.inference.case_prediction import STATUS_OK, CasePrediction
from nnmtl.inference.predictions import PredictionSet, read_predictions
from nnmtl.nnunet.cohort_files import SPLITS, read_declaration, read_json
from nnmtl.nnunet.folders import preprocessed_folder, raw_folder
from nnmtl.nnunet.planner import read_preset
from nnmtl.nnunet.split_files import check_fold
from nnmtl.planning.preset import load_preset, single_task_presets

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Named:
    """What is compared under one name.

    Attributes:
        name: of the preset or the baseline, or chosen.
        folders: of predictions; none for a preset or a baseline.
        is_baseline: whether it is fitted for every job of the first preset.
    """

    name: str
    folders: tuple[Path, ...] = ()
    is_baseline: bool = False

    @property
    def is_preset(self) -> bool:
        """Whether it is trained."""
        return not self.folders and not self.is_baseline


@dataclass(frozen=True, kw_only=True)
class CompareSettings:
    """What a comparison is told.

    Attributes:
        dataset: dataset name.
        output: its folder.
        named: the first is the reference.
        folds: that are trained of each preset.
        seeds: with which each fold is trained.
        split: `Ts` compares on the test cases, `Tr` on the validation cases of the folds.
        device: cpu, cuda or mps.
    """

    dataset: str
    output: Path
    named: tuple[Named, ...]
    folds: tuple[int | str, ...]
    seeds: tuple[int, ...]
    split: Split
    device: str


def list_jobs(settings: CompareSettings) -> list[Job]:
    """All jobs of the presets, finished or not; those of the first seed and fold come first.

    Raises:
        NnmtlError: if a preset does not exist, a name stands twice, or there is nothing to predict.
    """
    _check(settings)
    trained = [entry.name for entry in settings.named if entry.is_preset]
    presets = [preset for name in trained for preset in _presets(name, settings.dataset)]
    return [
        Job(
            dataset=settings.dataset,
            output=settings.output,
            preset=preset,
            fold=fold,
            seed=seed,
            split=settings.split,
            device=settings.device,
        )
        for seed in settings.seeds
        for fold in settings.folds
        for preset in dict.fromkeys(presets)
    ]


def _presets(name: str, dataset: str) -> list[str]:
    """What is trained under a name: of a single-task preset a model per declared biomarker."""
    preset = load_preset(name)
    if preset.architecture["heads"] == "all":
        return [name]
    declaration = read_declaration(raw_folder(dataset))
    found = single_task_presets(preset, declaration.biomarkers if declaration else ())
    for each in found or [name]:
        read_preset(dataset, preset_name=each)  # refuses what is not declared
    return found


def compare_predictions(settings: CompareSettings, jobs: Sequence[Job]) -> Comparison:
    """Reads the predictions of finished jobs and of the given folders, and compares them.

    Raises:
        NnmtlError: if predictions are missing or not of the split, or no case is common to all.
    """
    raw = read_raw_dataset(raw_folder(settings.dataset))
    read = part_reader(raw, settings.split)
    entries = []
    for named in settings.named:
        logger.info("Reading the predictions of %s", named.name)
        runs = _runs(named, settings.dataset, jobs, read)
        entries.append(Entry(name=named.name, runs=tuple(runs)))
    return compare(
        entries,
        dataset=settings.dataset,
        split=settings.split,
        fold_of=_fold_of_case(settings),
        by_center=True,
    )


def _check(settings: CompareSettings) -> None:
    """Everything that would otherwise be noticed after hours of training."""
    names = [named.name for named in settings.named]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise NnmtlError(
            f"{doubled[0]}: expected a preset and predictions under different names, got two of "
            "this one; name the predictions differently."
        )
    presets = [named.name for named in settings.named if named.is_preset]
    for preset in presets:
        load_preset(preset)
    _check_baselines(settings, presets)
    if presets and settings.split == "Tr" and "all" in settings.folds:
        raise NnmtlError(
            "--folds all: expected fold numbers with --split Tr, since this fold holds no case "
            "out; name folds, or compare on --split Ts."
        )
    images = raw_folder(settings.dataset) / "imagesTs"
    if presets and settings.split == "Ts" and not (images.is_dir() and any(images.iterdir())):
        raise NnmtlError(
            f"{images}: expected the images of test cases, found none; compare on the folds' "
            "validation cases with --split Tr."
        )
    if presets:
        for fold in settings.folds:
            check_fold(fold, preprocessed_folder(settings.dataset))
    folders = [folder for named in settings.named for folder in named.folders]
    if folders:
        raw = read_raw_dataset(raw_folder(settings.dataset))
        for folder in folders:
            read_predictions_of(raw, settings.split, folder)


def _check_baselines(settings: CompareSettings, presets: Sequence[str]) -> None:
    for named in settings.named:
        if named.is_baseline:
            if parse_baseline(named.name).features == "radiomics":
                import_extractor()  # missed now, not after the trainings
            if not presets or "all" in settings.folds:
                raise NnmtlError(
                    f"--baselines {named.name}: expected a preset in numbered folds, whose "
                    "training cases it learns from and whose masks it measures in, got none; name "
                    "one with --presets."
                )


PartReader = Callable[[Path], Part]


def part_reader(raw: RawDataset, split: Split) -> PartReader:
    """Reads folders of predictions; the truth is read once."""
    targets, posteriors = raw.targets(), read_posteriors(raw)

    def read(folder: Path) -> Part:
        predictions = read_predictions_of(raw, split, folder)
        return Part(
            source=str(folder),
            joined=join(answers_of(predictions), targets, raw.declaration, bayes=posteriors),
            masks=_masks(folder, raw, predictions, split),
            is_phantom=predictions.trained_on == "phantom" or raw.is_synthetic,
        )

    return read


def read_predictions_of(raw: RawDataset, split: Split, folder: Path) -> PredictionSet:
    """A folder of predictions of cases of a dataset.

    Raises:
        NnmtlError: if there are none, or one is not of the split.
    """
    predictions = read_predictions(folder)
    case_ids = [case.case_id for case in predictions.cases]
    lost = missing_cases(raw, case_ids, split)
    if lost or not case_ids:
        raise NnmtlError(
            f"{folder}: expected predictions of cases in images{split} of {raw.folder.name}, "
            f"got {f'{lost[0]!r} which is not there' if lost else 'none'}; name another "
            "folder, or the other split with --split."
        )
    return predictions


def _masks(
    folder: Path, raw: RawDataset, predictions: PredictionSet, split: Split
) -> dict[str, MaskScores] | None:
    """Per case with a true label map; None if the folder has no masks at all."""
    if not any(_mask(folder, raw, case).is_file() for case in predictions.cases):
        return None
    masks = {}
    for case in predictions.cases:
        truth, mask = raw.label_path(case.case_id, split), _mask(folder, raw, case)
        if not mask.is_file() and case.status == STATUS_OK:
            raise NnmtlError(
                f"{mask}: expected the label map of a predicted case as of the others, but there "
                "is none; put it there or predict again."
            )
        if truth.is_file():
            judged = judge_segmentation(raw, case.case_id, truth, mask if mask.is_file() else None)
            if judged is not None:
                masks[case.case_id] = MaskScores(dice=judged.dice, hd95_mm=judged.hd95_mm)
    return masks


def _mask(folder: Path, raw: RawDataset, case: CasePrediction) -> Path:
    return folder / f"{case.case_id}{raw.file_ending}"


def _runs(named: Named, dataset: str, jobs: Sequence[Job], read: PartReader) -> list[Run]:
    if named.folders:
        return _runs_of_folders(named, read)
    if not named.is_baseline:
        presets = _presets(named.name, dataset)
        mine = [job for job in jobs if job.preset in presets]
        return _runs_of_jobs(mine, lambda job: read(job.predictions))
    mine = [job for job in jobs if job.preset == jobs[0].preset]
    run_baselines(named.name, mine)
    return _runs_of_jobs(mine, lambda job: read(baseline_folder(named.name, job)))


def _runs_of_jobs(mine: Sequence[Job], read: Callable[[Job], Part]) -> list[Run]:
    """A run per seed; on test cases one per seed and fold, since each model predicts them all.

    The models of one fold and seed that answer a biomarker each count as one model.
    """
    groups: dict[str, dict[int | str, list[Job]]] = {}
    for job in mine:
        has_folds = job.split == "Ts" and len({each.fold for each in mine}) > 1
        label = f"seed {job.seed}" + (f" fold {job.fold}" if has_folds else "")
        groups.setdefault(label, {}).setdefault(job.fold, []).append(job)
    return [
        Run(
            label=label,
            parts=tuple(merge_tasks([read(job) for job in models]) for models in folds.values()),
        )
        for label, folds in groups.items()
    ]


def _runs_of_folders(named: Named, read: PartReader) -> list[Run]:
    """Folders without a case in common make one run, as folds do; others are runs of their own."""
    groups: list[list[Part]] = []
    for folder in named.folders:
        part = read(folder)
        cases = set(part.joined.case_ids)
        free = [
            group
            for group in groups
            if not any(cases & set(each.joined.case_ids) for each in group)
        ]
        if free:
            free[0].append(part)
        else:
            groups.append([part])
    return [
        Run(label=f"run {number}", parts=tuple(parts)) for number, parts in enumerate(groups, 1)
    ]


def _fold_of_case(settings: CompareSettings) -> dict[str, int]:
    """Which fold holds a training case out; empty for test cases, or without folds."""
    path = preprocessed_folder(settings.dataset) / SPLITS
    if settings.split == "Ts" or not path.is_file():
        return {}
    return {
        case_id: number for number, fold in enumerate(read_json(path)) for case_id in fold["val"]
    }
