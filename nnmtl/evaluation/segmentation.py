"""Overlap and surface distance of a predicted and a true tumor mask.

Convention for empty masks (Metrics Reloaded, Maier-Hein 2024): a missed tumor, and a tumor seen
where there is none, get the worst values, Dice 0 and the image's diagonal in mm; if both masks
are empty, the prediction is right, Dice 1 and distance 0. Nothing is skipped.
"""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]


def dice(predicted: Mask, truth: Mask) -> float:
    """2 |A and B| / (|A| + |B|) of two masks of equal shape; see above for empty masks."""
    total = np.count_nonzero(predicted) + np.count_nonzero(truth)
    if total == 0:
        return 1.0
    return float(2 * np.count_nonzero(predicted & truth) / total)


def hausdorff_95_mm(predicted: Mask, truth: Mask, spacing_mm: tuple[float, ...]) -> float:
    """The larger of the two directed 95th percentiles of surface distances, in mm.

    A surface is the voxels of a mask with a face neighbor outside it; voxels at the image's
    border count. Distances are between voxel centers.

    Args:
        predicted: any number of axes.
        truth: the same shape.
        spacing_mm: voxel size per axis.
    """
    has_predicted, has_truth = bool(predicted.any()), bool(truth.any())
    if not has_predicted and not has_truth:
        return 0.0
    if not has_predicted or not has_truth:
        return diagonal_mm(truth.shape, spacing_mm)
    box = _bounding_box(predicted | truth)
    surfaces = _surface(predicted[box]), _surface(truth[box])
    return max(
        _directed_95_mm(surfaces[0], surfaces[1], spacing_mm),
        _directed_95_mm(surfaces[1], surfaces[0], spacing_mm),
    )


def diagonal_mm(shape: tuple[int, ...], spacing_mm: tuple[float, ...]) -> float:
    """Length of the image's diagonal: no distance between voxels is longer."""
    return float(np.linalg.norm(np.array(shape) * np.array(spacing_mm)))


def _directed_95_mm(source: Mask, target: Mask, spacing_mm: tuple[float, ...]) -> float:
    distance_mm = ndimage.distance_transform_edt(~target, sampling=spacing_mm)
    return float(np.percentile(distance_mm[source], 95))


def _surface(mask: Mask) -> Mask:
    # Beyond the box or the image everything is outside, hence border voxels are surface.
    return np.asarray(mask & ~ndimage.binary_erosion(mask, border_value=0))


def _bounding_box(mask: Mask) -> tuple[slice, ...]:
    return tuple(ndimage.find_objects(mask.astype(np.uint8))[0])
