"""The files that say which cases are held out: five folds, and each center in turn."""

import logging
from pathlib import Path
from typing import Any

from nnmtl.cohort.splits import NUM_FOLDS, leave_one_center_out, patient_folds
from nnmtl.cohort.targets import TargetTable
from nnmtl.errors import NnmtlError
from nnmtl.nnunet.cohort_files import (
    CENTER_SPLITS,
    SPLITS,
    read_json,
    write_json,
)

logger = logging.getLogger(__name__)


def write_splits(table: TargetTable, preprocessed: Any) -> None:
    """Writes splits_final.json; an existing one is kept if it covers these cases, else refused."""
    path = preprocessed / SPLITS
    if path.is_file():
        _check_existing_splits(path, table)
        logger.info("Keeping the existing %s", path)
        return
    folds = patient_folds(table)
    write_json([{"train": list(fold.train), "val": list(fold.validation)} for fold in folds], path)


def check_fold(fold: int | str, preprocessed: Path) -> None:
    """Refuses a fold beyond the last: nnU-Net would draw one that tears patients apart.

    Args:
        fold: number, or `all`.
        preprocessed: folder with the splits; without any yet, there will be as many as are drawn.

    Raises:
        NnmtlError: naming those there are.
    """
    path = preprocessed / SPLITS
    number = len(read_json(path)) if path.is_file() else NUM_FOLDS
    if isinstance(fold, int) and fold >= number:
        raise NnmtlError(
            f"fold {fold}: expected 0 to {number - 1}, or all, since {path} has {number} folds; "
            "name one of them."
        )


def write_center_splits(table: TargetTable, preprocessed: Any) -> None:
    """Writes a split per center, which holds its cases out; none where there is one center."""
    if len(set(table.centers)) > 1:
        splits = [
            {"center": center, "train": list(fold.train), "val": list(fold.validation)}
            for center, fold in leave_one_center_out(table).items()
        ]
        write_json(splits, preprocessed / CENTER_SPLITS)


def _check_existing_splits(path: Any, table: TargetTable) -> None:
    patient_of = dict(zip(table.case_ids, table.patient_ids, strict=True))
    for number, fold in enumerate(read_json(path)):
        cases = [*fold["train"], *fold["val"]]
        unknown = sorted(set(cases) - set(table.case_ids))
        shared = {patient_of.get(case) for case in fold["train"]} & {
            patient_of.get(case) for case in fold["val"]
        }
        if unknown or shared:
            raise NnmtlError(
                f"{path}: fold {number} has the unknown cases {unknown[:3]} or has the patients "
                f"{sorted(map(str, shared))[:3]} both in train and val. Correct or remove the file."
            )
