"""The feature table of many cases, measured one by one and kept in a CSV file."""

import hashlib
import math
import multiprocessing
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nnmtl.baselines.features import region_features, volume_features
from nnmtl.baselines.radiomics import import_extractor, radiomic_features
from nnmtl.cohort.cell import format_number
from nnmtl.cohort.csv_file import CsvRow, read_csv, write_csv
from nnmtl.cohort.image_file import geometry_mismatch, read_array, read_header
from nnmtl.errors import NnmtlError

ImageKind = Literal["region", "radiomics", "volume"]
Row = Mapping[str, float]

VERSION = 1  # of what is measured: raise it when a number changes, so that no file is reused
CASES_PER_WRITE = 50


@dataclass(frozen=True, kw_only=True)
class CaseFiles:
    """What a case is measured from.

    Attributes:
        case_id: of the case.
        images: a file per channel, in order.
        label_map: on the same grid.
        tumor_labels: the values of the label map that are tumor.
    """

    case_id: str
    images: tuple[Path, ...]
    label_map: Path
    tumor_labels: tuple[int, ...]


def measure_cases(
    cases: Sequence[CaseFiles], kind: ImageKind, *, kept: Path, workers: int = 1
) -> dict[str, Row]:
    """Case id → features by name; no features where the mask is empty.

    Cases that the file has of the same images and label map, by path, size and time of change, are
    not measured again; the others are added to it as they are finished, every 50 cases. With
    several workers the calling script needs the guard `if __name__ == "__main__"`.

    Args:
        cases: to measure, each once.
        kind: `region`, `radiomics` or `volume`.
        kept: the CSV file of the features, of this kind only.
        workers: number of processes; the numbers do not depend on it.

    Raises:
        NnmtlError: if a file is absent or unreadable, images and label map are not on one grid, or
            radiomics are asked for without their package.
    """
    if kind == "radiomics":
        import_extractor()
    signatures = {case.case_id: _signature(case) for case in cases}
    rows = _read_kept(kept)
    todo = [case for case in cases if (case.case_id, signatures[case.case_id]) not in rows]
    for number, (case, row) in enumerate(_measured(todo, kind, workers), start=1):
        rows[case.case_id, signatures[case.case_id]] = row
        if number % CASES_PER_WRITE == 0 or number == len(todo):
            _write_kept(rows, kept)
    return {case_id: rows[case_id, signature] for case_id, signature in signatures.items()}


def feature_names(rows: Iterable[Row]) -> list[str]:
    """All names that any of the rows has, in alphabetical order."""
    return sorted({name for row in rows for name in row})


def feature_array(rows: Sequence[Row], names: Sequence[str]) -> NDArray[np.float64]:
    """(N, F); nan where a row lacks a feature, or has no finite number."""
    numbers = [[row.get(name, math.nan) for name in names] for row in rows]
    table = np.array(numbers, dtype=np.float64).reshape(len(rows), len(names))
    return np.where(np.isfinite(table), table, np.nan)


def measure_case(case: CaseFiles, kind: ImageKind) -> Row:
    """The features of one case; none where the mask is empty."""
    reference = read_header(case.label_map)
    for path in case.images:
        mismatch = geometry_mismatch(read_header(path), reference)
        if mismatch:
            raise NnmtlError(
                f"{case.label_map}: expected the grid of {path}, but {mismatch}; predict this "
                "case's image again."
            )
    mask = np.isin(read_array(case.label_map), case.tumor_labels)
    spacing_mm = reference.spacing_mm[::-1]
    if not mask.any():
        return {}
    if kind == "volume":
        return volume_features(mask, spacing_mm)
    images = np.stack([read_array(path).astype(np.float32) for path in case.images])
    measure = region_features if kind == "region" else radiomic_features
    return measure(images, mask, spacing_mm)


def _measured(
    cases: Sequence[CaseFiles], kind: ImageKind, workers: int
) -> Iterable[tuple[CaseFiles, Row]]:
    measure: Callable[[CaseFiles], Row] = partial(measure_case, kind=kind)
    if workers <= 1 or len(cases) < 2:
        yield from zip(cases, map(measure, cases), strict=True)
        return
    # Spawned, since a fork of a process with threads, as torch has them, can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from zip(cases, pool.map(measure, cases, chunksize=4), strict=True)


def _signature(case: CaseFiles) -> str:
    """Changes when a file of the case or what is measured changes."""
    parts = [f"{VERSION} {case.tumor_labels}"]
    for path in (*case.images, case.label_map):
        if not path.is_file():
            raise NnmtlError(
                f"{path}: expected a file of the case {case.case_id!r}, but there is none; add it, "
                "or name the folder that has it."
            )
        stat = path.stat()
        parts.append(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _read_kept(path: Path) -> dict[tuple[str, str], Row]:
    if not path.is_file():
        return {}
    rows: dict[tuple[str, str], Row] = {}
    for row in read_csv(path, ["case_id", "signature"], with_others=True):
        names = [name for name in row.cells if name not in ("case_id", "signature")]
        rows[row["case_id"], row["signature"]] = {
            name: _number(row, name) for name in names if row[name]
        }
    return rows


def _number(row: CsvRow, name: str) -> float:
    try:
        return float(row[name])
    except ValueError as error:
        raise row.error(name, "a measured number; remove the file, it is made again") from error


def _write_kept(rows: Mapping[tuple[str, str], Row], path: Path) -> None:
    """A row per measurement; an empty cell is a feature that the case does not have."""
    keys = sorted(rows)
    columns = {"case_id": [case_id for case_id, _ in keys]}
    columns["signature"] = [signature for _, signature in keys]
    for name in feature_names(rows.values()):
        columns[name] = [
            format_number(rows[key][name]) if name in rows[key] else "" for key in keys
        ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_csv(path, columns)
