"""Images in patient coordinates, and what moves them from one grid to another."""

from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK

from nnmtl.cohort.image_file import ImageHeader

_SAME_VOXELS = 1e-3

Voxels = npt.NDArray[Any]


def to_image(voxels: Voxels, grid: ImageHeader) -> Any:
    """A SimpleITK image of voxels (Z, Y, X) on a grid."""
    image = SimpleITK.GetImageFromArray(voxels)
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    return image


def grid_of_image(image: Any) -> ImageHeader:
    """The grid of a SimpleITK image."""
    return ImageHeader(
        size=image.GetSize(),
        spacing_mm=image.GetSpacing(),
        origin_mm=image.GetOrigin(),
        direction=image.GetDirection(),
    )


def is_same_grid(one: ImageHeader, other: ImageHeader) -> bool:
    """Whether all voxels of one lie at those of the other, to a thousandth of a voxel."""
    if one.size != other.size:
        return False
    corners = [_corners_mm(grid) for grid in (one, other)]
    return bool(abs(corners[0] - corners[1]).max() < _SAME_VOXELS * min(one.spacing_mm))


def resampled(image: Any, grid: ImageHeader, transform: Any) -> tuple[Voxels, float]:
    """The voxels (Z, Y, X) of an image on another grid, by cubic B-splines.

    Splines overshoot at edges, so values are kept within those of the image.

    Args:
        image: to be resampled.
        grid: to resample onto.
        transform: from points of the grid to points of the image.

    Returns:
        Single precision, 0 outside of the image; and the share of the grid that is outside.
    """
    target = to_image(np.zeros(grid.size[::-1], dtype=np.uint8), grid)
    stored = SimpleITK.GetArrayViewFromImage(image)
    lowest, highest = float(stored.min()), float(stored.max())
    single = SimpleITK.Cast(image, SimpleITK.sitkFloat32)
    # A value that no voxel has tells what is outside.
    outside = 2 * lowest - highest - 1e3 * (1 + abs(highest))
    moved = SimpleITK.GetArrayFromImage(
        SimpleITK.Resample(single, target, transform, SimpleITK.sitkBSpline, outside)
    )
    is_outside = np.isclose(moved, outside)
    voxels = np.where(is_outside, 0, moved.clip(lowest, highest)).astype(np.float32)
    return voxels, float(is_outside.mean())


def coarse(image: Any, spacing_mm: float) -> Any:
    """The image in single precision, averaged over blocks of voxels up to a spacing."""
    factors = [max(1, int(spacing_mm / step)) for step in image.GetSpacing()]
    return SimpleITK.BinShrink(SimpleITK.Cast(image, SimpleITK.sitkFloat32), factors)


def body_of(image: Any) -> Any:
    """Where there is signal rather than air, by Otsu's threshold (IEEE Trans SMC 1979)."""
    values = SimpleITK.GetArrayViewFromImage(image)
    # Few very bright voxels (coil, vessels) must not raise the threshold.
    bright = float(np.percentile(values, 98))
    clipped = SimpleITK.Clamp(image, image.GetPixelID(), float(values.min()), bright)
    return SimpleITK.OtsuThreshold(clipped, 0, 1)


def _corners_mm(grid: ImageHeader) -> npt.NDArray[np.float64]:
    """The centers of the first and the last voxel along each axis, (4, 3)."""
    axes = np.array(grid.direction).reshape(3, 3) * grid.spacing_mm * (np.array(grid.size) - 1)
    corners: npt.NDArray[np.float64] = np.vstack([np.zeros(3), axes.T]) + grid.origin_mm
    return corners
