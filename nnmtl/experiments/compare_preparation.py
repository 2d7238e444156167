"""Plans and arrays for several presets of one dataset, each made once."""

import logging
from pathlib import Path
from typing import Any

from nnmtl.cohort.raw_dataset import check_raw_dataset
from nnmtl.errors import NnmtlError
from nnmtl.experiments.lock import alone
from nnmtl.nnunet.cohort_files import FINGERPRINT, read_json, write_json
from nnmtl.nnunet.fingerprint import extract_fingerprint
from nnmtl.nnunet.folders import preprocessed_folder, raw_folder
from nnmtl.nnunet.planner import plan_experiment
from nnmtl.nnunet.preprocess import preprocess
from nnmtl.planning.center_configuration import is_of_center
from nnmtl.planning.preset import plans_name

logger = logging.getLogger(__name__)

CONFIGURATION = "3d_fullres"
# What a configuration may differ in without changing the preprocessed arrays.
_NOT_OF_ARRAYS = (
    "architecture", "batch_dice", "batch_size", "data_identifier", "median_image_size_in_voxels",
    "nnmtl", "patch_size", "resampling_fn_probabilities", "resampling_fn_probabilities_kwargs",
)  # fmt: skip
# What of the plans around a configuration does change them.
_OF_ARRAYS = (
    "foreground_intensity_properties_per_channel", "image_reader_writer", "transpose_forward",
)  # fmt: skip


def plans_path(dataset: str, preset: str) -> Path:
    """The preset's plans file."""
    return preprocessed_folder(dataset) / f"{plans_name(preset)}.json"


def prepare(dataset: str, preset: str) -> None:
    """Plans a preset and preprocesses for it, unless that is done or another's arrays will do.

    Args:
        dataset: dataset name.
        preset: one of those shipped.

    Raises:
        NnmtlError: if the dataset has errors.
    """
    folder, path = preprocessed_folder(dataset), plans_path(dataset, preset)
    with alone(folder, doing=f"the plans of {dataset}"):
        if not (folder / FINGERPRINT).is_file():
            _check(dataset)
            extract_fingerprint(dataset)
        if not path.is_file():
            plan_experiment(dataset, preset_name=preset)
            _share_arrays(path)
        if not _arrays(path, read_json(path)).is_dir():
            preprocess(dataset, path.stem, CONFIGURATION)


def _check(dataset: str) -> None:
    errors = [each for each in check_raw_dataset(raw_folder(dataset)) if each.level == "error"]
    if errors:
        raise NnmtlError(
            f"-d {dataset}: expected a dataset without errors, got {len(errors)}, the first being: "
            f"{errors[0].message} See all with nnMTL_check_dataset, and correct them."
        )


def _share_arrays(path: Path) -> None:
    """Names another plan's arrays in a new plan where preprocessing would only make them again."""
    plans = read_json(path)
    for other_path in sorted(path.parent.glob("nnMTLPlans*.json")):
        other = read_json(other_path)
        if (
            other_path != path
            and CONFIGURATION in other["configurations"]
            and _what_decides_arrays(other) == _what_decides_arrays(plans)
            and _arrays(other_path, other).is_dir()
        ):
            shared = other["configurations"][CONFIGURATION]["data_identifier"]
            plans["configurations"][CONFIGURATION]["data_identifier"] = shared
            write_json(plans, path)
            logger.info("%s uses the arrays in %s", path.stem, shared)
            return


def _what_decides_arrays(plans: dict[str, Any]) -> dict[str, Any]:
    configuration = plans["configurations"][CONFIGURATION]
    own = {key: value for key, value in configuration.items() if key not in _NOT_OF_ARRAYS}
    grids = {
        name: center["spacing"]
        for name, center in plans["configurations"].items()
        if is_of_center(name, center)
    }
    return {**own, **{key: plans[key] for key in _OF_ARRAYS}, "grids": grids}


def _arrays(path: Path, plans: dict[str, Any]) -> Path:
    return path.parent / plans["configurations"][CONFIGURATION]["data_identifier"]
