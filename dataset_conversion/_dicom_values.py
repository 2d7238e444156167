"""Values of DICOM tags that may be absent, empty, or not what the standard says."""

import math
import re
from collections.abc import Sequence
from datetime import date

from pydicom.dataset import Dataset

_DAY_S = 86_400


def value_of(item: Dataset, keyword: str) -> object:
    """The value of a tag; None if it is absent, empty or cannot be understood."""
    try:
        value = item.get(keyword)
    except (NotImplementedError, TypeError, ValueError):  # "abc" where a number should stand
        return None
    return None if value is None or (isinstance(value, str) and not value.strip()) else value


def first_value(items: Sequence[Dataset], *keywords: str) -> object:
    """The first value that is there, by keyword, then by the order of the data sets."""
    for keyword in keywords:
        for item in items:
            value = value_of(item, keyword)
            if value is not None:
                return value
    return None


def private_value(items: Sequence[Dataset], creator: str, tag: int) -> object:
    """The first value of a vendor's private tag, only where its block is that vendor's."""
    for item in items:
        block = item.get((tag >> 16, (tag >> 8) & 0xFF))
        if tag in item and block is not None and str(block.value).strip() == creator:
            value: object = item[tag].value
            return value
    return None


def text_of(item: Dataset, keyword: str) -> str:
    """The value as text; empty if it is absent."""
    value = value_of(item, keyword)
    return "" if value is None else str(value).strip()


def as_number(value: object) -> float | None:
    """The value as a finite number; None if it is none."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def as_numbers(value: object, count: int) -> tuple[float, ...] | None:
    """The value as so many numbers; None if it is anything else."""
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != count:
        return None
    found = [as_number(item) for item in value]
    numbers = tuple(number for number in found if number is not None)
    return numbers if len(numbers) == count else None


def as_texts(value: object) -> tuple[str, ...]:
    """One text or several, as several."""
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence):
        return (str(value),)
    return tuple(str(item) for item in value)


def as_moment(time: object, day: object = None) -> tuple[float | None, float] | None:
    """Days (None if unknown) and seconds from a time and a date of DICOM.

    Args:
        time: `HHMMSS.F`, which may end early, with colons in old files; or date and time in one,
            with or without a time zone, which is left out: an examination stays in one.
        day: `YYYYMMDD`.

    Returns:
        None if there is no time.
    """
    clock = re.split(r"[&+-]", str(time or "").replace(":", ""))[0].strip()
    if re.fullmatch(r"\d{14}(\.\d*)?", clock):
        day, clock = clock[:8], clock[8:]
    if not re.fullmatch(r"\d\d(\d\d(\d\d(\.\d*)?)?)?", clock):
        return None
    seconds = int(clock[:2]) * 3600 + int(clock[2:4] or 0) * 60 + float(clock[4:] or 0)
    if seconds >= _DAY_S:
        return None
    digits = str(day or "").replace(".", "")
    try:
        days = date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])).toordinal()
    except ValueError:
        return None, seconds
    return float(days), seconds
