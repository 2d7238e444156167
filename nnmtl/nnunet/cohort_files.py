"""The cohort's files beside the plans: targets of the training cases, fingerprint, splits."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from nnmtl.cohort.declaration import Declaration, parse_declaration
from nnmtl.cohort.targets import UNKNOWN_CENTER, TargetTable, read_targets, write_targets
from nnmtl.errors import NnmtlError
from nnmtl.whole_file import write_whole

logger = logging.getLogger(__name__)

TARGETS = "targets.csv"
FINGERPRINT = "nnmtl_fingerprint.json"
SPLITS = "splits_final.json"
CENTER_SPLITS = "splits_leave_one_center_out.json"
CENTERS = "nnmtl_centers.json"  # in a model folder: names of the centers it was trained on
CENTERS_FOLDER = "centers"  # in a model folder: configurations of centers that it has not seen
CENTER_FACTS = "nnmtl_center_facts.json"  # in a model folder: what their images are like


def read_json(path: Path) -> Any:
    """Parses a JSON file; raises `NnmtlError` if it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NnmtlError(f"Expected the file {path}, but it does not exist.") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise NnmtlError(f"{path}: expected JSON, but {error}. Correct or remove it.") from error


def write_json(value: Any, path: Path) -> None:
    """Writes JSON under a temporary name, then renames it: nothing half-written stays."""
    write_whole(path, json.dumps(value, indent=1) + "\n")


def read_declaration(folder: Path) -> Declaration | None:
    """The declaration in `folder/dataset.json`; None if the dataset declares nothing for us."""
    dataset_json = read_json(folder / "dataset.json")
    return parse_declaration(dataset_json) if "nnmtl" in dataset_json else None


def copy_training_targets(
    raw: Path, preprocessed: Path, declaration: Declaration, case_ids: list[str]
) -> TargetTable:
    """Reads the raw table and writes the rows of the training cases beside the plans.

    Rows of other cases (test cases, cases without image) never leave this function. A case without
    row trains the segmentation only: it gets a row in which nothing is observed.
    """
    table = read_targets(raw / TARGETS, declaration)
    missing = sorted(set(case_ids) - set(table.case_ids))
    if missing:
        logger.warning(
            "%s: %d cases of imagesTr have no row and train the segmentation only, each as a "
            "patient of its own in the center %r, such as %s.",
            raw / TARGETS,
            len(missing),
            UNKNOWN_CENTER,
            missing[0],
        )
    table = table.with_unobserved(missing).select(case_ids)
    preprocessed.mkdir(parents=True, exist_ok=True)
    write_targets(table, preprocessed / TARGETS)
    return table


def targets_hash(preprocessed: Path) -> str:
    """SHA-256 of the copied target table."""
    return hashlib.sha256((preprocessed / TARGETS).read_bytes()).hexdigest()
