"""Adjacent vessels: thin tubes that leave the tumor's surface."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from nnmtl.phantom.random_field import FloatMap

_LENGTH_MM = 14.0
_STEP_MM = 0.5
_MOST_VESSELS = 30
# Vessels cut off by skin or wall would hide the trait, so some more are drawn to choose from.
_CANDIDATES_PER_VESSEL = 3
_SKIN_CLEARANCE_MM = 2.0
# Half the width of the cube of voxels that a point of a tube is drawn into.
_STAMP = 2

Points = npt.NDArray[np.float64]


def vessel_fraction(
    rng: np.random.Generator,
    tumor_mm: FloatMap,
    breast_mm: FloatMap,
    center_mm: tuple[float, float, float],
    traits: Mapping[str, float],
) -> FloatMap:
    """Share of vessel in every voxel of a box around the tumor.

    Args:
        rng: draws places, courses and calibers.
        tumor_mm: signed distance to the tumor's surface, voxels of 1 mm.
        breast_mm: signed distance to the breast's surface, negative inside.
        center_mm: of the tumor in the box.
        traits: p_vessel sets the number of vessels.
    """
    number = min(_MOST_VESSELS, round(math.exp(math.log(4) + 0.55 * traits["p_vessel"])))
    fraction = np.zeros(tumor_mm.shape, np.float32)
    if not number:
        return fraction
    courses = _courses(rng, tumor_mm, np.array(center_mm), _CANDIDATES_PER_VESSEL * number)
    points = courses[_roomiest(courses, breast_mm, number)]
    radii = np.repeat(rng.uniform(1.0, 1.5, number), points.shape[1])
    _stamp(fraction, points.reshape(-1, 3), radii)
    return fraction


def _courses(
    rng: np.random.Generator, tumor_mm: FloatMap, center_mm: Points, number: int
) -> Points:
    """(number, P, 3) points along gently turning tubes that start at the surface."""
    outward = _unit(rng.standard_normal((number, 3)))
    start = center_mm + outward * _surface_radius(tumor_mm, center_mm, outward)[:, None]
    heading = _unit(outward + 0.6 * rng.standard_normal((number, 3)))
    bend = 0.05 * rng.standard_normal((number, 3))
    length = rng.uniform(0.6, 1.0, (number, 1, 1)) * _LENGTH_MM
    along = np.linspace(0, 1, int(_LENGTH_MM / _STEP_MM) + 1)[None, :, None] * length
    return start[:, None] + along * heading[:, None] + along**2 / 2 * bend[:, None]


def _roomiest(courses: Points, breast_mm: FloatMap, number: int) -> npt.NDArray[np.intp]:
    """The first courses that stay inside the breast, then those that leave it least."""
    z, y, x = np.moveaxis(
        np.clip(np.rint(courses).astype(int), 0, np.array(breast_mm.shape) - 1), -1, 0
    )
    excess_mm = np.maximum(breast_mm[z, y, x].max(axis=1), -_SKIN_CLEARANCE_MM)
    return np.argsort(excess_mm, kind="stable")[:number]


def _surface_radius(tumor_mm: FloatMap, center_mm: Points, outward: Points) -> Points:
    """Distance in mm from the center to the surface along each direction (N, 3)."""
    steps = np.arange(0, 40, 0.5)
    ray = np.rint(center_mm + outward[:, None] * steps[None, :, None]).astype(int)
    z, y, x = np.moveaxis(np.clip(ray, 0, np.array(tumor_mm.shape) - 1), -1, 0)
    return steps[np.argmax(tumor_mm[z, y, x] >= 0, axis=1)]


def _stamp(fraction: FloatMap, points: Points, radii: npt.NDArray[np.float64]) -> None:
    """Raises `fraction` around the points (M, 3) to the partial volume of their spheres."""
    cube = np.stack(np.meshgrid(*[np.arange(-_STAMP, _STAMP + 1)] * 3, indexing="ij"), axis=-1)
    voxels = np.rint(points).astype(int)[:, None] + cube.reshape(-1, 3)
    distance = np.linalg.norm(voxels - points[:, None], axis=2)
    share = 1 / (1 + np.exp((distance - radii[:, None]) / 0.35))
    inside = np.all((voxels >= 0) & (voxels < fraction.shape), axis=2)
    z, y, x = voxels[inside].T
    np.maximum.at(fraction, (z, y, x), share[inside].astype(np.float32))


def _unit(vectors: Points) -> Points:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
