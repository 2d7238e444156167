"""Writes a synthetic cohort as an nnU-Net raw dataset with targets and the truth."""

import json
import logging
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import SimpleITK

from nnmtl.cohort.csv_file import write_csv
from nnmtl.cohort.declaration import KEY, Declaration, declaration_to_json
from nnmtl.errors import NnmtlError
from nnmtl.phantom.case import generate_case
from nnmtl.phantom.centers import center_named
from nnmtl.phantom.presets import preset_named
from nnmtl.phantom.tables import (
    BIOMARKERS,
    Row,
    check_biomarkers,
    target_columns,
    truth_columns,
    truth_of,
)
from nnmtl.phantom.traits import traits_sha256

NOTICE = "SYNTHETIC PHANTOM - NOT PATIENT DATA"
# Raised whenever the same arguments give other images.
GENERATOR_VERSION = 1

_ENDING = ".nii.gz"
_TEST_SEED_OFFSET = 1_000_000
_logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class _Order:
    """One case to generate and write."""

    case_id: str
    center: str
    seed: int
    index: int
    subset: Literal["Tr", "Ts"]


def write_cohort(  # noqa: PLR0913
    folder: Path,
    *,
    preset: str,
    centers: Mapping[str, int],
    seed: int,
    test_centers: Mapping[str, int] | None = None,
    test_seed: int | None = None,
    biomarkers: Sequence[str] = ("ER", "PR", "HER2", "Ki67"),
    missing: Mapping[str, float] | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> None:
    """Writes the whole dataset folder, or nothing.

    Beside nnU-Net's layout and targets.csv it writes phantom_truth.csv: every target without
    gaps (`true_*`), the traits (`u_*`), the nuisance and the exact posterior. With several
    workers the calling script needs the guard `if __name__ == "__main__"`, since they are spawned.

    Args:
        folder: to be created, e.g. nnUNet_raw/Dataset901_PHANTOM_Easy.
        preset: one of PRESETS.
        centers: number of training cases of each center.
        seed: of the training cases; not negative.
        test_centers: number of test cases of each center.
        test_seed: of the test cases; another than `seed`; by default `seed` + 1,000,000.
        biomarkers: names among BIOMARKERS to declare and write.
        missing: per biomarker the share of training cases, chosen at random, that lack it.
        workers: number of processes; the files do not depend on it.
        progress: called with the numbers of finished and of all cases.

    Raises:
        NnmtlError: if the folder exists or an argument is out of range.
    """
    test_seed = seed + _TEST_SEED_OFFSET if test_seed is None else test_seed
    missing = missing or {}
    _check(folder, preset, seed, test_seed)
    check_biomarkers(biomarkers, missing)
    orders = [*_orders(centers, seed, "Tr"), *_orders(test_centers or {}, test_seed, "Ts")]
    aside = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        for name in ("imagesTr", "labelsTr", "imagesTs", "labelsTs"):
            (aside / name).mkdir(parents=True)
        rows = _write_cases(orders, aside, preset=preset, workers=workers, progress=progress)
        targets = target_columns(rows, biomarkers, missing=missing, seed=seed)
        write_csv(aside / "targets.csv", targets)
        write_csv(aside / "phantom_truth.csv", truth_columns(rows))
        dataset = _dataset_json(
            num_training=sum(order.subset == "Tr" for order in orders),
            biomarkers=biomarkers,
            synthetic={"preset": preset, "seed": seed, "test_seed": test_seed},
        )
        (aside / "dataset.json").write_text(json.dumps(dataset, indent=2) + "\n", encoding="utf-8")
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    _logger.info("wrote %d synthetic cases to %s", len(orders), folder)


def _check(folder: Path, preset: str, seed: int, test_seed: int) -> None:
    preset_named(preset)
    if folder.exists():
        raise NnmtlError(
            f"{folder}: expected a new folder for the synthetic cohort, but it exists; "
            "remove it or choose another name."
        )
    if seed < 0 or test_seed < 0:
        raise NnmtlError(
            f"phantom: expected seeds of at least 0, got seed={seed} and test_seed={test_seed}; "
            "choose others."
        )
    if seed == test_seed:
        raise NnmtlError(
            f"phantom: expected a test_seed other than the seed {seed}, since equal ones give "
            "equal images; choose another test_seed."
        )


def _orders(centers: Mapping[str, int], seed: int, subset: Literal["Tr", "Ts"]) -> list[_Order]:
    for center, number in centers.items():
        center_named(center)
        if number < 0:
            raise NnmtlError(
                f"phantom: expected a number of cases of at least 0, got {number} for the "
                f"center {center!r}; correct it."
            )
    # A test case never shares its id with a training case.
    prefix = "T" if subset == "Ts" else ""
    return [
        _Order(
            case_id=f"PHANTOM_{center}_{prefix}{index:04d}",
            center=center,
            seed=seed,
            index=index,
            subset=subset,
        )
        for center, number in sorted(centers.items())
        for index in range(number)
    ]


def _write_cases(
    orders: Sequence[_Order],
    folder: Path,
    *,
    preset: str,
    workers: int,
    progress: Progress | None,
) -> list[Row]:
    write = partial(_write_case, folder=folder, preset=preset)
    if workers <= 1:
        return _follow(map(write, orders), len(orders), progress)
    # Spawned, since a fork of a process with threads, as torch has them, can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        return _follow(pool.map(write, orders, chunksize=4), len(orders), progress)


def _follow(rows: Iterable[Row], total: int, progress: Progress | None) -> list[Row]:
    finished = []
    for row in rows:
        finished.append(row)
        if progress is not None:
            progress(len(finished), total)
    return finished


def _write_case(order: _Order, *, folder: Path, preset: str) -> Row:
    case = generate_case(preset, order.center, order.seed, order.index)
    image = folder / f"images{order.subset}" / f"{order.case_id}_0000{_ENDING}"
    label_map = folder / f"labels{order.subset}" / f"{order.case_id}{_ENDING}"
    _write_nifti(image, case.image, case.spacing_mm)
    _write_nifti(label_map, case.label_map, case.spacing_mm)
    return Row(
        case_id=order.case_id,
        center=order.center,
        subset=order.subset,
        targets=case.targets,
        truth=truth_of(case),
    )


def _write_nifti(
    path: Path,
    array: npt.NDArray[np.int16] | npt.NDArray[np.uint8],
    spacing_mm: tuple[float, float, float],
) -> None:
    volume = SimpleITK.GetImageFromArray(array)
    volume.SetSpacing(spacing_mm[::-1])
    volume.SetMetaData("ITK_FileNotes", NOTICE)  # becomes the header field descrip
    SimpleITK.WriteImage(volume, str(path), useCompression=True)


def _dataset_json(
    *, num_training: int, biomarkers: Sequence[str], synthetic: Mapping[str, object]
) -> dict[str, object]:
    declaration = Declaration(
        tumor_labels=(1,),
        biomarkers=tuple(BIOMARKERS[name] for name in biomarkers),
        synthetic={
            "generator": "nnmtl.phantom",
            "version": GENERATOR_VERSION,
            **synthetic,
            "traits_sha256": traits_sha256(),
        },
    )
    return {
        "description": NOTICE,
        "channel_names": {"0": "DCE"},
        "labels": {"background": 0, "tumor": 1},
        "numTraining": num_training,
        "file_ending": _ENDING,
        "overwrite_image_reader_writer": "SimpleITKIOWithReorient",
        KEY: declaration_to_json(declaration),
    }
