"""The cohort's declaration: the value of `dataset.json["nnmtl"]`."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nnmtl.cohort.biomarker import (
    Biomarker,
    CategoricalBiomarker,
    biomarker_to_json,
    parse_biomarker,
)
from nnmtl.cohort.strict_json import as_integer, as_list, as_object, as_texts
from nnmtl.errors import NnmtlError

SCHEMA = 1
KEY = "nnmtl"
IDENTITY_COLUMNS = ("case_id", "patient_id", "center")
_WHERE = f'dataset.json["{KEY}"]'


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """What a dataset says about its cases beyond nnU-Net's own `dataset.json`.

    Attributes:
        tumor_labels: the values of the label map that are tumor.
        biomarkers: what is to be predicted, in the order of the table's columns.
        covariates: names of the numeric clinical columns.
        missing_channels: per case id, the channels whose image is a stand-in of zeros.
        synthetic: how the cohort was generated, for a phantom; None for patients.
    """

    tumor_labels: tuple[int, ...]
    biomarkers: tuple[Biomarker, ...] = ()
    covariates: tuple[str, ...] = ()
    missing_channels: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    synthetic: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        if not self.tumor_labels or 0 in self.tumor_labels:
            raise NnmtlError(
                f"{_WHERE}: expected tumor_labels with at least one label, background 0 not "
                f"among them, got {list(self.tumor_labels)!r}."
            )
        _refuse_duplicates((*IDENTITY_COLUMNS, *self.target_columns), what="the column")
        _refuse_duplicates(_prediction_columns(self.biomarkers), what="the column of predictions")

    @property
    def target_columns(self) -> tuple[str, ...]:
        """The columns of targets.csv after case_id, patient_id and center."""
        return (*(biomarker.name for biomarker in self.biomarkers), *self.covariates)


def parse_declaration(dataset_json: Mapping[str, object]) -> Declaration:
    """The declaration in a parsed dataset.json, checked against its labels and channels.

    Raises:
        NnmtlError: if it is missing, has an unknown key, or names a label, a channel or a
            biomarker that cannot be.
    """
    if KEY not in dataset_json:
        raise NnmtlError(
            f"dataset.json: the key {KEY!r}, which declares tumor labels and biomarkers, "
            "is missing; add it."
        )
    declared = as_object(
        dataset_json[KEY],
        where=_WHERE,
        required=["schema", "tumor_labels"],
        optional=["biomarkers", "covariates", "missing_channels", "synthetic"],
    )
    if declared["schema"] != SCHEMA:
        raise NnmtlError(f"{_WHERE}: expected the schema {SCHEMA}, got {declared['schema']!r}.")
    declaration = Declaration(
        tumor_labels=_integers(declared["tumor_labels"], where=f"{_WHERE}: tumor_labels"),
        biomarkers=tuple(
            parse_biomarker(entry)
            for entry in as_list(declared.get("biomarkers", []), where=f"{_WHERE}: biomarkers")
        ),
        covariates=as_texts(declared.get("covariates", []), where=f"{_WHERE}: covariates"),
        missing_channels=_parse_missing_channels(declared.get("missing_channels", {})),
        synthetic=_parse_synthetic(declared.get("synthetic")),
    )
    _check_labels(declaration, dataset_json)
    _check_channels(declaration, dataset_json)
    return declaration


def declaration_to_json(declaration: Declaration) -> dict[str, object]:
    """The value of `dataset.json["nnmtl"]`, which `parse_declaration` reads back."""
    declared: dict[str, object] = {
        "schema": SCHEMA,
        "tumor_labels": list(declaration.tumor_labels),
        "biomarkers": [biomarker_to_json(biomarker) for biomarker in declaration.biomarkers],
        "covariates": list(declaration.covariates),
        "missing_channels": {
            case_id: list(channels)
            for case_id, channels in sorted(declaration.missing_channels.items())
        },
    }
    if declaration.synthetic is not None:
        declared["synthetic"] = dict(declaration.synthetic)
    return declared


def as_labels(value: object, *, where: str) -> Mapping[str, object]:
    """The value as nnU-Net's `labels`: numbers by name, or lists of them for regions.

    Raises:
        NnmtlError: if background is not 0, a number is left out, or `ignore` is not the highest.
    """
    labels = as_object(value, where=where)
    numbers = [
        number
        for item in labels.values()
        for number in (item if isinstance(item, list) and item else [item])
    ]
    is_sound = (
        all(type(number) is int for number in numbers)  # True is no label
        and set(numbers) == set(range(len(set(numbers))))
        and labels.get("background") == 0
        and labels.get("ignore", len(set(numbers)) - 1) == len(set(numbers)) - 1
    )
    if not is_sound:
        raise NnmtlError(
            f"{where}: expected 'background': 0 and then 1, 2 and so on by name, or lists of them "
            f"for regions, and the highest for 'ignore', got {dict(labels)!r}; correct them."
        )
    return labels


def declared_labels(labels: Mapping[str, object]) -> set[int]:
    """All values of `dataset.json["labels"]`, `ignore` and region-based ones among them."""
    values: set[int] = set()
    for value in labels.values():
        values |= set(value) if isinstance(value, list) else {value}  # type: ignore[arg-type]
    return values


def _parse_missing_channels(declared: object) -> dict[str, tuple[int, ...]]:
    where = f"{_WHERE}: missing_channels"
    by_case = as_object(declared, where=where)
    return {
        case_id: _integers(channels, where=f"{where}: {case_id!r}")
        for case_id, channels in by_case.items()
    }


def _parse_synthetic(declared: object) -> Mapping[str, object] | None:
    if declared is None:
        return None
    return as_object(declared, where=f"{_WHERE}: synthetic")


def _integers(value: object, *, where: str) -> tuple[int, ...]:
    return tuple(as_integer(item, where=where) for item in as_list(value, where=where))


def _check_labels(declaration: Declaration, dataset_json: Mapping[str, object]) -> None:
    """A tumor label must be one of nnU-Net's `labels`; a region-based label is a list."""
    if "labels" not in dataset_json:
        return
    labels = as_labels(dataset_json["labels"], where="dataset.json: labels")
    values = declared_labels({name: value for name, value in labels.items() if name != "ignore"})
    for label in declaration.tumor_labels:
        if label not in values:
            raise NnmtlError(
                f"{_WHERE}: the tumor label {label} is not among the labels of "
                f"dataset.json, {dict(labels)!r}; declare it there or correct tumor_labels."
            )


def _check_channels(declaration: Declaration, dataset_json: Mapping[str, object]) -> None:
    names = as_object(dataset_json.get("channel_names", {}), where="dataset.json: channel_names")
    for case_id, channels in declaration.missing_channels.items():
        for channel in channels:
            if names and channel >= len(names):
                raise NnmtlError(
                    f"{_WHERE}: missing_channels names channel {channel} of case {case_id!r}, "
                    f"but the channels are 0 to {len(names) - 1}; correct the number."
                )


def _prediction_columns(biomarkers: Iterable[Biomarker]) -> list[str]:
    """The columns that these biomarkers take in biomarkers.csv."""
    columns = []
    for biomarker in biomarkers:
        columns.append(f"{biomarker.name}_fold_sd")
        if isinstance(biomarker, CategoricalBiomarker):
            columns += [f"{biomarker.name}_{category}" for category in biomarker.categories]
        else:
            columns.append(biomarker.name)
    return columns


def _refuse_duplicates(names: Iterable[str], *, what: str) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise NnmtlError(
                f"{_WHERE}: {what} {name!r} would stand for {count} things; rename one of them."
            )
