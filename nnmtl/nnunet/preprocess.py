"""Preprocesses a dataset with nnU-Net's own preprocessor, several cases at a time."""

import logging
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets
from tqdm import tqdm

from nnmtl.errors import NnmtlError
from nnmtl.nnunet.cohort_files import read_json
from nnmtl.nnunet.folders import preprocessed_folder, raw_folder
from nnmtl.nnunet.safe_loading import check_plans

logger = logging.getLogger(__name__)


def preprocess(name: str, plans_name: str, configuration: str, *, num_processes: int = 2) -> None:
    """Writes the arrays of one configuration and nnU-Net's gt_segmentations.

    The folder appears under its name only when every case is done.

    Args:
        name: dataset name.
        plans_name: name of a plans file in the preprocessed folder, without ending.
        configuration: `3d_fullres` or `2d`.
        num_processes: cases at a time; 1 stays in this process.
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
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    jobs = [
        (str(part / case), files["images"], files["label"], plans, configuration, dataset_json)
        for case, files in dataset.items()
    ]
    _run(jobs, num_processes)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    _copy_label_maps(preprocessed, dataset)


def _run(jobs: list[tuple[Any, ...]], num_processes: int) -> None:
    if num_processes == 1:
        for job in tqdm(jobs, desc="Preprocessing", unit="case"):
            _preprocess_case(job)
        return
    # spawn: forking after torch has started threads can deadlock
    with ProcessPoolExecutor(num_processes, get_context("spawn"), _one_thread) as pool:
        for _ in tqdm(
            pool.map(_preprocess_case, jobs, chunksize=4),
            total=len(jobs),
            desc="Preprocessing",
            unit="case",
        ):
            pass


def _one_thread() -> None:
    import torch

    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def _preprocess_case(job: tuple[Any, ...]) -> None:
    target, images, label, plans, configuration, dataset_json = job
    manager = PlansManager(plans)
    DefaultPreprocessor(verbose=False).run_case_save(
        target, images, label, manager, manager.get_configuration(configuration), dataset_json
    )


def _copy_label_maps(preprocessed: Path, dataset: dict[str, dict[str, Any]]) -> None:
    """nnU-Net's own validation reads the label maps from here."""
    folder = preprocessed / "gt_segmentations"
    folder.mkdir(exist_ok=True)
    for files in dataset.values():
        shutil.copyfile(files["label"], folder / Path(files["label"]).name)
