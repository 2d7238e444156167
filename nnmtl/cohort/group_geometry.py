"""What planning needs to know of a group of cases' geometry, read from a fingerprint."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nnmtl.errors import NnmtlError

Axes = tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class GroupGeometry:
    """Geometry of a center's cases, or of all; tuples in the array's (Z, Y, X) order.

    Attributes:
        name: of the center; "overall" of all cases.
        num_cases: cases with a geometry.
        spacing_mm: median voxel spacing.
        fine_spacing_mm: its 10th percentile.
        shape: median number of voxels; where known, without the margin that nnU-Net cuts off.
        field_of_view_mm: median, of the same grid.
        tumor_extent_mm: 95th percentile; None where no tumor was measured.
    """

    name: str
    num_cases: int
    spacing_mm: Axes
    fine_spacing_mm: Axes
    shape: Axes
    field_of_view_mm: Axes
    tumor_extent_mm: Axes | None


@dataclass(frozen=True, kw_only=True)
class CohortGeometry:
    """All cases together, and each center that has a geometry, sorted by name."""

    overall: GroupGeometry
    centers: tuple[GroupGeometry, ...]


def cohort_geometry(fingerprint: Mapping[str, Any], *, where: str) -> CohortGeometry:
    """Reads the geometry out of `nnmtl_fingerprint.json`.

    Args:
        fingerprint: the file's content, or a geometry table's.
        where: its path, for the error.

    Raises:
        NnmtlError: if it was written by an older version, or knows no geometry.
    """
    try:
        overall = _group("overall", fingerprint["overall"])
        centers = [
            _group(name, group)
            for name, group in sorted(fingerprint["centers"].items())
            if group["num_geometries"]
        ]
    except (KeyError, TypeError) as error:
        raise NnmtlError(
            f"{where}: expected median and 10th percentile of spacing and shape per center, "
            f"got none ({error}); run nnMTL_extract_fingerprint again."
        ) from error
    return CohortGeometry(overall=overall, centers=tuple(centers))


def _group(name: str, group: Mapping[str, Any]) -> GroupGeometry:
    after_crop = "_after_crop" if group["shape_after_crop"]["p50"] is not None else ""
    view = "field_of_view_after_crop_mm" if after_crop else "field_of_view_mm"
    extent = group["tumor_extent_mm"]["p95"]
    return GroupGeometry(
        name=name,
        num_cases=group["num_geometries"],
        spacing_mm=tuple(group["spacing_mm"]["p50"]),
        fine_spacing_mm=tuple(group["spacing_mm"]["p10"]),
        shape=tuple(group[f"shape{after_crop}"]["p50"]),
        field_of_view_mm=tuple(group[view]["p50"]),
        tumor_extent_mm=None if extent is None else tuple(extent),
    )
