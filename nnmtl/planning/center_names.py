"""What a center is called in plans and files."""

import re
import unicodedata
from collections.abc import Iterable

from nnmtl.errors import NnmtlError

REFERENCE = "3d_fullres"


def configuration_name(center: str) -> str:
    """The configuration of a center, as `3d_fullres_st-mary`."""
    return f"{REFERENCE}_{center_slug(center)}"


def center_slug(center: str) -> str:
    """A center's name in lower-case letters, digits and single hyphens.

    Underscores separate the parts of nnU-Net's folder names, and some file systems do not tell
    letters by their case.

    Raises:
        NnmtlError: if no letter or digit is left.
    """
    plain = unicodedata.normalize("NFKD", center.casefold()).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if not slug:
        raise NnmtlError(
            f"center {center!r}: expected a name with a letter of a to z or a digit, which files "
            "are named by; give it such a name."
        )
    return slug


def refuse_equal_slugs(centers: Iterable[str]) -> None:
    """Raises `NnmtlError` if two centers would share a configuration and a file."""
    seen: dict[str, str] = {}
    for center in sorted(centers):
        slug = center_slug(center)
        if slug in seen:
            raise NnmtlError(
                f"centers: expected names that differ in letters or digits, but {seen[slug]!r} and "
                f"{center!r} are both {slug!r} in file names; rename one, or give both one name."
            )
        seen[slug] = center
