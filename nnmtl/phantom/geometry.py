"""The scene's frame, and distances to ellipsoids in it."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from nnmtl.phantom.random_field import FloatMap, Shape

# Voxels of 1 mm in the order Z, Y, X; Y points from the nipple to the chest wall.
SCENE_SHAPE: Shape = (64, 72, 72)
WALL_MM = 60.0
_BREAST_HALF_HEIGHT_MM = 38.0
# Sharpness of a boundary inside a voxel of 1 mm.
_PARTIAL_VOLUME_MM = 0.45

_Array = TypeVar("_Array", npt.NDArray[np.float32], npt.NDArray[np.float64])


@dataclass(frozen=True, kw_only=True)
class Breast:
    """A half-ellipsoid on the chest wall.

    Attributes:
        depth_mm: from the wall to the nipple.
        half_width_mm: half of the left-right extent.
    """

    depth_mm: float
    half_width_mm: float


def breast_distance(breast: Breast, z_mm: _Array, y_mm: _Array, x_mm: _Array) -> _Array:
    """Distance in mm to the surface of the breast above the wall, negative inside."""
    distance_mm: _Array = np.maximum(skin_distance(breast, z_mm, y_mm, x_mm), y_mm - WALL_MM)
    return distance_mm


def skin_distance(breast: Breast, z_mm: _Array, y_mm: _Array, x_mm: _Array) -> _Array:
    """Distance in mm to the ellipsoid whose half above the wall is the breast."""
    z_middle, _, x_middle = ((size - 1) / 2 for size in SCENE_SHAPE)
    return ellipsoid_distance(
        (z_mm - z_middle, y_mm - WALL_MM, x_mm - x_middle),
        (_BREAST_HALF_HEIGHT_MM, breast.depth_mm, breast.half_width_mm),
    )


def ellipsoid_distance(
    offset_mm: tuple[_Array, _Array, _Array], semi_axes_mm: tuple[float, float, float]
) -> _Array:
    """Distance in mm to an ellipsoid's surface to first order, negative inside."""
    scaled = [(offset / axis) ** 2 for offset, axis in zip(offset_mm, semi_axes_mm, strict=True)]
    level = np.sqrt(scaled[0] + scaled[1] + scaled[2])
    steep = [part / axis**2 for part, axis in zip(scaled, semi_axes_mm, strict=True)]
    gradient = np.sqrt(steep[0] + steep[1] + steep[2])
    # At the center both vanish; the smallest semi-axis is then the distance.
    slope = np.where(level > 1e-3, gradient / np.maximum(level, 1e-3), 1 / min(semi_axes_mm))
    distance_mm: _Array = (level - 1) / slope
    return distance_mm


def fraction_inside(distance_mm: FloatMap) -> FloatMap:
    """Share of a voxel that lies inside, from its signed distance."""
    return soft_step(-distance_mm, width=_PARTIAL_VOLUME_MM)


def soft_step(value: FloatMap, *, width: float) -> FloatMap:
    """A logistic step from 0 to 1 at 0."""
    # tanh neither overflows nor warns.
    step: FloatMap = 0.5 + 0.5 * np.tanh(value * np.float32(0.5 / width))
    return step
