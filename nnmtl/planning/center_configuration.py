"""A center's configuration as the plans file holds it: what differs from the shared one."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from nnmtl.errors import NnmtlError
from nnmtl.planning.center_names import REFERENCE
from nnmtl.planning.center_plan import CenterPlan, CohortPlan, Decision
from nnmtl.planning.training import TrainingPlan, parse_training

# What a center may have of its own: the weights, and how intensities are treated, are shared.
OWN_KEYS = frozenset(
    {
        "inherits_from",
        "batch_size",
        "patch_size",
        "median_image_size_in_voxels",
        "spacing",
        "nnmtl",
    }
)
CENTER_KEYS = ("center", "native_spacing_mm")  # of a center's section beside those of training
_SUBJECTS = ("spacing", "patch_size", "roi_size")


def center_configurations(
    plan: CohortPlan, transpose_forward: Sequence[int]
) -> dict[str, dict[str, Any]]:
    """The configurations of the centers that have one of their own, by name.

    Args:
        plan: of the cohort, in the array's axis order.
        transpose_forward: nnU-Net's, from the array's axes to the plans'.

    Returns:
        plain JSON; lengths per axis are in the plans' axis order, reasons in the array's.
    """
    return {
        center.configuration: center_configuration(center, transpose_forward)
        for center in plan.centers
        if center.configuration != REFERENCE
    }


def is_of_center(name: str, configuration: Mapping[str, Any]) -> bool:
    """Whether it is a center's; others that a person has added have no section of ours."""
    return name.startswith(f"{REFERENCE}_") and "nnmtl" in configuration


def joining_reasons(plan: CohortPlan) -> dict[str, str]:
    """Center → why it has no configuration of its own, for the shared one's reasons."""
    return {
        f"center {center.geometry.name}": told(center.decisions[0])
        for center in plan.centers
        if center.configuration == REFERENCE
    }


def told(decision: Decision) -> str:
    """A decision in one line."""
    return f"{decision.subject}: {decision.reason}. Otherwise: {decision.otherwise}."


def training_of_center(shared: Mapping[str, Any], own: Mapping[str, Any]) -> TrainingPlan:
    """The section of a center's configuration with what it takes from the shared one.

    Raises:
        NnmtlError: on a key that neither a training plan nor a center has.
    """
    unknown = set(own) - {field.name for field in fields(TrainingPlan)} - set(CENTER_KEYS)
    if unknown:
        raise NnmtlError(
            f'plans: configurations[...]["nnmtl"]: expected keys of a training plan and '
            f"{', '.join(CENTER_KEYS)}, got {sorted(unknown)}; remove them or plan again."
        )
    of_training = {key: value for key, value in own.items() if key not in CENTER_KEYS}
    return parse_training({**shared, **of_training})


def center_configuration(center: CenterPlan, transpose_forward: Sequence[int]) -> dict[str, Any]:
    """One center's configuration; arguments as of `center_configurations`."""
    axes = list(transpose_forward)
    view, spacing = center.geometry.field_of_view_mm, center.spacing_mm
    section: dict[str, Any] = {
        "center": center.geometry.name,
        "native_spacing_mm": [center.geometry.spacing_mm[axis] for axis in axes],
    }
    if center.roi is not None:
        section["roi_size"] = [center.roi.size[axis] for axis in axes]
    section["reasons"] = {
        subject: told(decision)
        for subject, decision in zip(_SUBJECTS, center.decisions, strict=False)
    }
    return {
        "inherits_from": REFERENCE,
        "batch_size": center.batch_size,
        "patch_size": [center.patch.size[axis] for axis in axes],
        "median_image_size_in_voxels": [view[axis] / spacing[axis] for axis in axes],
        "spacing": [spacing[axis] for axis in axes],
        "nnmtl": section,
    }
