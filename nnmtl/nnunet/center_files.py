"""`centers/<slug>.json` of a model folder: grids of centers that came after the training."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnmtl.cohort.strict_json import as_object
from nnmtl.errors import NnmtlError
from nnmtl.nnunet.cohort_files import CENTERS_FOLDER, read_json
from nnmtl.nnunet.safe_loading import check_plans
from nnmtl.planning.center_configuration import OWN_KEYS, training_of_center
from nnmtl.planning.center_names import REFERENCE, center_slug
from nnmtl.planning.rules import total_stride

SCHEMA = 1
_KEYS = ("schema", "center", "slug", "configuration")


def read_center_files(model: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Slug → name of the center and its configuration, of each file in `MODEL/centers`.

    Nothing in a file is run: what could name code must be as in the model's plans.

    Raises:
        NnmtlError: if a file is not what nnMTL_plan_center writes for this model.
    """
    found = {}
    for path in sorted((model / CENTERS_FOLDER).glob("*.json")):
        shared = _shared(model / "plans.json")
        if shared is None:
            raise NnmtlError(
                f"{path}: expected a model of {REFERENCE}, whose centers have grids of their own, "
                f"but {model} has none; remove the file."
            )
        center, configuration = _read(path, shared)
        found[path.stem] = center, configuration
    return found


def _shared(path: Path) -> Any:
    plans = as_object(read_json(path), where=str(path), required=["configurations"])
    return as_object(plans["configurations"], where=f"{path}: configurations").get(REFERENCE)


def _read(path: Path, shared: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    content = as_object(read_json(path), where=str(path))
    absent = [key for key in _KEYS if key not in content]
    if absent or content["schema"] != SCHEMA:
        raise NnmtlError(
            f"{path}: expected schema {SCHEMA} with {', '.join(_KEYS)}, got schema "
            f"{content.get('schema')!r} without {absent}; run nnMTL_plan_center again."
        )
    center, slug = content["center"], content["slug"]
    if not isinstance(center, str) or slug != path.stem or center_slug(center) != slug:
        raise NnmtlError(
            f"{path}: expected the center whose file name this is, got center {center!r} with slug "
            f"{slug!r}; run nnMTL_plan_center again."
        )
    where = f"{path}: configuration"
    configuration = dict(as_object(content["configuration"], where=where))
    check_plans({"configurations": {slug: configuration}}, path)
    _check_shared(configuration, shared, where)
    _check_sizes(configuration, shared, where)
    return center, configuration


def _check_shared(configuration: Mapping[str, Any], shared: Mapping[str, Any], where: str) -> None:
    """Weights and preprocessing are those of the model, whatever the file says."""
    if configuration.get("inherits_from", REFERENCE) != REFERENCE:
        raise NnmtlError(
            f"{where}: expected to inherit from {REFERENCE}, got "
            f"{configuration['inherits_from']!r}; run nnMTL_plan_center again."
        )
    other = sorted(
        key
        for key, value in configuration.items()
        if key not in OWN_KEYS and shared.get(key) != value
    )
    if other:
        raise NnmtlError(
            f"{where}: expected the model's own {', '.join(other)}, got others; a center may have "
            f"its own {', '.join(sorted(OWN_KEYS))} only."
        )
    training_of_center(shared["nnmtl"], as_object(configuration.get("nnmtl", {}), where=where))


def _check_sizes(configuration: Mapping[str, Any], shared: Mapping[str, Any], where: str) -> None:
    section = configuration.get("nnmtl", {})
    lengths = [
        ("spacing", configuration.get("spacing")),
        ("native_spacing_mm", section.get("native_spacing_mm", configuration.get("spacing"))),
    ]
    for key, value in lengths:
        if not _has_axes(value) or not all(_is_number(mm) and 0 < mm < math.inf for mm in value):
            raise NnmtlError(f"{where}: {key}: expected three lengths in mm, got {value!r}.")
    divisor = total_stride(shared["architecture"]["arch_kwargs"]["strides"])
    sizes = [
        ("patch_size", configuration.get("patch_size")),
        ("roi_size", section.get("roi_size", shared["nnmtl"]["roi_size"])),
    ]
    for key, value in sizes:
        if not _has_axes(value) or not all(
            type(size) is int and size > 0 and size % step == 0
            for size, step in zip(value, divisor, strict=True)
        ):
            raise NnmtlError(
                f"{where}: {key}: expected three multiples of {list(divisor)}, which the network's "
                f"strides need, got {value!r}."
            )


def _has_axes(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
