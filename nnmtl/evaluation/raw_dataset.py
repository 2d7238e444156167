"""A raw dataset as the source of truth: its declaration, its targets and where its cases are."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnmtl.cohort.declaration import Declaration, parse_declaration
from nnmtl.cohort.targets import TargetTable, read_targets
from nnmtl.errors import NnmtlError
from nnmtl.evaluation.results import Split

SPLITS: tuple[Split, ...] = ("Ts", "Tr")


@dataclass(frozen=True, kw_only=True)
class RawDataset:
    """What evaluation needs to know of an nnU-Net raw dataset.

    Attributes:
        folder: `DatasetXXX_Name`.
        file_ending: of images and label maps.
        ignore_label: voxels of this label are not judged; None if there is no such label.
        declaration: tumor labels and biomarkers.
        is_synthetic: whether the cases are phantoms.
    """

    folder: Path
    file_ending: str
    ignore_label: int | None
    declaration: Declaration
    is_synthetic: bool

    def targets(self) -> TargetTable:
        """The target table of all its cases."""
        return read_targets(self.folder / "targets.csv", self.declaration)

    def label_path(self, case_id: str, split: Split) -> Path:
        """Where the true label map of a case is, if there is one."""
        return self.folder / f"labels{split}" / f"{case_id}{self.file_ending}"

    def image_path(self, case_id: str, split: Split) -> Path:
        """The case's first channel."""
        return self.folder / f"images{split}" / f"{case_id}_0000{self.file_ending}"


def read_raw_dataset(folder: Path) -> RawDataset:
    """Reads a raw dataset's dataset.json.

    Raises:
        NnmtlError: if it is missing, no JSON, or without the key `nnmtl`.
    """
    path = folder / "dataset.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        labels, file_ending = content["labels"], content["file_ending"]
    except FileNotFoundError as error:
        raise NnmtlError(f"{path}: expected a file, but there is none; add it.") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise NnmtlError(f"{path}: expected JSON, got {error}; correct it.") from error
    except (KeyError, TypeError) as error:
        raise NnmtlError(f"{path}: the key {error} is missing; add it.") from error
    declaration = parse_declaration(content)
    return RawDataset(
        folder=folder,
        file_ending=file_ending,
        ignore_label=labels.get("ignore"),
        declaration=declaration,
        is_synthetic=bool(declaration.synthetic or content.get("synthetic")),
    )


def find_split(raw: RawDataset, case_ids: Sequence[str]) -> Split:
    """The split that holds all the cases, the test cases first.

    Raises:
        NnmtlError: if neither does; names a case.
    """
    missing = {split: missing_cases(raw, case_ids, split) for split in SPLITS}
    for split in SPLITS:
        if not missing[split]:
            return split
    lost = min(missing.values(), key=len)
    raise NnmtlError(
        f"{raw.folder}: expected all {len(case_ids)} predicted cases in imagesTs, or all in "
        f"imagesTr, but {len(lost)} are not, such as "
        f"{lost[0]!r}; name the dataset that was predicted."
    )


def missing_cases(raw: RawDataset, case_ids: Sequence[str], split: Split) -> list[str]:
    """Those cases that have neither image nor label map in the split."""
    return [
        case_id
        for case_id in case_ids
        if not raw.image_path(case_id, split).is_file()
        and not raw.label_path(case_id, split).is_file()
    ]


def cases_with_label(raw: RawDataset, split: Split) -> list[str]:
    """The ids of all cases of the split that have a true label map."""
    ending = raw.file_ending
    paths = (raw.folder / f"labels{split}").glob(f"*{ending}")
    return sorted(path.name.removesuffix(ending) for path in paths)


def read_posteriors(raw: RawDataset) -> dict[str, dict[str, float]]:
    """Per biomarker and case what a phantom's exact posterior answers; empty for patients.

    That is the probability of positive (column `p_<name>`), or the median (`<name>_median`).
    """
    path = raw.folder / "phantom_truth.csv"
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    header = rows[0] if rows else {}
    columns = {
        biomarker.name: column
        for biomarker in raw.declaration.biomarkers
        for column in (f"p_{biomarker.name}", f"{biomarker.name}_median")
        if column in header
    }
    return {
        name: {row["case_id"]: float(row[column]) for row in rows}
        for name, column in columns.items()
    }
