"""Shells around a tumor as hard masks, and intensities relative to the tissue beyond them.

The same regions and the same scale as the network's own statistics use, computed without torch: a
baseline that saw less, or on a scanner's arbitrary scale, would be easy to beat.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnmtl.regions.body import body_mask
from nnmtl.regions.distance import signed_distance_mm
from nnmtl.regions.lesion import largest_lesion

RIM_MM = 2.5
PERITUMORAL_MM = 5.0
DISTANT_MM = 10.0
CORE_DEPTH_FRACTION = 0.4  # a rim takes at most this share of the depth, so a core always remains
REFERENCE_MM = 12.0  # reference tissue begins here
REACH_MM = 13.0  # distances are computed up to here
SHELLS = ("core", "rim", "peritumoral", "distant")

AIR_QUANTILE = 0.005
RATIO_FLOOR = 0.1  # keeps the logarithm of air finite
SPREAD_FLOOR = 0.01  # of the image's range: the least distance between tissue and air


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Where a tumor's regions are in the image, all masks (Z, Y, X).

    Attributes:
        lesion: the largest connected part of the tumor mask.
        shells: a mask per name in SHELLS; those outside the tumor are clipped to the body.
        reference: tissue farther than 12 mm from the tumor; where an image has none, the body
            outside the tumor, else every voxel.
    """

    lesion: NDArray[np.bool_]
    shells: Mapping[str, NDArray[np.bool_]]
    reference: NDArray[np.bool_]


def find_surroundings(
    image: NDArray[np.float32], mask: NDArray[np.bool_], spacing_mm: Sequence[float]
) -> Surroundings:
    """The shells of `nnmtl.regions` with hard boundaries, and the reference tissue.

    Args:
        image: (Z, Y, X) the channel that tells the body from the air.
        mask: (Z, Y, X) tumor, with at least one voxel.
        spacing_mm: voxel size in the order of the axes.
    """
    lesion = largest_lesion(mask)
    distance = signed_distance_mm(lesion, spacing_mm, reach_mm=REACH_MM)
    body = body_mask(image)
    rim_mm = min(RIM_MM, CORE_DEPTH_FRACTION * float(-distance.min()))
    shells = {
        "core": distance < -rim_mm,
        "rim": lesion & (distance >= -rim_mm),
        "peritumoral": body & ~lesion & (distance < PERITUMORAL_MM),
        "distant": body & (distance >= PERITUMORAL_MM) & (distance < DISTANT_MM),
    }
    candidates = (body & (distance > REFERENCE_MM), body & ~lesion, np.ones_like(lesion))
    reference = next(candidate for candidate in candidates if candidate.any())
    return Surroundings(lesion=lesion, shells=shells, reference=reference)


def log_enhancement(
    image: NDArray[np.float32], reference: NDArray[np.bool_]
) -> NDArray[np.float32] | None:
    """Logarithm of every voxel's intensity in multiples of the reference tissue's.

    ``log((x - air) / (anchor - air) + .1)``: neither gain nor offset of the scanner changes it. Air
    is the image's .5 % quantile. The anchor is the median of the bright reference tissue, above
    half of its .95 quantile: suppressed fat is dark, and its share varies between patients.

    Returns:
        (Z, Y, X), or None for a constant image: the channel is missing.
    """
    air, top = np.quantile(image, (AIR_QUANTILE, 1 - AIR_QUANTILE))
    if not top > air:
        return None
    tissue = image[reference]
    brightest = np.quantile(tissue, 0.95)
    anchor = np.median(tissue[tissue >= min((air + brightest) / 2, brightest)])
    height = max(anchor - air, SPREAD_FLOOR * (top - air))
    return np.asarray(np.log(np.maximum(image - air, 0) / height + RATIO_FLOOR), dtype=np.float32)
