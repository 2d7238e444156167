"""What the voxels of one case look like, in the few numbers by which cases are compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from nnmtl.cohort.case_geometry import CaseGeometry
from nnmtl.cohort.image_fingerprint import Fingerprint, image_fingerprint, voxel_hash
from nnmtl.cohort.orientation import to_patient_axes

Split = Literal["Tr", "Ts"]

SPECK_VOXELS = 8  # 2 voxels each way: less is gone after one halving of the resolution
# Channels that agree so well are one image: noise alone sets two acquisitions further apart.
_SAME_IMAGE = 0.9999
_MOST_COMPARED = 200_000  # voxels; more would not change a correlation in its fourth decimal


@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelContent:
    """One image of a case.

    Attributes:
        low: 1st percentile of the voxels.
        high: 99th percentile.
        negative_fraction: share of voxels below 0.
        filled_fraction: share of voxels unlike the median; 0 where the image is constant.
        voxel_hash: equal where every voxel is.
        fingerprint: see `image_fingerprint`; None where nothing varies.
    """

    low: float
    high: float
    negative_fraction: float
    filled_fraction: float
    voxel_hash: str
    fingerprint: Fingerprint | None


@dataclass(frozen=True, kw_only=True)
class MaskContent:
    """The label map of a case.

    Attributes:
        labels: all values in it.
        num_voxels: of tumor.
        num_specks: connected parts of the tumor with fewer than `SPECK_VOXELS` voxels.
        outside_fraction: share of the tumor that lies outside the body; nan without tumor.
        touches_border: whether the tumor reaches the last voxel of an axis that has several.
    """

    labels: tuple[float, ...]
    num_voxels: int
    num_specks: int
    outside_fraction: float
    touches_border: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class CaseContent:
    """One case, all tuples in the array's (Z, Y, X) order.

    Attributes:
        case_id: as in the files' names.
        patient_id: from targets.csv; the case id where it has no row.
        center: from targets.csv; `unknown` where it has no row.
        split: training or test.
        orientation: patient directions of the axes X, Y, Z, such as `RAS`.
        shear: the largest cosine between two axes of a file; 0 is as it should be.
        geometry: grid and tumor.
        channels: by number; those declared missing are left out.
        copies: pairs of channels that are one image up to a factor and an offset.
        mask: None without label map.
    """

    case_id: str
    patient_id: str
    center: str
    split: Split
    orientation: str
    shear: float
    geometry: CaseGeometry
    channels: Mapping[int, ChannelContent] = field(default_factory=dict)
    copies: tuple[tuple[int, int], ...] = ()
    mask: MaskContent | None = None


def measure_channel(
    array: npt.NDArray[Any], direction: Sequence[float], spacing_mm: Sequence[float]
) -> ChannelContent:
    """Measures one image (Z, Y, X)."""
    low, high = np.percentile(array, (1, 99))
    median = np.percentile(array, 50, method="lower")
    turned, _ = to_patient_axes(array, direction, spacing_mm)
    return ChannelContent(
        low=float(low),
        high=float(high),
        negative_fraction=float(np.count_nonzero(array < 0) / array.size),
        filled_fraction=float(np.count_nonzero(array != median) / array.size),
        voxel_hash=voxel_hash(array),
        fingerprint=image_fingerprint(turned),
    )


def measure_mask(
    label_map: npt.NDArray[Any],
    tumor: npt.NDArray[np.bool_],
    body: npt.NDArray[np.bool_],
) -> MaskContent:
    """Measures one label map (Z, Y, X).

    Args:
        label_map: all labels.
        tumor: where it holds a tumor label.
        body: where the images show tissue.
    """
    parts, num_parts = ndimage.label(tumor, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel(), minlength=num_parts + 1)[1:]
    num_voxels = int(sizes.sum())
    outside = float(np.count_nonzero(tumor & ~body) / num_voxels) if num_voxels else float("nan")
    return MaskContent(
        labels=tuple(np.unique(label_map).tolist()),
        num_voxels=num_voxels,
        num_specks=int((sizes < SPECK_VOXELS).sum()),
        outside_fraction=outside,
        touches_border=_touches_border(tumor),
    )


def same_images(channels: Mapping[int, npt.NDArray[Any]]) -> tuple[tuple[int, int], ...]:
    """Pairs of channels (Z, Y, X) that are one image up to a factor and an offset."""
    step = max(1, max((array.size for array in channels.values()), default=1) // _MOST_COMPARED)
    samples = {
        number: np.asarray(array.ravel()[::step], dtype=np.float64)
        for number, array in channels.items()
        if np.ptp(array.ravel()[::step]) > 0
    }
    return tuple(
        (one, other)
        for one in samples
        for other in samples
        if one < other and np.corrcoef(samples[one], samples[other])[0, 1] > _SAME_IMAGE
    )


def _touches_border(tumor: npt.NDArray[np.bool_]) -> bool:
    return any(
        bool(tumor.take((0, -1), axis=axis).any())
        for axis in range(tumor.ndim)
        if tumor.shape[axis] > 1
    )
