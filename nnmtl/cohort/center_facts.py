"""What a model folder tells of the images it was trained on: groups of cases, no targets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nnmtl.cohort.appearance import MIN_CASES, AppearanceSpace, parse_appearance
from nnmtl.cohort.group_geometry import CohortGeometry, cohort_geometry
from nnmtl.errors import NnmtlError

# Prevalences and covariates stay beside the plans: a model is passed on, and no rule needs them.
_KEPT = (
    "num_cases", "num_geometries", "spacing_mm", "shape", "field_of_view_mm", "shape_after_crop",
    "field_of_view_after_crop_mm", "orientations", "tumor_extent_mm", "body_intensity",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CenterFacts:
    """The images of a model's training centers.

    Attributes:
        centers: names of all centers.
        geometry: overall, and of each center with at least 5 cases.
        view_range_mm: per axis of the array the smallest p5 and the largest p95 of the field of
            view over these centers; over all cases where there is no such center.
        spacing_range_mm: the same of the voxel spacing.
        orientations: stored orientation → cases.
        appearance: what the intensities are like; None under 5 cases.
    """

    centers: tuple[str, ...]
    geometry: CohortGeometry
    view_range_mm: tuple[tuple[float, float], ...]
    spacing_range_mm: tuple[tuple[float, float], ...]
    orientations: Mapping[str, int]
    appearance: AppearanceSpace | None


def facts_to_share(fingerprint: Mapping[str, Any]) -> dict[str, object]:
    """Of `nnmtl_fingerprint.json` what may leave with the model.

    Of centers under 5 cases the name only: quantiles of so few are single patients' numbers.
    """
    centers = fingerprint["centers"]
    return {
        "schema": 1,
        "overall": _kept(fingerprint["overall"]),
        "centers": {
            name: _kept(group) if group["num_cases"] >= MIN_CASES else None
            for name, group in sorted(centers.items())
        },
        "appearance": fingerprint.get("appearance"),
    }


def _kept(group: Mapping[str, Any]) -> dict[str, object]:
    return {key: group[key] for key in _KEPT if key in group}


def parse_facts(value: Mapping[str, Any], *, where: str) -> CenterFacts:
    """Reads what `facts_to_share` gives; raises `NnmtlError` if it is not that."""
    try:
        known = {name: group for name, group in value["centers"].items() if group is not None}
        groups = [group for group in known.values() if group["num_geometries"]]
        groups = groups or [value["overall"]]
        return CenterFacts(
            centers=tuple(sorted(value["centers"])),
            geometry=cohort_geometry({"overall": value["overall"], "centers": known}, where=where),
            view_range_mm=_range(groups, "field_of_view_mm"),
            spacing_range_mm=_range(groups, "spacing_mm"),
            orientations=value["overall"]["orientations"],
            appearance=parse_appearance(value["appearance"], where=where),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise NnmtlError(
            f"{where}: expected what nnMTL_train writes of the training images, but something is "
            f"missing ({error}); copy the file again, or train the model again."
        ) from error


def _range(groups: list[Mapping[str, Any]], key: str) -> tuple[tuple[float, float], ...]:
    lows = zip(*(group[key]["p5"] for group in groups), strict=True)
    highs = zip(*(group[key]["p95"] for group in groups), strict=True)
    return tuple((min(low), max(high)) for low, high in zip(lows, highs, strict=True))
