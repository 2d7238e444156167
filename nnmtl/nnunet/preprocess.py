"""Preprocesses a dataset with nnU-Net's own preprocessor, each case on its center's grid."""

import json
import logging
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

from nnmtl.cohort.targets import read_targets
from nnmtl.errors import NnmtlError
from nnmtl.nnunet.cohort_files import TARGETS, read_declaration, read_json
from nnmtl.nnunet.folders import preprocessed_folder, raw_folder
from nnmtl.nnunet.grids import read_grids
from nnmtl.nnunet.journal import Journal
from nnmtl.nnunet.safe_loading import check_plans
from nnmtl.nnunet.workers import map_cases

logger = logging.getLogger(__name__)


def preprocess(name: str, plans_name: str, configuration: str, *, num_processes: int = 2) -> None:
    """Writes the arrays of one configuration and nnU-Net's gt_segmentations.

    Each case is resampled to its center's voxels, where the plans have such, and all go into one
    folder. It appears under its name only when every case is done; an interrupted call goes on with
    the cases that are left, unless plans or images have changed.

    Args:
        name: dataset name.
        plans_name: name of a plans file in the preprocessed folder, without ending.
        configuration: `3d_fullres` or `2d`.
        num_processes: cases at a time at most; few small ones are done in this process.
    """
    raw, preprocessed = raw_folder(name), preprocessed_folder(name)
    plans_path = preprocessed / f"{plans_name}.json"
    plans, dataset_json = read_json(plans_path), read_json(raw / "dataset.json")
    check_plans(plans, plans_path)
    if configuration not in plans["configurations"]:
        raise NnmtlError(
            f"-c {configuration}: expected one of {sorted(plans['configurations'])} in "
            f"{plans_path}."
        )
    dataset = get_filenames_of_train_images_and_targets(str(raw), dataset_json)
    target = preprocessed / plans["configurations"][configuration]["data_identifier"]
    part = target.with_name(f".{target.name}.part")
    part.mkdir(parents=True, exist_ok=True)
    grid_of = _configurations(plans, configuration, raw, preprocessed)
    journal = Journal(part, {"plans": {**plans, "configurations": {}}, "dataset": dataset_json})
    notes = {case: _note(files, grid_of(case)) for case, files in dataset.items()}
    finished = journal.finished()
    left = [case for case in dataset if finished.get(case) != notes[case]]
    _remove_others(part, {*dataset} - {*left}, journal)
    jobs = [
        _Job(
            case,
            part,
            dataset[case]["images"],
            dataset[case]["label"],
            plans,
            grid_of(case),
            dataset_json,
        )
        for case in left
    ]
    for case in map_cases(
        _preprocess_case,
        jobs,
        files=[path for job in jobs for path in (*job.images, job.label)],
        num_processes=num_processes,
        title="Preprocessing",
    ):
        journal.add(case, notes[case])
    journal.remove()
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    _copy_label_maps(preprocessed, dataset)


class _Job(NamedTuple):
    """What one case takes."""

    case_id: str
    folder: Path
    images: list[str]
    label: str
    plans: dict[str, Any]
    configuration: dict[str, Any]
    dataset_json: dict[str, Any]


def _configurations(
    plans: dict[str, Any], configuration: str, raw: Path, preprocessed: Path
) -> Callable[[str], dict[str, Any]]:
    """Case id → the configuration of its center, with what that inherits."""
    manager = PlansManager(plans)
    shared = manager.get_configuration(configuration).configuration
    if "nnmtl" not in shared:
        return lambda _: shared
    grids = read_grids(manager, configuration)
    declaration = read_declaration(raw)
    if declaration is None or not grids.of_slug:
        return lambda _: shared
    table = read_targets(preprocessed / TARGETS, declaration)
    center_of = dict(zip(table.case_ids, table.centers, strict=True))
    return lambda case: grids.of_center(center_of[case]).manager.configuration


def _note(files: dict[str, Any], configuration: dict[str, Any]) -> dict[str, Any]:
    """What must be equal for a case not to be preprocessed again, as it comes back from JSON."""
    states = [Path(path).stat() for path in (*files["images"], files["label"])]
    written = [[state.st_size, state.st_mtime_ns] for state in states]
    note: dict[str, Any] = json.loads(
        json.dumps({"configuration": configuration, "written": written})
    )
    return note


def _remove_others(part: Path, finished: Iterable[str], journal: Journal) -> None:
    """Half of a case, and cases that are no longer there or have changed."""
    known = {f"{case}{end}" for case in finished for end in (".b2nd", "_seg.b2nd", ".pkl")}
    for path in part.iterdir():
        if path.name not in known and path != journal.path:
            path.unlink()


def _preprocess_case(job: _Job) -> str:
    DefaultPreprocessor(verbose=False).run_case_save(
        str(job.folder / job.case_id),
        job.images,
        job.label,
        PlansManager(job.plans),
        ConfigurationManager(job.configuration),
        job.dataset_json,
    )
    return job.case_id


def _copy_label_maps(preprocessed: Path, dataset: dict[str, dict[str, Any]]) -> None:
    """nnU-Net's own validation reads the label maps from here."""
    folder = preprocessed / "gt_segmentations"
    folder.mkdir(exist_ok=True)
    for files in dataset.values():
        shutil.copyfile(files["label"], folder / Path(files["label"]).name)
