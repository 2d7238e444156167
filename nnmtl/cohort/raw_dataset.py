"""Reads a raw nnU-Net dataset folder and finds what is wrong with it."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnmtl.cohort.declaration import Declaration, declared_labels, parse_declaration
from nnmtl.cohort.image_file import (
    check_voxels,
    geometry_mismatch,
    read_array,
    read_header,
)
from nnmtl.cohort.near_miss import did_you_mean
from nnmtl.cohort.splits import Fold, patient_folds
from nnmtl.cohort.strict_json import as_object, as_text
from nnmtl.cohort.targets import TargetTable, read_targets
from nnmtl.cohort.validation import Finding, check_labels, check_table
from nnmtl.errors import NnmtlError

DATASET_JSON = "dataset.json"
TARGETS_CSV = "targets.csv"


@dataclass(frozen=True, kw_only=True)
class RawDataset:
    """What a raw dataset folder declares, and which images it holds.

    Attributes:
        folder: `Dataset<ID>_<name>`.
        dataset_json: parsed.
        declaration: its key `nnmtl`.
        table: targets.csv.
        train_images: per case in imagesTr, the path of each channel found.
        test_images: the same of imagesTs.
    """

    folder: Path
    dataset_json: Mapping[str, object]
    declaration: Declaration
    table: TargetTable
    train_images: Mapping[str, Mapping[int, Path]]
    test_images: Mapping[str, Mapping[int, Path]]

    @property
    def file_ending(self) -> str:
        """Of images and label maps, such as `.nii.gz`."""
        return as_text(self.dataset_json["file_ending"], where="dataset.json: file_ending")

    @property
    def num_channels(self) -> int:
        """How many images make a case."""
        return len(as_object(self.dataset_json["channel_names"], where="dataset.json: channels"))

    def label_path(self, case_id: str) -> Path:
        """The label map of a training case."""
        return self.folder / "labelsTr" / f"{case_id}{self.file_ending}"


def read_raw_dataset(folder: Path) -> RawDataset:
    """Reads dataset.json, targets.csv and the names of images.

    Raises:
        NnmtlError: if a file is absent or not as it should be.
    """
    dataset_json = read_dataset_json(folder)
    declaration = parse_declaration(dataset_json)
    ending = as_text(dataset_json["file_ending"], where="dataset.json: file_ending")
    return RawDataset(
        folder=folder,
        dataset_json=dataset_json,
        declaration=declaration,
        table=read_targets(folder / TARGETS_CSV, declaration),
        train_images=channel_files(folder / "imagesTr", ending),
        test_images=channel_files(folder / "imagesTs", ending),
    )


def read_dataset_json(folder: Path) -> Mapping[str, object]:
    """The parsed dataset.json of a raw dataset folder.

    Raises:
        NnmtlError: if it is absent, not JSON, or lacks one of nnU-Net's keys.
    """
    path = folder / DATASET_JSON
    if not path.is_file():
        raise NnmtlError(f"{path}: expected the dataset's declaration, but there is no such file.")
    try:
        parsed = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise NnmtlError(f"{path}: expected JSON in UTF-8, but {error}; correct it.") from error
    return as_object(
        parsed,
        where=str(path),
        required=["channel_names", "labels", "numTraining", "file_ending"],
    )


def check_raw_dataset(folder: Path) -> list[Finding]:
    """All findings of a raw dataset folder.

    An error in dataset.json or targets.csv is the only finding, because the rest depends on them.
    """
    try:
        return check_dataset(read_raw_dataset(folder))
    except NnmtlError as error:
        return [_error(str(error))]


def check_dataset(dataset: RawDataset) -> list[Finding]:
    """Checks table, folds, images and label maps.

    Reads every label map and every image, but looks at no image: `experiments.check_dataset` does.
    """
    return [*_check_folds(dataset), *check_images(dataset)]


def check_images(dataset: RawDataset) -> list[Finding]:
    """Checks images and label maps; not whether there are enough cases to train from nothing."""
    return [*_check_files(dataset), *_check_grids(dataset), *_check_label_maps(dataset)]


def check_layout(dataset: RawDataset) -> list[Finding]:
    """Checks table and folds, and which files there are."""
    return [*_check_folds(dataset), *_check_files(dataset)]


def channel_files(folder: Path, ending: str) -> dict[str, dict[int, Path]]:
    """Case id → channel → file of all `<case>_<4 digits><ending>` in a folder."""
    found: dict[str, dict[int, Path]] = {}
    for path in sorted(folder.glob(f"*{ending}")):
        case_id, _, channel = path.name.removesuffix(ending).rpartition("_")
        if case_id and len(channel) == 4 and channel.isdigit():
            found.setdefault(case_id, {})[int(channel)] = path
    return found


def _check_folds(dataset: RawDataset) -> list[Finding]:
    """Checks the table with the folds that planning would draw."""
    table, train = dataset.table, dataset.train_images
    findings: list[Finding] = []
    folds: tuple[Fold, ...] | None = None
    if train:
        try:
            folds = patient_folds(table.select(set(train) & set(table.case_ids)))
        except NnmtlError as error:
            findings.append(_error(str(error)))
    return findings + check_table(
        table, dataset.declaration, train, folds, test_case_ids=dataset.test_images
    )


def _check_files(dataset: RawDataset) -> list[Finding]:
    findings = []
    if dataset.dataset_json["numTraining"] != len(dataset.train_images):
        findings.append(
            _error(
                f"dataset.json: numTraining is {dataset.dataset_json['numTraining']!r}, but "
                f"imagesTr holds {len(dataset.train_images)} cases; correct it."
            )
        )
    expected = set(range(dataset.num_channels))
    for part, images in (("imagesTr", dataset.train_images), ("imagesTs", dataset.test_images)):
        for case_id, channels in images.items():
            if set(channels) != expected:
                findings.append(
                    _error(
                        f"{part}: the case {case_id!r} has the channels {sorted(channels)}, but "
                        f"dataset.json declares {sorted(expected)}; store a missing channel as "
                        "an image of zeros and list it in missing_channels.",
                        case_id,
                    )
                )
    return findings + _check_stand_ins(dataset) + _check_names_of_labels(dataset)


def _check_stand_ins(dataset: RawDataset) -> list[Finding]:
    """An image that is declared missing must be all zero."""
    images = {**dataset.test_images, **dataset.train_images}
    findings = []
    for case_id, channels in dataset.declaration.missing_channels.items():
        for channel in set(channels) & set(images.get(case_id, {})):
            path = images[case_id][channel]
            try:
                is_zero = not np.any(read_array(path))
            except NnmtlError as error:
                findings.append(_error(str(error), case_id))
                continue
            if not is_zero:
                findings.append(
                    _error(
                        f"dataset.json: channel {channel} of case {case_id!r} is listed in "
                        f"missing_channels, but {path.name} is not all zero; correct one of them.",
                        case_id,
                    )
                )
    return findings


def _check_names_of_labels(dataset: RawDataset) -> list[Finding]:
    ending = dataset.file_ending
    label_paths = (dataset.folder / "labelsTr").glob(f"*{ending}")
    cases_with_label = {path.name.removesuffix(ending) for path in label_paths}
    findings = [
        _error(
            f"labelsTr: the case {case_id!r} has no label map"
            f"{did_you_mean(case_id, cases_with_label - set(dataset.train_images))}; add it, all "
            "ignore if the tumor was never outlined.",
            case_id,
        )
        for case_id in sorted(set(dataset.train_images) - cases_with_label)
    ]
    findings += [
        _error(f"labelsTr: {case_id + ending!r} belongs to no case in imagesTr; remove it.")
        for case_id in sorted(cases_with_label - set(dataset.train_images))
    ]
    return findings


def _check_label_maps(dataset: RawDataset) -> list[Finding]:
    findings: list[Finding] = []
    labels_of_case: dict[str, Collection[float]] = {}
    for case_id in dataset.train_images:
        path = dataset.label_path(case_id)
        if path.is_file():
            try:
                labels_of_case[case_id] = np.unique(read_array(path)).tolist()
            except NnmtlError as error:
                findings.append(_error(str(error), case_id))
    return findings + check_label_values(dataset, labels_of_case)


def check_label_values(
    dataset: RawDataset, labels_of_case: Mapping[str, Collection[float]]
) -> list[Finding]:
    """Checks the values of the training cases' label maps."""
    labels = as_object(dataset.dataset_json["labels"], where="dataset.json: labels")
    ignore_label = labels.get("ignore")
    return check_labels(
        labels_of_case,
        dataset.declaration,
        known_labels=declared_labels(labels),
        ignore_label=ignore_label if isinstance(ignore_label, int) else None,
    )


def _check_grids(dataset: RawDataset) -> list[Finding]:
    findings: list[Finding] = []
    for case_id, channels in dataset.train_images.items():
        label_path = dataset.label_path(case_id)
        with_label = [label_path] if label_path.is_file() else []
        findings += check_grid(case_id, [*channels.values(), *with_label])
        findings += _check_voxels(case_id, channels.values())
    for case_id, channels in dataset.test_images.items():
        findings += check_grid(case_id, list(channels.values()))
    return findings


def check_grid(case_id: str, paths: Sequence[Path]) -> list[Finding]:
    """All files of a case must lie on one grid."""
    first, *others = paths
    for other in others:
        try:
            mismatch = geometry_mismatch(read_header(first), read_header(other))
        except NnmtlError as error:
            return [_error(str(error), case_id)]
        if mismatch:
            return [
                _error(
                    f"the case {case_id!r}: {first.parent.name}/{first.name} and "
                    f"{other.parent.name}/{other.name} are not on one grid: {mismatch}; resample "
                    "one of them.",
                    case_id,
                )
            ]
    return []


def _check_voxels(case_id: str, paths: Iterable[Path]) -> list[Finding]:
    try:
        for path in paths:
            check_voxels(path)
    except NnmtlError as error:
        return [_error(str(error), case_id)]
    return []


def _error(message: str, *case_ids: str) -> Finding:
    return Finding(level="error", message=message, case_ids=case_ids)
