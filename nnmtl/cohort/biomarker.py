"""What a biomarker is: binary, categorical or continuous, as declared in dataset.json."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

from nnmtl.cohort.strict_json import (
    as_boolean,
    as_list,
    as_number,
    as_object,
    as_text,
    as_texts,
)
from nnmtl.errors import NnmtlError

# A name becomes a CSV column, a file name part and a module name, so dots and spaces are out.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_RESERVED_NAMES = (
    "case_id",
    "patient_id",
    "center",
    "segmentation",
    "flags",
    "tumor_volume_ml",
)
_BETWEEN_CATEGORIES = "|"


@dataclass(frozen=True, kw_only=True)
class BinaryBiomarker:
    """Positive (1) or negative (0)."""

    kind: ClassVar[Literal["binary"]] = "binary"
    name: str

    def __post_init__(self) -> None:
        _check_name(self.name)


@dataclass(frozen=True, kw_only=True)
class CategoricalBiomarker:
    """One of several categories; `ordered` ones are listed from low to high."""

    kind: ClassVar[Literal["categorical"]] = "categorical"
    name: str
    categories: tuple[str, ...]
    ordered: bool = False

    def __post_init__(self) -> None:
        _check_name(self.name)
        if len(self.categories) < 2:
            raise NnmtlError(
                f"biomarker {self.name!r}: expected at least 2 categories, "
                f"got {list(self.categories)!r}."
            )
        for category in self.categories:
            _check_category(category, biomarker=self.name)


@dataclass(frozen=True, kw_only=True)
class ContinuousBiomarker:
    """A number of a unit within a closed range; `cutoffs` are the clinically read thresholds."""

    kind: ClassVar[Literal["continuous"]] = "continuous"
    name: str
    unit: str
    range: tuple[float, float]
    cutoffs: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _check_name(self.name)
        lowest, highest = self.range
        if not lowest < highest:
            raise NnmtlError(
                f"biomarker {self.name!r}: expected a range [lowest, highest], "
                f"got {list(self.range)!r}."
            )
        ladder = (lowest, *self.cutoffs, highest)
        if any(low >= high for low, high in pairwise(ladder)):
            raise NnmtlError(
                f"biomarker {self.name!r}: expected increasing cutoffs inside the range "
                f"{list(self.range)!r}, got {list(self.cutoffs)!r}."
            )


Biomarker = BinaryBiomarker | CategoricalBiomarker | ContinuousBiomarker


def parse_biomarker(declared: object) -> Biomarker:
    """One entry of `dataset.json["nnmtl"]["biomarkers"]`.

    Raises:
        NnmtlError: for an unknown kind or key, a missing key or a bad value.
    """
    name = as_text(
        as_object(declared, where="biomarkers", required=["name", "kind"])["name"],
        where="biomarkers: the name",
    )
    where = f"biomarker {name!r}"
    entry = as_object(declared, where=where)
    if entry["kind"] == "binary":
        as_object(declared, where=where, required=["name", "kind"], optional=[])
        return BinaryBiomarker(name=name)
    if entry["kind"] == "categorical":
        return _parse_categorical(entry, name=name, where=where)
    if entry["kind"] == "continuous":
        return _parse_continuous(entry, name=name, where=where)
    raise NnmtlError(
        f"{where}: expected the kind binary, categorical or continuous, got {entry['kind']!r}."
    )


def biomarker_to_json(biomarker: Biomarker) -> dict[str, object]:
    """The declaration's entry, which `parse_biomarker` reads back."""
    entry: dict[str, object] = {"name": biomarker.name, "kind": biomarker.kind}
    if isinstance(biomarker, CategoricalBiomarker):
        entry |= {
            "categories": list(biomarker.categories),
            "ordered": biomarker.ordered,
        }
    if isinstance(biomarker, ContinuousBiomarker):
        entry |= {
            "unit": biomarker.unit,
            "range": list(biomarker.range),
            "cutoffs": list(biomarker.cutoffs),
        }
    return entry


def _parse_categorical(
    entry: Mapping[str, object], *, name: str, where: str
) -> CategoricalBiomarker:
    as_object(
        entry,
        where=where,
        required=["name", "kind", "categories"],
        optional=["ordered"],
    )
    return CategoricalBiomarker(
        name=name,
        categories=as_texts(entry["categories"], where=f"{where}: categories"),
        ordered=as_boolean(entry.get("ordered", False), where=f"{where}: ordered"),
    )


def _parse_continuous(entry: Mapping[str, object], *, name: str, where: str) -> ContinuousBiomarker:
    required = ["name", "kind", "unit", "range"]
    as_object(entry, where=where, required=required, optional=["cutoffs"])
    limits = _numbers(entry["range"], where=f"{where}: range")
    if len(limits) != 2:
        raise NnmtlError(f"{where}: expected a range of two numbers, got {entry['range']!r}.")
    return ContinuousBiomarker(
        name=name,
        unit=as_text(entry["unit"], where=f"{where}: unit"),
        range=(limits[0], limits[1]),
        cutoffs=_numbers(entry.get("cutoffs", []), where=f"{where}: cutoffs"),
    )


def _numbers(value: object, *, where: str) -> tuple[float, ...]:
    return tuple(as_number(item, where=where) for item in as_list(value, where=where))


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise NnmtlError(
            f"biomarker {name!r}: expected a name of letters, digits, '_' and '-' "
            "that starts with a letter; rename it."
        )
    if name in _RESERVED_NAMES:
        raise NnmtlError(f"biomarker {name!r}: this name means something else; rename it.")


def _check_category(category: str, *, biomarker: str) -> None:
    if _BETWEEN_CATEGORIES in category or not category.isprintable() or not category.strip():
        raise NnmtlError(
            f"biomarker {biomarker!r}: the category {category!r} must be printable text "
            f"without {_BETWEEN_CATEGORIES!r}, which separates categories in a cell; rename it."
        )
