"""Where in an image the body is."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

AIR_FRACTION = 0.1  # of the robust range: Smith 2002, "Fast robust automated brain extraction"
NOISE_SPREADS = 4.0  # robust standard deviations above the typical air


def body_mask(image: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Tissue of one channel: everything but the air around the body.

    Air is what is darker than a tenth of the robust intensity range and, so that fat-suppressed
    fat stays in, not brighter than those dark voxels usually are. Dark parts that tissue encloses
    in a slice (lung, cyst, implant) belong to the body. Gain and offset do not matter: a raw and a
    z-scored image have the same mask.

    Args:
        image: (Z, Y, X) or (Y, X), any scale; entries that are not finite count as air.

    Returns:
        bool, same shape. A constant image has no air to tell: all True.
    """
    finite = np.isfinite(image)
    values = np.where(finite, image, 0).astype(np.float32)
    smooth = ndimage.uniform_filter(values, size=3)
    low, high = np.percentile(smooth[finite], (2, 98)) if finite.any() else (0.0, 0.0)
    if high <= low:
        return np.ones(finite.shape, dtype=bool)
    threshold = _air_threshold(smooth[finite], low, high)
    tissue = finite & (smooth > threshold)
    # Smoothing removes noise but carries the skin outward by a voxel; there the image counts.
    tissue &= ndimage.binary_erosion(tissue, border_value=1) | (values > threshold)
    slices = tissue if tissue.ndim == 3 else tissue[None]
    return _fill_holes(slices).reshape(tissue.shape)


def _fill_holes(slices: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(Z, Y, X) with what each slice encloses; one labeling is much faster than one per slice."""
    in_slice = np.zeros((3, 3, 3), dtype=bool)
    in_slice[1] = ndimage.generate_binary_structure(2, 1)
    labels, number = ndimage.label(~slices, in_slice)
    is_open = np.zeros(number + 1, dtype=bool)
    for edge in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        is_open[edge] = True
    is_open[0] = False  # tissue
    return ~is_open[labels]


def _air_threshold(values: NDArray[np.float32], low: float, high: float) -> float:
    threshold = low + AIR_FRACTION * (high - low)
    dark = values[values <= threshold]
    typical = np.median(dark)
    spread = 1.4826 * np.median(np.abs(dark - typical))
    return float(min(threshold, typical + NOISE_SPREADS * spread))
