"""Writes a synthetic cohort as an nnU-Net raw dataset with targets and the truth."""

import json
import logging
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from nnmtl.cohort.biomarker import (
    BinaryBiomarker,
    Biomarker,
    CategoricalBiomarker,
    ContinuousBiomarker,
)
from nnmtl.cohort.csv_file import write_csv
from nnmtl.cohort.declaration import KEY, Declaration, declaration_to_json
from nnmtl.errors import NnmtlError
from nnmtl.phantom.case import PhantomCase, generate_case
from nnmtl.phantom.centers import center_named
from nnmtl.phantom.labels import HER2_CATEGORIES
from nnmtl.phantom.nuisance import nuisance_columns
from nnmtl.phantom.presets import preset_named
from nnmtl.phantom.traits import traits_sha256

_logger = logging.getLogger(__name__)

NOTICE = "SYNTHETIC PHANTOM - NOT PATIENT DATA"
# Raised whenever the same arguments give other images.
GENERATOR_VERSION = 1
_ENDING = ".nii.gz"
_TEST_SEED_OFFSET = 1_000_000

BIOMARKERS: Mapping[str, Biomarker] = {
    biomarker.name: biomarker
    for biomarker in (
        BinaryBiomarker(name="ER"),
        BinaryBiomarker(name="PR"),
        BinaryBiomarker(name="HER2"),
        CategoricalBiomarker(name="HER2_3", categories=HER2_CATEGORIES, ordered=True),
        ContinuousBiomarker(name="Ki67", unit="%", range=(0, 100), cutoffs=(14, 20, 30)),
    )
}

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class _Order:
    """One case to write."""

    case_id: str
    center: str
    seed: int
    index: int
    subset: str  # "Tr" or "Ts"


@dataclass(frozen=True, kw_only=True)
class _Row:
    """What of a written case goes into the tables."""

    order: _Order
    targets: Mapping[str, str | int | float]
    truth: Mapping[str, float] = field(repr=False)


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
    _check_biomarkers(biomarkers, missing)
    orders = [*_orders(centers, seed, "Tr"), *_orders(test_centers or {}, test_seed, "Ts")]
    aside = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        for name in ("imagesTr", "labelsTr", "imagesTs", "labelsTs"):
            (aside / name).mkdir(parents=True)
        rows = _write_cases(orders, aside, preset, workers, progress)
        write_csv(aside / "targets.csv", _target_columns(rows, biomarkers, missing, seed))
        write_csv(aside / "phantom_truth.csv", _truth_columns(rows))
        description = _dataset_json(folder.name, preset, seed, test_seed, biomarkers, orders)
        (aside / "dataset.json").write_text(json.dumps(description, indent=2) + "\n")
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
            f"phantom: expected seeds of at least 0, got seed={seed} and test_seed={test_seed}."
        )
    if seed == test_seed:
        raise NnmtlError(
            f"phantom: expected a test_seed other than the seed {seed}, since equal ones give "
            "equal images; choose another test_seed."
        )


def _check_biomarkers(biomarkers: Sequence[str], missing: Mapping[str, float]) -> None:
    for name in biomarkers:
        if name not in BIOMARKERS:
            raise NnmtlError(
                f"phantom: expected biomarkers among {', '.join(BIOMARKERS)}, got {name!r}."
            )
    for name, share in missing.items():
        if name not in biomarkers or not 0 <= share <= 1:
            raise NnmtlError(
                f"phantom: expected the missing share of a chosen biomarker between 0 and 1, "
                f"got {share!r} for {name!r}; the chosen ones are {', '.join(biomarkers)}."
            )


def _orders(centers: Mapping[str, int], seed: int, subset: str) -> list[_Order]:
    prefix = "T" if subset == "Ts" else ""
    for center, number in centers.items():
        center_named(center)
        if number < 0:
            raise NnmtlError(
                f"phantom: expected a number of cases of at least 0, got {number} for {center!r}."
            )
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
    preset: str,
    workers: int,
    progress: Progress | None,
) -> list[_Row]:
    write = partial(_write_case, folder=folder, preset=preset)
    if workers <= 1:
        return _follow(map(write, orders), len(orders), progress)
    # Spawned, since a fork of a process with threads, as torch has them, can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        return _follow(pool.map(write, orders, chunksize=4), len(orders), progress)


def _follow(rows: Iterable[_Row], total: int, progress: Progress | None) -> list[_Row]:
    finished = []
    for row in rows:
        finished.append(row)
        if progress is not None:
            progress(len(finished), total)
    return finished


def _write_case(order: _Order, *, folder: Path, preset: str) -> _Row:
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    case = generate_case(preset, order.center, order.seed, order.index)
    images, labels = folder / f"images{order.subset}", folder / f"labels{order.subset}"
    _write_nifti(images / f"{order.case_id}_0000{_ENDING}", case.image, case.spacing_mm)
    _write_nifti(labels / f"{order.case_id}{_ENDING}", case.label_map, case.spacing_mm)
    return _Row(order=order, targets=case.targets, truth=_truth(case))


def _write_nifti(
    path: Path,
    array: npt.NDArray[np.int16] | npt.NDArray[np.uint8],
    spacing_mm: tuple[float, float, float],
) -> None:
    volume = sitk.GetImageFromArray(array)
    volume.SetSpacing(spacing_mm[::-1])
    volume.SetMetaData("ITK_FileNotes", NOTICE)  # becomes the header field descrip
    sitk.WriteImage(volume, str(path), useCompression=True)


def _truth(case: PhantomCase) -> dict[str, float]:
    traits = {f"u_{name}": value for name, value in case.traits.items()}
    return traits | nuisance_columns(case.nuisance) | dict(case.posterior)


def _identities(rows: Sequence[_Row]) -> dict[str, list[str]]:
    case_ids = [row.order.case_id for row in rows]
    return {
        "case_id": case_ids,
        "patient_id": case_ids,
        "center": [row.order.center for row in rows],
    }


def _target_columns(
    rows: Sequence[_Row], biomarkers: Sequence[str], missing: Mapping[str, float], seed: int
) -> dict[str, list[str]]:
    rows = sorted(rows, key=lambda row: row.order.case_id)
    columns = _identities(rows)
    for name in biomarkers:
        # One stream per biomarker: whether one is missing does not move the gaps of another.
        rng = np.random.default_rng([seed, *name.encode()])
        gaps = rng.random(len(rows)) < missing.get(name, 0.0)
        columns[name] = [
            "" if gap and row.order.subset == "Tr" else str(row.targets[name])
            for row, gap in zip(rows, gaps, strict=True)
        ]
    return columns


def _truth_columns(rows: Sequence[_Row]) -> dict[str, list[str]]:
    rows = sorted(rows, key=lambda row: row.order.case_id)
    columns = _identities(rows)
    for name in BIOMARKERS:
        columns[f"true_{name}"] = [str(row.targets[name]) for row in rows]
    for name in rows[0].truth if rows else ():
        columns[name] = [f"{row.truth[name]:.6g}" for row in rows]
    return columns


def _dataset_json(  # noqa: PLR0913
    name: str,
    preset: str,
    seed: int,
    test_seed: int,
    biomarkers: Sequence[str],
    orders: Sequence[_Order],
) -> dict[str, object]:
    declaration = Declaration(
        tumor_labels=(1,),
        biomarkers=tuple(BIOMARKERS[biomarker] for biomarker in biomarkers),
        synthetic={
            "generator": "nnmtl.phantom",
            "version": GENERATOR_VERSION,
            "preset": preset,
            "seed": seed,
            "test_seed": test_seed,
            "traits_sha256": traits_sha256(),
        },
    )
    return {
        "name": name,
        "description": NOTICE,
        "channel_names": {"0": "DCE"},
        "labels": {"background": 0, "tumor": 1},
        "numTraining": sum(order.subset == "Tr" for order in orders),
        "file_ending": _ENDING,
        "overwrite_image_reader_writer": "SimpleITKIOWithReorient",
        KEY: declaration_to_json(declaration),
    }
