"""What one case's images say of themselves, read as nnU-Net reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from nnunetv2.preprocessing.cropping.cropping import crop_to_nonzero
from nnunetv2.preprocessing.normalization.map_channel_name_to_normalization import (
    get_normalization_scheme,
)
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets
from numpy.typing import NDArray

from nnmtl.cohort.case_geometry import CaseGeometry, measure_tumor, triple
from nnmtl.cohort.case_intensity import CaseIntensity, measure_intensity
from nnmtl.cohort.image_file import orientation_of, read_header
from nnmtl.nnunet.cohort_files import read_json
from nnmtl.regions.body import body_mask

# Quantiles of a large image are known from every second or third voxel, in an eighth of the time.
SAMPLED_EDGE = 128
_KEEP_SCALE = ("CTNormalization", "NoNormalization", "RGBTo01Normalization")


class CaseFacts(NamedTuple):
    """Numbers of one case: its grid and tumor, and its intensities."""

    geometry: CaseGeometry
    intensity: CaseIntensity


def read_case_facts(
    images: Sequence[str],
    reader: Any,
    *,
    channels: Sequence[str],
    label: str | None = None,
    tumor_labels: Sequence[int] = (),
    shape_after_crop: Sequence[int] | None = None,
) -> CaseFacts:
    """Reads one case; its arrays are let go when this returns.

    Args:
        images: a file per channel.
        reader: nnU-Net's reader of these files.
        channels: their names, which decide whether intensities have a scale.
        label: the label map; None where there is none, and then no tumor is measured.
        tumor_labels: labels whose union is the tumor.
        shape_after_crop: without the empty margin; None measures it.
    """
    data, properties = reader.read_images(images)
    mask = np.zeros(data.shape[1:], dtype=bool)
    if label is not None:
        mask = np.isin(reader.read_seg(label)[0][0], tumor_labels)
    if shape_after_crop is None:
        shape_after_crop = crop_to_nonzero(data)[0].shape[1:] if data.any() else data.shape[1:]
    geometry = measure_tumor(
        mask,
        properties["spacing"],
        shape_after_crop=shape_after_crop,
        orientation=orientation_of(read_header(Path(images[0]))),
    )
    if label is None:
        geometry = replace(geometry, num_lesions=None)
    return CaseFacts(geometry, _intensity(data, mask, channels))


def training_files(raw: Path) -> dict[str, dict[str, Any]]:
    """Case id → `images` (a file per channel) and `label` of the training cases."""
    files: dict[str, dict[str, Any]] = get_filenames_of_train_images_and_targets(
        str(raw), read_json(raw / "dataset.json")
    )
    return files


def read_first_channel(
    files: Mapping[str, Any], plans: dict[str, Any], *, tumor_labels: Sequence[int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_], tuple[float, float, float]]:
    """First channel and tumor (Z, Y, X) with their voxel spacing, in the axes of the plans' arrays.

    Args:
        files: of one case, see `training_files`.
        plans: whose reader is used.
        tumor_labels: labels whose union is the tumor.
    """
    reader = PlansManager(plans).image_reader_writer_class()
    data, properties = reader.read_images(files["images"][:1])
    mask = np.isin(reader.read_seg(files["label"])[0][0], tumor_labels)
    return data[0], mask, triple(properties["spacing"])


def channel_names(dataset_json: Mapping[str, Any]) -> list[str]:
    """The channels' names in their order; like nnU-Net under their older key, too."""
    key = "channel_names" if "channel_names" in dataset_json else "modality"
    names: dict[str, Any] = dataset_json[key]
    return [str(names[number]) for number in sorted(names, key=int)]


def _intensity(
    data: NDArray[np.float32], mask: NDArray[np.bool_], channels: Sequence[str]
) -> CaseIntensity:
    steps = tuple(slice(None, None, -(-edge // SAMPLED_EDGE)) for edge in data.shape[1:])
    sampled = data[(slice(None), *steps)]
    body = body_mask(sampled[0])
    if not body.any():
        body = np.ones_like(body)
    return measure_intensity(
        sampled[:, body].astype(np.float64),
        keeps_scale=[get_normalization_scheme(name).__name__ in _KEEP_SCALE for name in channels],
        in_tumor=data[:, mask].astype(np.float64) if mask.any() else None,
    )
