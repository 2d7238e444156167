"""Configures a trained model for a center that it has not seen, from unlabeled images."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from tqdm import tqdm

from nnmtl.cohort.case_geometry import check_geometries
from nnmtl.cohort.center_facts import CenterFacts, parse_facts
from nnmtl.cohort.declaration import Declaration
from nnmtl.cohort.fingerprint import cohort_fingerprint
from nnmtl.cohort.group_geometry import cohort_geometry
from nnmtl.cohort.image_file import check_voxels
from nnmtl.cohort.strict_json import as_object
from nnmtl.cohort.targets import TargetTable
from nnmtl.errors import NnmtlError
from nnmtl.nnunet.cohort_files import CENTER_FACTS, CENTERS_FOLDER, read_json, write_json
from nnmtl.nnunet.image_facts import CaseFacts, channel_names, read_case_facts
from nnmtl.nnunet.prediction_input import find_folds, find_images, read_model_dataset
from nnmtl.nnunet.safe_loading import check_plans
from nnmtl.planning.center_configuration import center_configuration
from nnmtl.planning.center_names import REFERENCE, center_slug, refuse_equal_slugs
from nnmtl.planning.center_plan import CenterPlan, RoiNeed, Window
from nnmtl.planning.centers import plan_center
from nnmtl.planning.new_center import Difference, differences, verdict
from nnmtl.planning.new_center_text import tell_new_center
from nnmtl.planning.rules import VIEW_MM
from nnmtl.planning.spacing import BAND, BANDS
from nnmtl.planning.topology import Topology
from nnmtl.planning.view import size_mm

_PLANS_KEYS = ("configurations", "transpose_forward", "transpose_backward", "image_reader_writer")
_CONFIGURATION_KEYS = ("spacing", "patch_size", "batch_size", "architecture")
_IMAGE_FACTS = (
    "num_cases", "spacing_mm", "shape", "field_of_view_mm", "shape_after_crop",
    "field_of_view_after_crop_mm", "orientations", "body_intensity",
)  # fmt: skip


def plan_new_center(model: Path, images: Path, center: str) -> tuple[Path, str]:
    """Writes `MODEL/centers/<slug>.json` and leaves all else in the model as it is.

    Args:
        model: a folder that nnMTL_train wrote.
        images: a folder of nnU-Net-style images of the center, one file per channel.
        center: its name.

    Returns:
        The file's path, and the text to show.

    Raises:
        NnmtlError: if the model, the images or the name are not what is expected; nothing is
            written then.
    """
    find_folds(model)
    plans, dataset_json = _read_plans(model), read_model_dataset(model)
    facts = _read_facts(model)
    _refuse_known(center, facts.centers)
    path = model / CENTERS_FOLDER / f"{center_slug(center)}.json"
    _refuse_file_of_another(center, path)
    files = find_images(images, dataset_json)
    measured = _measure(files, plans, dataset_json)
    group, plan = _plan(center, measured, plans, dataset_json, facts)
    found = differences(
        plan.geometry,
        np.stack([case.intensity.appearance.ravel() for case in measured.values()]),
        facts,
        orientations=group["orientations"],
        reorients="WithReorient" in plans["image_reader_writer"],
    )
    conclusion = verdict(found, center=center)
    path.parent.mkdir(exist_ok=True)
    write_json(_content(center, plan, plans, group, found, conclusion), path)
    return path, tell_new_center(plan, found, conclusion, center=center)


def _read_plans(model: Path) -> dict[str, Any]:
    path = model / "plans.json"
    plans: dict[str, Any] = read_json(path)
    check_plans(plans, path)
    as_object(plans, where=str(path), required=_PLANS_KEYS)
    _refuse_2d(model, plans)
    where = f"{path}: {REFERENCE}"
    as_object(plans["configurations"][REFERENCE], where=where, required=_CONFIGURATION_KEYS)
    return plans


def _refuse_2d(model: Path, plans: Mapping[str, Any]) -> None:
    if REFERENCE not in plans["configurations"] or model.name.endswith("__2d"):
        raise NnmtlError(
            f"-m {model}: expected a model of {REFERENCE}, but this one is 2d, with one grid for "
            "all centers; predict without a configuration for the center."
        )


def _read_facts(model: Path) -> CenterFacts:
    path = model / CENTER_FACTS
    if not path.is_file():
        raise NnmtlError(
            f"-m {model}: expected {CENTER_FACTS} with what the training images were like, found "
            "none; train the model again with this version."
        )
    return parse_facts(read_json(path), where=str(path))


def _refuse_known(center: str, known: Sequence[str]) -> None:
    if center in known:
        raise NnmtlError(
            f"--center {center}: expected a center that the model has not seen, but it was trained "
            f"on {', '.join(known)}; predict with nnMTL_predict --center {center!r} at once."
        )
    refuse_equal_slugs([*known, center])


def _refuse_file_of_another(center: str, path: Path) -> None:
    """A center may be configured for again, from more images, but not in the file of another."""
    try:
        former = read_json(path)["center"] if path.is_file() else center
    except (NnmtlError, KeyError, TypeError):
        return  # damaged: it is written anew
    if former != center:
        refuse_equal_slugs([str(former), center])


def _measure(
    files: Mapping[str, Sequence[str]], plans: dict[str, Any], dataset_json: Mapping[str, Any]
) -> dict[str, CaseFacts]:
    """Facts per case; one case is in memory at a time."""
    reader = PlansManager(plans).image_reader_writer_class()
    facts = {}
    for case_id, paths in tqdm(files.items(), desc="Measuring images", unit="case"):
        for path in paths:
            check_voxels(Path(path))
        facts[case_id] = read_case_facts(paths, reader, channels=channel_names(dataset_json))
    return facts


def _plan(
    center: str,
    measured: Mapping[str, CaseFacts],
    plans: Mapping[str, Any],
    dataset_json: Mapping[str, Any],
    facts: CenterFacts,
) -> tuple[dict[str, Any], CenterPlan]:
    """The center's facts, and its configuration by the rules that hold for training centers."""
    geometries = {case_id: case.geometry for case_id, case in measured.items()}
    check_geometries(geometries, where="-i")
    case_ids = tuple(sorted(measured))
    fingerprint: dict[str, Any] = cohort_fingerprint(
        TargetTable(case_ids=case_ids, patient_ids=case_ids, centers=(center,) * len(case_ids)),
        geometries,
        Declaration(tumor_labels=(1,)),
        intensities={case_id: case.intensity for case_id, case in measured.items()},
        channels=channel_names(dataset_json),
    )
    (geometry,) = cohort_geometry(fingerprint, where="-i").centers
    topology = _topology(plans)
    roi, need = _region_of_interest(plans, topology, facts)
    planned = plan_center(geometry, topology, roi=roi, roi_need=need, band=_band(plans))
    return fingerprint["centers"][center], planned


def _band(plans: Mapping[str, Any]) -> float:
    """As far from the shared grid as the centers of training might be."""
    section = plans["configurations"][REFERENCE].get("nnmtl", {})
    return BANDS.get(section.get("spacing_policy"), BAND)


def _topology(plans: Mapping[str, Any]) -> Topology:
    """What the trained weights fix; memory as the trained patch, which is known to fit."""
    configuration, back = plans["configurations"][REFERENCE], plans["transpose_backward"]
    patch = tuple(configuration["patch_size"][axis] for axis in back)
    return Topology(
        spacing_mm=tuple(configuration["spacing"][axis] for axis in back),
        strides=tuple(
            tuple(stride[axis] for axis in back)
            for stride in configuration["architecture"]["arch_kwargs"]["strides"]
        ),
        patch_size=patch,
        batch_size=configuration["batch_size"],
        max_patch_voxels=math.prod(patch),
        budget="as the model was trained with",
    )


def _region_of_interest(
    plans: Mapping[str, Any], topology: Topology, facts: CenterFacts
) -> tuple[Window | None, RoiNeed | None]:
    extent = facts.geometry.overall.tumor_extent_mm
    section = plans["configurations"][REFERENCE].get("nnmtl")
    if section is None or extent is None:
        return None, None
    size = tuple(section["roi_size"][axis] for axis in plans["transpose_backward"])
    window = Window(size=size, size_mm=size_mm(size, topology.spacing_mm))
    # Predicting one region takes a fraction of what training took with a whole batch of them.
    most = math.prod(size) * section["roi_batch_size"]
    return window, RoiNeed(extent_mm=extent, margin_mm=VIEW_MM, max_voxels=most)


def _content(
    center: str,
    plan: CenterPlan,
    plans: Mapping[str, Any],
    group: Mapping[str, Any],
    found: Sequence[Difference],
    conclusion: str,
) -> dict[str, Any]:
    return {
        "schema": 1,
        "center": center,
        "slug": center_slug(center),
        "configuration": center_configuration(plan, plans["transpose_forward"]),
        "reasons": [asdict(decision) for decision in plan.decisions],
        "images": {key: group[key] for key in _IMAGE_FACTS},
        "differences": [asdict(each) for each in found],
        "verdict": conclusion,
    }
