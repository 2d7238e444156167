"""Geometry, intensity, targets and what is missing, overall and per center, as group numbers."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nnmtl.cohort.appearance import appearance_space, appearance_to_json
from nnmtl.cohort.biomarker import Biomarker
from nnmtl.cohort.case_geometry import CaseGeometry
from nnmtl.cohort.case_intensity import LEVELS, CaseIntensity, FloatArray
from nnmtl.cohort.declaration import Declaration
from nnmtl.cohort.targets import ClassTarget, ContinuousTarget, Target, TargetTable

_QUANTILES = {"p5": 0.05, "p10": 0.1, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}


def cohort_fingerprint(
    table: TargetTable,
    geometries: Mapping[str, CaseGeometry],
    declaration: Declaration,
    *,
    intensities: Mapping[str, CaseIntensity] | None = None,
    channels: Sequence[str] = (),
) -> dict[str, object]:
    """Facts of a cohort, without any single patient's, ready for JSON.

    Args:
        table: the cases to describe, test cases not among them.
        geometries: per case id; a case may lack one and then counts in the targets only.
        declaration: of the table.
        intensities: per case id; a case may lack one.
        channels: names of the channels of the intensities.

    Returns:
        `overall` and, per center, `centers`: counts, quantiles over cases (per axis Z, Y, X;
        null where no case has the quantity), intensities per channel, and per biomarker what was
        observed. `appearance` says how much the images differ within and between centers; null
        under 5 cases.
    """
    measured = intensities or {}
    centers = {}
    for center in sorted(set(table.centers)):
        rows = [
            case_id
            for case_id, of_case in zip(table.case_ids, table.centers, strict=True)
            if of_case == center
        ]
        of_center = table.select(rows)
        centers[center] = {
            **_group(of_center, geometries, declaration),
            **_intensities(of_center, measured, channels),
        }
    return {
        "schema": 1,
        "overall": {
            **_group(table, geometries, declaration),
            **_intensities(table, measured, channels),
        },
        "centers": centers,
        "appearance": _appearance(table, measured),
    }


def _group(
    table: TargetTable, geometries: Mapping[str, CaseGeometry], declaration: Declaration
) -> dict[str, object]:
    known = [geometries[case_id] for case_id in table.case_ids if case_id in geometries]
    extents = [case.tumor_extent_mm for case in known if case.tumor_extent_mm is not None]
    volumes = [case.tumor_volume_ml for case in known if case.tumor_volume_ml is not None]
    cropped = [
        (case.shape_after_crop, case.spacing_mm)
        for case in known
        if case.shape_after_crop is not None
    ]
    return {
        "num_cases": len(table.case_ids),
        "num_patients": len(set(table.patient_ids)),
        "num_geometries": len(known),
        "num_tumors": len(extents),
        "shape": _quantiles([case.shape for case in known]),
        "spacing_mm": _quantiles([case.spacing_mm for case in known]),
        "field_of_view_mm": _quantiles(
            [np.multiply(case.shape, case.spacing_mm) for case in known]
        ),
        "shape_after_crop": _quantiles([shape for shape, _ in cropped]),
        "field_of_view_after_crop_mm": _quantiles(
            [np.multiply(shape, spacing_mm) for shape, spacing_mm in cropped]
        ),
        "orientations": dict(
            sorted(Counter(case.orientation for case in known if case.orientation).items())
        ),
        "tumor_extent_mm": _quantiles(extents),
        "tumor_volume_ml": _quantiles(volumes),
        "num_lesions": _quantiles([case.num_lesions for case in known if case.num_lesions]),
        "biomarkers": {
            biomarker.name: _biomarker(biomarker, table.targets[biomarker.name])
            for biomarker in declaration.biomarkers
        },
        "covariates": {
            name: {
                "num_observed": int((~np.isnan(values)).sum()),
                "num_missing": int(np.isnan(values).sum()),
                "quantiles": _quantiles(values[~np.isnan(values)]),
            }
            for name, values in table.covariates.items()
        },
    }


def _intensities(
    table: TargetTable, measured: Mapping[str, CaseIntensity], channels: Sequence[str]
) -> dict[str, object]:
    """Per channel the median over cases of each quantile within a case; null without any case."""
    cases = [measured[case_id] for case_id in table.case_ids if case_id in measured]
    tumors = [case.tumor for case in cases if case.tumor is not None]
    return {
        "body_intensity": _medians([case.body for case in cases], channels),
        "tumor_intensity": _medians(tumors, channels),
    }


def _medians(cases: Sequence[FloatArray], channels: Sequence[str]) -> dict[str, object]:
    medians: dict[str, object] = {}
    for row, channel in enumerate(channels):
        known = [case[row] for case in cases if not np.isnan(case[row]).any()]
        values = np.median(known, axis=0).tolist() if known else [None] * len(LEVELS)
        medians[channel] = dict(zip(LEVELS, values, strict=True))
    return medians


def _appearance(table: TargetTable, measured: Mapping[str, CaseIntensity]) -> object:
    rows = [row for row, case_id in enumerate(table.case_ids) if case_id in measured]
    if not rows:
        return None
    vectors = [measured[table.case_ids[row]].appearance.ravel() for row in rows]
    centers = [table.centers[row] for row in rows]
    return appearance_to_json(appearance_space(np.stack(vectors), centers))


def _biomarker(biomarker: Biomarker, target: Target) -> dict[str, object]:
    counted: dict[str, object] = {
        "kind": biomarker.kind,
        "num_observed": int(target.observed.sum()),
        "num_missing": int((~target.observed).sum()),
    }
    if isinstance(target, ContinuousTarget):
        lower, upper = target.lower[target.observed], target.upper[target.observed]
        return counted | {
            "num_intervals": int((lower < upper).sum()),
            "quantiles": _quantiles((lower + upper) / 2),
        }
    return counted | _class_counts(target)


def _class_counts(target: ClassTarget) -> dict[str, object]:
    is_known = target.possible.sum(axis=1) == 1
    counts = target.possible[is_known].sum(axis=0).tolist()
    total = max(sum(counts), 1)
    return {
        "num_sets": int((target.observed & ~is_known).sum()),
        "counts": dict(zip(target.categories, counts, strict=True)),
        "fractions": {
            name: count / total if sum(counts) else None
            for name, count in zip(target.categories, counts, strict=True)
        },
    }


def _quantiles(values: Sequence[object] | npt.NDArray[np.float64]) -> dict[str, object]:
    """Quantiles over cases: a number each, or a list per axis; null without any case."""
    if len(values) == 0:
        return dict.fromkeys(_QUANTILES)
    array = np.array(values, dtype=np.float64)
    return {name: np.quantile(array, q, axis=0).tolist() for name, q in _QUANTILES.items()}
