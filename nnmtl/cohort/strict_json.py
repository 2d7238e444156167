"""Takes values out of parsed JSON, refusing unknown keys, missing keys and wrong types."""

import math
from collections.abc import Iterable, Mapping

from nnmtl.cohort.near_miss import did_you_mean
from nnmtl.errors import NnmtlError


def as_object(
    value: object,
    *,
    where: str,
    required: Iterable[str] = (),
    optional: Iterable[str] | None = None,
) -> Mapping[str, object]:
    """The value as a JSON object that has all required keys and no unknown ones.

    Args:
        value: what `json.load` gave.
        where: how the error names the place, such as `dataset.json["nnmtl"]`.
        required: keys that must be there.
        optional: keys that may be there; None lets every key pass.

    Raises:
        NnmtlError: for anything else than such an object.
    """
    if not isinstance(value, dict):
        raise NnmtlError(f"{where}: expected a JSON object, got {value!r}.")
    for key in required:
        if key not in value:
            raise NnmtlError(f"{where}: the key {key!r} is missing; add it.")
    if optional is not None:
        known = (*required, *optional)
        for key in value:
            if key not in known:
                hint = did_you_mean(key, known) or f"; known keys are {', '.join(known)}."
                raise NnmtlError(f"{where}: unknown key {key!r}{hint}")
    return value


def as_list(value: object, *, where: str) -> list[object]:
    """The value as a JSON list."""
    if not isinstance(value, list):
        raise NnmtlError(f"{where}: expected a JSON list, got {value!r}.")
    return value


def as_text(value: object, *, where: str) -> str:
    """The value as text that is not empty and has no space at its ends."""
    if not isinstance(value, str) or not value or value != value.strip():
        raise NnmtlError(f"{where}: expected text without outer spaces, got {value!r}.")
    return value


def as_texts(value: object, *, where: str) -> tuple[str, ...]:
    """The value as a list of different texts."""
    texts = tuple(as_text(item, where=where) for item in as_list(value, where=where))
    for text in texts:
        if texts.count(text) > 1:
            raise NnmtlError(f"{where}: {text!r} is listed twice; list it once.")
    return texts


def as_integer(value: object, *, where: str) -> int:
    """The value as an integer of at least 0; `true` is not 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise NnmtlError(f"{where}: expected an integer of at least 0, got {value!r}.")
    return value


def as_number(value: object, *, where: str) -> float:
    """The value as a finite number; `true` is not 1."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):  # type: ignore[arg-type]
        raise NnmtlError(f"{where}: expected a finite number, got {value!r}.")
    return float(value)  # type: ignore[arg-type]


def as_boolean(value: object, *, where: str) -> bool:
    """The value as true or false; 1 is not `true`."""
    if not isinstance(value, bool):
        raise NnmtlError(f"{where}: expected true or false, got {value!r}.")
    return value
