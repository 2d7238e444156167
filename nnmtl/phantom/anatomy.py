"""The scene: which share of every voxel is which tissue, and how it takes up contrast agent."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from nnmtl.phantom.geometry import (
    SCENE_SHAPE,
    WALL_MM,
    ellipsoid_distance,
    fraction_inside,
    skin_distance,
    soft_step,
)
from nnmtl.phantom.nuisance import Nuisance
from nnmtl.phantom.random_field import FloatMap, gaussian_random_field
from nnmtl.phantom.vessels import vessel_fraction

Traits = Mapping[str, float]
Box = tuple[slice, slice, slice]
Grid = tuple[FloatMap, FloatMap, FloatMap]

RIM_MM = 3.0
# How far the tumor changes its surroundings, and so the reach of the box around it.
_REACH_MM = 16.0
_SKIN_MM = 1.5
_TUMOR_TO_BREAST_SURFACE_MM = 2.5
_SUBCUTANEOUS_FAT_MM = 4.0
_RETROMAMMARY_FAT_MM = 2.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """Tissue fractions at 1 mm; those from `box` on only inside the box around the tumor.

    Attributes:
        body: share of body, the rest being air.
        gland: share of the breast's fat that is gland instead.
        skin: share of skin.
        muscle: share of muscle.
        box: where the tumor and its surroundings are.
        tumor: share of tumor.
        edema: share of water in the breast around the tumor.
        vessel: share of blood vessel.
        tumor_ktrans: transfer constant of tumor in 1/min.
        gland_ktrans: transfer constant of gland in 1/min; nuisance.gland_ktrans elsewhere.
        tumor_distance_mm: negative inside the tumor.
    """

    body: FloatMap
    gland: FloatMap
    skin: FloatMap
    muscle: FloatMap
    box: Box
    tumor: FloatMap
    edema: FloatMap
    vessel: FloatMap
    tumor_ktrans: FloatMap
    gland_ktrans: FloatMap
    tumor_distance_mm: FloatMap


def build_scene(rng: np.random.Generator, *, traits: Traits, nuisance: Nuisance) -> Scene:
    """Draws the scene of one patient; its traits and nuisance are given."""
    grid = _open_grid()
    skin_mm = skin_distance(nuisance.breast, *grid)
    above_wall_mm: FloatMap = np.broadcast_to(np.float32(WALL_MM) - grid[1], SCENE_SHAPE)
    breast_mm = np.maximum(skin_mm, -above_wall_mm)
    body_mm = np.minimum(skin_mm, above_wall_mm)
    box = _box_around(nuisance)
    ellipsoid_mm = _ellipsoid(grid, box, nuisance)
    rough_mm = _rough_surface(rng, ellipsoid_mm, traits, nuisance)
    distance_mm = _one_piece(np.maximum(rough_mm, breast_mm[box] + _TUMOR_TO_BREAST_SURFACE_MM))
    outside_mm = np.maximum(ellipsoid_mm, 0)
    in_breast = fraction_inside(breast_mm[box])
    return Scene(
        body=fraction_inside(body_mm),
        gland=_gland(rng, breast_mm, box, outside_mm, nuisance),
        skin=fraction_inside(np.maximum(body_mm, -body_mm - _SKIN_MM)),
        muscle=fraction_inside(above_wall_mm + _RETROMAMMARY_FAT_MM),
        box=box,
        tumor=fraction_inside(distance_mm),
        edema=in_breast * _edema(outside_mm, traits),
        vessel=in_breast
        * vessel_fraction(rng, ellipsoid_mm, breast_mm[box], _center_in(box, nuisance), traits),
        tumor_ktrans=_tumor_ktrans(rng, distance_mm, traits),
        gland_ktrans=_gland_ktrans(outside_mm, traits, nuisance),
        tumor_distance_mm=distance_mm,
    )


def _open_grid() -> Grid:
    z, y, x = np.ogrid[tuple(slice(0, size) for size in SCENE_SHAPE)]
    return z.astype(np.float32), y.astype(np.float32), x.astype(np.float32)


def _box_around(nuisance: Nuisance) -> Box:
    reach = max(nuisance.semi_axes_mm) + _REACH_MM
    z, y, x = (
        slice(max(0, math.floor(middle - reach)), min(size, math.ceil(middle + reach) + 1))
        for middle, size in zip(nuisance.center_mm, SCENE_SHAPE, strict=True)
    )
    return z, y, x


def _center_in(box: Box, nuisance: Nuisance) -> tuple[float, float, float]:
    z, y, x = (middle - side.start for middle, side in zip(nuisance.center_mm, box, strict=True))
    return z, y, x


def _ellipsoid(grid: Grid, box: Box, nuisance: Nuisance) -> FloatMap:
    z_mm, y_mm, x_mm = nuisance.center_mm
    return ellipsoid_distance(
        (grid[0][box[0]] - z_mm, grid[1][:, box[1]] - y_mm, grid[2][:, :, box[2]] - x_mm),
        nuisance.semi_axes_mm,
    )


def _rough_surface(
    rng: np.random.Generator, ellipsoid_mm: FloatMap, traits: Traits, nuisance: Nuisance
) -> FloatMap:
    """The ellipsoid's distance with a boundary that r_spic makes rough or spiculated."""
    roughness_mm = 0.9 * math.exp(0.40 * traits["r_spic"])
    field = gaussian_random_field(rng, ellipsoid_mm.shape, correlation_mm=3.5)
    # Deeper dents would cut small tumors in two.
    limit = min(3.5, 0.4 * nuisance.radius_mm)
    rough_mm: FloatMap = ellipsoid_mm + np.clip(np.float32(roughness_mm) * field, -limit, limit)
    return rough_mm


def _one_piece(distance_mm: FloatMap) -> FloatMap:
    """Sets holes to half a millimeter inside the surface and islands to as much outside."""
    inside = distance_mm < 0
    pieces, _ = ndimage.label(inside)
    largest = pieces == 1 + np.bincount(pieces[inside] - 1).argmax()
    whole = ndimage.binary_fill_holes(largest)
    without_holes = np.where(whole & ~largest, np.float32(-0.5), distance_mm)
    return np.where(inside & ~whole, np.float32(0.5), without_holes)


def _gland(
    rng: np.random.Generator,
    breast_mm: FloatMap,
    box: Box,
    outside_mm: FloatMap,
    nuisance: Nuisance,
) -> FloatMap:
    """Gland under the subcutaneous fat, denser in the middle and around the tumor."""
    depth_mm = -breast_mm - _SUBCUTANEOUS_FAT_MM
    field = gaussian_random_field(rng, SCENE_SHAPE, correlation_mm=8.0)
    field += np.float32(0.4) * gaussian_random_field(rng, SCENE_SHAPE, correlation_mm=3.5)
    field += np.float32(0.04) * np.clip(depth_mm, 0, 15)
    # Gland thins out toward skin and wall rather than ending in a line.
    field -= np.float32(1.5) * np.exp(np.maximum(depth_mm, 0) * np.float32(-1 / 3))
    field[box] += np.float32(0.2) * np.exp(outside_mm * np.float32(-1 / 6))
    threshold = np.quantile(field[depth_mm > 0][::4], 1 - nuisance.gland_fraction)
    return soft_step(field - np.float32(threshold), width=0.08) * fraction_inside(-depth_mm)


def _edema(outside_mm: FloatMap, traits: Traits) -> FloatMap:
    water = 1 / (1 + math.exp(1.3 - 0.8 * traits["p_edema"]))
    edema: FloatMap = np.float32(water) * np.exp(outside_mm * np.float32(-1 / 3.5))
    return edema


def _tumor_ktrans(rng: np.random.Generator, distance_mm: FloatMap, traits: Traits) -> FloatMap:
    depth_mm = _depth_inside(distance_mm < 0)
    core = np.clip(math.exp(math.log(0.22) + 0.32 * traits["c_ktrans"]), 0.04, 1)
    in_core = soft_step(depth_mm - np.float32(RIM_MM), width=0.4)
    # The rim keeps the usual heterogeneity, so that c_hetero shows in the core only.
    spread = np.float32(0.30) * (1 + in_core * np.float32(math.expm1(0.40 * traits["c_hetero"])))
    log_ktrans = spread * gaussian_random_field(rng, distance_mm.shape, correlation_mm=5.0)
    log_ktrans += math.log(core) + np.float32(0.15 + 0.28 * traits["r_ratio"]) * (1 - in_core)
    necrosis = in_core * _necrosis(rng, depth_mm, traits)
    ktrans: FloatMap = np.exp(log_ktrans) * (1 - necrosis) + np.float32(0.015) * necrosis
    return ktrans


def _depth_inside(mask: np.ndarray) -> FloatMap:
    """Distance in mm to the outside, 0 there; half a voxel is taken off for the boundary."""
    found = ndimage.find_objects(mask.astype(np.uint8))[0]
    around = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in found)
    depth_mm = np.zeros(mask.shape, np.float32)
    depth_mm[around] = np.maximum(ndimage.distance_transform_edt(mask[around]) - 0.5, 0)
    return depth_mm


def _necrosis(rng: np.random.Generator, depth_mm: FloatMap, traits: Traits) -> FloatMap:
    """Patches that fill the trait's share of the core, rather in its middle."""
    share = min(0.55, 1 / (1 + math.exp(2.0 - 0.85 * traits["c_necro"])))
    field = gaussian_random_field(rng, depth_mm.shape, correlation_mm=6.0)
    field += np.float32(1.5) * depth_mm / np.maximum(depth_mm.max(), 1)
    threshold = np.quantile(field[depth_mm >= min(RIM_MM, depth_mm.max())], 1 - share)
    return soft_step(field - np.float32(threshold), width=0.06)


def _gland_ktrans(outside_mm: FloatMap, traits: Traits, nuisance: Nuisance) -> FloatMap:
    near = soft_step(8 - outside_mm, width=1.0)
    ktrans: FloatMap = np.float32(nuisance.gland_ktrans) * np.exp(
        np.float32(0.55 * traits["p_bpe"]) * near
    )
    return ktrans
