"""The mapping file: which column of a center's table means what, and where its images are."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nnmtl.cohort.biomarker import Biomarker, parse_biomarker
from nnmtl.cohort.declaration import as_labels, declared_labels
from nnmtl.cohort.strict_json import (
    as_boolean,
    as_integer,
    as_list,
    as_number,
    as_object,
    as_text,
    as_texts,
)
from nnmtl.dataset_conversion._geometry_columns import GeometryColumns, parse_geometry_columns
from nnmtl.dataset_conversion._source_column import (
    COLUMN_KEYS,
    RULE_KEYS,
    RuledColumns,
    SourceColumn,
    parse_ruled_columns,
    parse_source_column,
)
from nnmtl.errors import NnmtlError

_REQUIRED = ("case_id", "patient_id", "center", "channel_names", "labels", "tumor_labels")
_OPTIONAL = (
    "biomarkers",
    "covariates",
    "images",
    "mask",
    "mask_values",
    "missing_channels",
    "absent_images_are_missing_channels",
    "not_observed",
    "geometry",
    "holdout",
    "about",
)
_ABOUT_KEYS = ("description", "reference", "licence")


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A column and the texts in it that mean yes."""

    column: str
    when: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """The share of patients that becomes imagesTs."""

    fraction: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class TableMapping:
    """One parsed mapping file.

    Attributes:
        case_id: column of the case.
        patient_id: column of the patient.
        center: column of the center; None where `one_center` names it for all.
        one_center: the center of all cases.
        biomarkers: to declare.
        covariates: to declare.
        columns: the source of every biomarker and covariate.
        channel_names: as nnU-Net's dataset.json has them.
        labels: likewise.
        tumor_labels: those of them that are tumor.
        images: a path per channel below the source folder, with `{case}` for the case id; None
            for nnU-Net's own layout.
        mask: the same of the label map; of several paths the first that exists is taken. None for
            nnU-Net's own layout.
        mask_values: the label of each value in the masks; None where they hold labels already.
        missing_channels: per channel, which rows lack it.
        absent_images_are_missing_channels: whether an absent file means a missing channel.
        not_observed: texts that mean an empty cell.
        geometry: the columns of spacing and shape; None where the table has none.
        holdout: None to keep all cases for training.
        about: description, reference and licence for dataset.json.
    """

    case_id: str
    patient_id: str
    center: str | None
    one_center: str | None
    biomarkers: tuple[Biomarker, ...]
    covariates: tuple[str, ...]
    columns: Mapping[str, SourceColumn | RuledColumns]
    channel_names: Mapping[str, str]
    labels: Mapping[str, object]
    tumor_labels: tuple[int, ...]
    images: tuple[str, ...] | None
    mask: tuple[str, ...] | None
    mask_values: Mapping[int, int] | None
    missing_channels: Mapping[int, Flag]
    absent_images_are_missing_channels: bool
    not_observed: tuple[str, ...]
    geometry: GeometryColumns | None
    holdout: Holdout | None
    about: Mapping[str, object]

    @property
    def source_columns(self) -> tuple[str, ...]:
        """Every column that the source table must have."""
        names = [self.case_id, self.patient_id, *([self.center] if self.center else [])]
        for column in self.columns.values():
            parts = column.columns.values() if isinstance(column, RuledColumns) else [column]
            names += [part.name for part in parts]
        names += [flag.column for flag in self.missing_channels.values()]
        names += self.geometry.source_columns if self.geometry else ()
        return tuple(dict.fromkeys(names))


def read_mapping(path: Path) -> TableMapping:
    """Reads a mapping file, or a shipped mapping by its bare name.

    Raises:
        NnmtlError: if there is none, or it says something unknown or contradictory.
    """
    path = _find(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise NnmtlError(f"{path}: expected JSON in UTF-8, but {error}; correct it.") from error
    where = str(path)
    entries = as_object(content, where=where, required=_REQUIRED, optional=_OPTIONAL)
    entry_of = _named(entries, "biomarkers", where=where)
    covariates = _named(entries, "covariates", where=where)
    biomarkers = {name: _biomarker(entry, where=where) for name, entry in entry_of.items()}
    channel_names = _channel_names(entries["channel_names"], where=f"{where}: channel_names")
    labels = as_labels(entries["labels"], where=f"{where}: labels")
    center, one_center = _parse_center(entries["center"], where=f"{where}: center")
    return TableMapping(
        case_id=as_text(entries["case_id"], where=f"{where}: case_id"),
        patient_id=as_text(entries["patient_id"], where=f"{where}: patient_id"),
        center=center,
        one_center=one_center,
        biomarkers=tuple(biomarkers.values()),
        covariates=tuple(covariates),
        columns={
            name: _source_of(entry_of[name], biomarker, where=f"{where}: {name!r}")
            for name, biomarker in biomarkers.items()
        }
        | _covariate_columns(covariates, where=where),
        channel_names=channel_names,
        labels=labels,
        tumor_labels=_parse_tumor_labels(entries, labels, where=f"{where}: tumor_labels"),
        images=_parse_images(entries, len(channel_names), where=where),
        mask=_parse_masks(entries, where=f"{where}: mask"),
        mask_values=_parse_mask_values(entries, labels, where=f"{where}: mask_values"),
        missing_channels=_parse_flags(entries, len(channel_names), where=where),
        absent_images_are_missing_channels=as_boolean(
            entries.get("absent_images_are_missing_channels", False),
            where=f"{where}: absent_images_are_missing_channels",
        ),
        not_observed=as_texts(entries.get("not_observed", []), where=f"{where}: not_observed"),
        geometry=parse_geometry_columns(entries["geometry"], where=f"{where}: geometry")
        if "geometry" in entries
        else None,
        holdout=_parse_holdout(entries, where=f"{where}: holdout"),
        about=as_object(entries.get("about", {}), where=f"{where}: about", optional=_ABOUT_KEYS),
    )


def _find(path: Path) -> Path:
    shipped = Path(__file__).parent / "mappings"
    if path.is_file():
        return path
    if (shipped / f"{path}.json").is_file():
        return shipped / f"{path}.json"
    names = ", ".join(sorted(file.stem for file in shipped.glob("*.json")))
    raise NnmtlError(
        f"--mapping: expected a file or one of the shipped mappings ({names}), got {str(path)!r}."
    )


def _named(
    entries: Mapping[str, object], key: str, *, where: str
) -> dict[str, Mapping[str, object]]:
    """The objects of a list, by their name."""
    by_name: dict[str, Mapping[str, object]] = {}
    for item in as_list(entries.get(key, []), where=f"{where}: {key}"):
        entry = as_object(item, where=f"{where}: {key}", required=["name"])
        name = as_text(entry["name"], where=f"{where}: {key}: name")
        if name in by_name:
            raise NnmtlError(f"{where}: {key}: the name {name!r} stands there twice; remove one.")
        by_name[name] = entry
    return by_name


def _biomarker(entry: Mapping[str, object], *, where: str) -> Biomarker:
    own_keys = (*COLUMN_KEYS, *RULE_KEYS)
    try:
        return parse_biomarker({key: x for key, x in entry.items() if key not in own_keys})
    except NnmtlError as error:
        raise NnmtlError(f"{where}: {error}") from error


def _source_of(
    entry: Mapping[str, object], biomarker: Biomarker, *, where: str
) -> SourceColumn | RuledColumns:
    if "rule" in entry:
        return parse_ruled_columns(entry, biomarker, where=where)
    if "columns" in entry:
        raise NnmtlError(f"{where}: the key 'rule', which 'columns' needs, is missing; add it.")
    return parse_source_column(entry, where=where)


def _covariate_columns(
    covariates: Mapping[str, Mapping[str, object]], *, where: str
) -> dict[str, SourceColumn | RuledColumns]:
    columns: dict[str, SourceColumn | RuledColumns] = {}
    for name, entry in covariates.items():
        as_object(entry, where=f"{where}: {name!r}", required=["name"], optional=COLUMN_KEYS)
        columns[name] = parse_source_column(entry, where=f"{where}: {name!r}")
    return columns


def _channel_names(value: object, *, where: str) -> dict[str, str]:
    names = as_object(value, where=where)
    if list(names) != [str(channel) for channel in range(len(names))] or not names:
        raise NnmtlError(f'{where}: expected the keys "0", "1", ... in order, got {list(names)!r}.')
    return {channel: as_text(name, where=where) for channel, name in names.items()}


def _parse_center(value: object, *, where: str) -> tuple[str | None, str | None]:
    """A column's name, or `{"constant": name}` for a source of one center."""
    if not isinstance(value, dict):
        return as_text(value, where=where), None
    entry = as_object(value, where=where, required=["constant"], optional=[])
    return None, as_text(entry["constant"], where=where)


def _parse_images(
    entries: Mapping[str, object], num_channels: int, *, where: str
) -> tuple[str, ...] | None:
    if "images" not in entries:
        return None
    patterns = as_list(entries["images"], where=f"{where}: images")
    if len(patterns) != num_channels:
        raise NnmtlError(
            f"{where}: expected a pattern in images for each of the {num_channels} channels, got "
            f"{len(patterns)}."
        )
    return tuple(_parse_pattern(pattern, where=f"{where}: images") for pattern in patterns)


def _parse_masks(entries: Mapping[str, object], *, where: str) -> tuple[str, ...] | None:
    if "mask" not in entries:
        return None
    patterns = entries["mask"] if isinstance(entries["mask"], list) else [entries["mask"]]
    if not patterns:
        raise NnmtlError(f"{where}: expected a pattern or a list of them, got an empty list.")
    return tuple(_parse_pattern(pattern, where=where) for pattern in patterns)


def _parse_tumor_labels(
    entries: Mapping[str, object], labels: Mapping[str, object], *, where: str
) -> tuple[int, ...]:
    known = declared_labels({**labels, "ignore": 0}) - {0}
    tumor = tuple(as_integer(x, where=where) for x in as_list(entries["tumor_labels"], where=where))
    if not tumor or not known.issuperset(tumor):
        raise NnmtlError(
            f"{where}: expected labels among {_shown(known)}, got {_shown(tumor) or 'none'}; "
            "correct them."
        )
    return tumor


def _parse_mask_values(
    entries: Mapping[str, object], labels: Mapping[str, object], *, where: str
) -> dict[int, int] | None:
    """By value; the background 0 is always 0. None where nothing is to be changed."""
    if "mask_values" not in entries:
        return None
    known = declared_labels(labels)
    values = {0: 0}
    for text, value in as_object(entries["mask_values"], where=where).items():
        label = as_integer(value, where=where)
        if not text.isdecimal() or label not in known:
            raise NnmtlError(
                f"{where}: expected the label of each value, such as 4: 3, with labels among "
                f"{_shown(known)}, got {text!r}: {label}."
            )
        values[int(text)] = label
    return values


def _shown(labels: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(labels)))


def _parse_pattern(value: object, *, where: str) -> str:
    pattern = as_text(value, where=where)
    if "{case}" not in pattern:
        raise NnmtlError(f"{where}: expected '{{case}}' in the pattern, got {pattern!r}.")
    return pattern


def _parse_flags(
    entries: Mapping[str, object], num_channels: int, *, where: str
) -> dict[int, Flag]:
    where = f"{where}: missing_channels"
    flags = {}
    for channel, value in as_object(entries.get("missing_channels", {}), where=where).items():
        if channel not in map(str, range(num_channels)):
            raise NnmtlError(
                f"{where}: expected channels 0 to {num_channels - 1}, got {channel!r}."
            )
        entry = as_object(value, where=where, required=["column", "when"], optional=[])
        flags[int(channel)] = Flag(
            column=as_text(entry["column"], where=where), when=as_texts(entry["when"], where=where)
        )
    return flags


def _parse_holdout(entries: Mapping[str, object], *, where: str) -> Holdout | None:
    if "holdout" not in entries:
        return None
    entry = as_object(entries["holdout"], where=where, required=["fraction", "seed"], optional=[])
    fraction = as_number(entry["fraction"], where=f"{where}: fraction")
    if not 0 < fraction < 1:
        raise NnmtlError(f"{where}: expected a fraction between 0 and 1, got {fraction}.")
    return Holdout(fraction=fraction, seed=as_integer(entry["seed"], where=f"{where}: seed"))
