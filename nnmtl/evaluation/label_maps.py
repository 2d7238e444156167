"""Reads label maps and compares a predicted one with the true one."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK

from nnmtl.errors import NnmtlError
from nnmtl.evaluation.raw_dataset import RawDataset
from nnmtl.evaluation.results import CaseSegmentation
from nnmtl.evaluation.segmentation import dice, hausdorff_95_mm

_MM3_PER_ML = 1000


def judge_segmentation(
    raw: RawDataset, case_id: str, truth_path: Path, predicted_path: Path | None
) -> CaseSegmentation | None:
    """Compares two label maps on the tumor labels.

    Args:
        raw: says which labels are tumor and which voxels to ignore.
        case_id: of both.
        truth_path: the true label map.
        predicted_path: None stands for an empty mask.

    Returns:
        None if the true label map is `ignore` throughout, so that nothing is known.

    Raises:
        NnmtlError: if the shapes differ.
    """
    truth, spacing_mm = read_image(truth_path)
    if predicted_path is None:
        predicted = np.zeros_like(truth)
    else:
        predicted, _ = read_image(predicted_path)
    if predicted.shape != truth.shape:
        raise NnmtlError(
            f"{predicted_path}: expected the shape {truth.shape} of {truth_path}, got "
            f"{predicted.shape}; predict this case's image again."
        )
    is_known = np.ones(truth.shape, bool) if raw.ignore_label is None else truth != raw.ignore_label
    if not is_known.any():
        return None
    true_mask = is_tumor(truth, raw.declaration.tumor_labels)
    predicted_mask = is_tumor(predicted, raw.declaration.tumor_labels) & is_known
    ml_per_voxel = float(np.prod(spacing_mm)) / _MM3_PER_ML
    return CaseSegmentation(
        case_id=case_id,
        dice=dice(predicted_mask, true_mask),
        hd95_mm=hausdorff_95_mm(predicted_mask, true_mask, spacing_mm),
        true_volume_ml=float(np.count_nonzero(true_mask) * ml_per_voxel),
        predicted_volume_ml=float(np.count_nonzero(predicted_mask) * ml_per_voxel),
    )


def is_tumor(label_map: npt.NDArray[Any], tumor_labels: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """The union of the tumor labels."""
    mask = np.zeros(label_map.shape, dtype=bool)
    for label in tumor_labels:
        mask |= label_map == label
    return mask


def read_image(path: Path) -> tuple[npt.NDArray[Any], tuple[float, ...]]:
    """A label map's or image's voxels (Z, Y, X) and its spacing in mm in the same order.

    Raises:
        NnmtlError: if the file cannot be read.
    """
    try:
        image: Any = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        raise NnmtlError(f"{path}: expected a readable image; write it again.") from error
    spacing_mm: tuple[float, ...] = image.GetSpacing()[::-1]
    return SimpleITK.GetArrayFromImage(image), spacing_mm
