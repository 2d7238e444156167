"""Region features of a case: first-order statistics in shells around the tumor, and its shape."""

import math
from collections.abc import Sequence

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from scipy import stats

from nnmtl.baselines.tissue import SHELLS, find_surroundings, log_enhancement
from nnmtl.errors import NnmtlError

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)  # the last one sees vessels in a ring
BIN_WIDTH = 0.1  # of the entropy's histogram, on the log scale: a tenth more or less enhancement
FEWEST_VOXELS = 4  # below, skewness and kurtosis say nothing


def region_features(
    images: NDArray[np.float32], mask: NDArray[np.bool_], spacing_mm: Sequence[float]
) -> dict[str, float]:
    """What radiogenomic studies measure by hand, of one case.

    Per channel and shell the statistics of `first_order` on the scale of `log_enhancement`, named
    such as ``channel0.rim.q95``; of the tumor `shape_features`, such as ``shape.sphericity``. Of
    several lesions the largest counts.

    Args:
        images: (C, Z, Y, X), on any scale per channel; a constant channel is a missing one.
        mask: (Z, Y, X) tumor.
        spacing_mm: voxel size in the order of Z, Y, X.

    Returns:
        The same names for every case with as many channels; nan for a missing channel, or a shell
        with fewer than 4 voxels.

    Raises:
        NnmtlError: if the mask is empty or of another shape than the images.
    """
    check_case(images, mask)
    present = [image for image in images if image.max() > image.min()]
    surroundings = find_surroundings(present[0] if present else images[0], mask, spacing_mm)
    features = {
        f"shape.{name}": value
        for name, value in shape_features(surroundings.lesion, spacing_mm).items()
    }
    for number, image in enumerate(images):
        values = log_enhancement(image, surroundings.reference)
        for shell in SHELLS:
            inside = np.empty(0) if values is None else values[surroundings.shells[shell]]
            for name, value in first_order(inside).items():
                features[f"channel{number}.{shell}.{name}"] = value
    return features


def check_case(images: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
    """Refuses what has no features.

    Raises:
        NnmtlError: if the mask is empty or of another shape than the images.
    """
    if images.ndim != 4 or images.shape[1:] != mask.shape or not mask.any():
        raise NnmtlError(
            "features: expected images (C, Z, Y, X) and a tumor mask (Z, Y, X) that is not empty, "
            f"got {images.shape} and {mask.shape} with {np.count_nonzero(mask)} voxels; leave such "
            "a case out."
        )


def first_order(values: NDArray[np.floating]) -> dict[str, float]:
    """Statistics of the intensities (N,) in a region; nan below 4 of them.

    Kurtosis is that of a Gaussian less 3; entropy is in bits, of a histogram with fixed bin width
    (Zwanenburg et al., "The Image Biomarker Standardization Initiative", Radiology 2020).
    """
    names = ["mean", "sd", "skewness", "kurtosis", "entropy"]
    names += [f"q{100 * quantile:02.0f}" for quantile in QUANTILES]
    if len(values) < FEWEST_VOXELS:
        return dict.fromkeys(names, math.nan)
    wide = values.astype(np.float64)
    sd = float(wide.std())
    # Of equal values the standardized moments are 0 / 0: neither skewed nor peaked.
    is_flat = sd < 1e-6 * (1 + abs(float(wide.mean())))
    _, counts = np.unique(np.floor(wide / BIN_WIDTH), return_counts=True)
    numbers = [
        float(wide.mean()),
        sd,
        0.0 if is_flat else float(stats.skew(wide)),
        0.0 if is_flat else float(stats.kurtosis(wide)),
        float(stats.entropy(counts, base=2)),
        *np.quantile(wide, QUANTILES).tolist(),
    ]
    return dict(zip(names, numbers, strict=True))


def shape_features(mask: NDArray[np.bool_], spacing_mm: Sequence[float]) -> dict[str, float]:
    """Size and shape of a mask (Z, Y, X) that is not empty.

    The surface area is estimated by Crofton's formula (Lehmann and Legland, Insight Journal 2012).
    Sphericity is 1 for a ball, less for every other shape. Axes are those of the ellipsoid with the
    mask's moments, ``4 sqrt(eigenvalue)`` long (0 across a flat mask); elongation and flatness are
    the second and third over the first, 1 for a ball.
    """
    image = SimpleITK.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing([float(step) for step in reversed(spacing_mm)])
    measured = SimpleITK.LabelShapeStatisticsImageFilter()
    measured.Execute(image)
    moments = sorted((max(0.0, moment) for moment in measured.GetPrincipalMoments(1)), reverse=True)
    major, middle, least = (4 * math.sqrt(moment) for moment in moments)
    volume_mm3, area_mm2 = measured.GetPhysicalSize(1), measured.GetPerimeter(1)
    *_, size_x, size_y, size_z = measured.GetBoundingBox(1)
    extents = np.array([size_z, size_y, size_x]) * np.asarray(spacing_mm)
    return {
        "volume_ml": volume_mm3 / 1000,
        "log_volume_ml": math.log(volume_mm3 / 1000),
        "surface_mm2": area_mm2,
        "surface_to_volume_per_mm": area_mm2 / volume_mm3,
        "sphericity": (36 * math.pi * volume_mm3**2) ** (1 / 3) / area_mm2,
        "extent_z_mm": float(extents[0]),
        "extent_y_mm": float(extents[1]),
        "extent_x_mm": float(extents[2]),
        "major_axis_mm": major,
        "elongation": middle / major if major else 1.0,
        "flatness": least / major if major else 1.0,
    }


def volume_features(mask: NDArray[np.bool_], spacing_mm: Sequence[float]) -> dict[str, float]:
    """The logarithm of a mask's volume in ml alone; the whole mask, not empty."""
    return {"log_volume_ml": math.log(np.count_nonzero(mask) * math.prod(spacing_mm) / 1000)}
