"""What differs between patients without saying anything about their biomarkers."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnmtl.phantom.centers import Center
from nnmtl.phantom.geometry import SCENE_SHAPE, WALL_MM, Breast, breast_distance
from nnmtl.phantom.presets import Preset
from nnmtl.phantom.traits import TRAIT_NAMES

TISSUES = ("fat", "gland", "tumor", "muscle", "blood", "edema")
# Clearance of the tumor's surface, which is rougher than the ellipsoid, from skin and wall.
_CLEARANCE_MM = 4.0
_CANDIDATES = 400
# The standard deviation of c_ktrans in the reference preset, so that sizes keep theirs.
_KTRANS_SD = 1.25


@dataclass(frozen=True, kw_only=True)
class Nuisance:
    """One patient's anatomy and examination, independent of the biomarkers given the traits.

    Attributes:
        radius_mm: of the sphere with the tumor's volume.
        semi_axes_mm: of the tumor's ellipsoid (Z, Y, X).
        center_mm: the tumor's position in the scene (Z, Y, X).
        breast: the breast's shape.
        gland_fraction: share of the breast that is glandular.
        gland_ktrans: background enhancement, transfer constant in 1/min.
        dose_scale: factor on the arterial concentration.
        time_s: of the image after the contrast agent's arrival.
        t1_scale: factor on the T1 of each of TISSUES.
    """

    radius_mm: float
    semi_axes_mm: tuple[float, float, float]
    center_mm: tuple[float, float, float]
    breast: Breast
    gland_fraction: float
    gland_ktrans: float
    dose_scale: float
    time_s: float
    t1_scale: tuple[float, ...]


def sample_nuisance(
    rng: np.random.Generator,
    *,
    preset: Preset,
    center: Center,
    traits: npt.NDArray[np.float64],
) -> Nuisance:
    """Draws one patient's anatomy and examination at a center; `traits` are (8,)."""
    radius_mm = _sample_radius(rng, preset, traits)
    log_axes = np.clip(rng.normal(0, 0.12, 3), -0.2, 0.2)
    axes = radius_mm * np.exp(log_axes - log_axes.mean())
    breast = Breast(depth_mm=rng.uniform(48, 54), half_width_mm=rng.uniform(33, 35.5))
    return Nuisance(
        radius_mm=radius_mm,
        semi_axes_mm=(float(axes[0]), float(axes[1]), float(axes[2])),
        center_mm=_sample_position(rng, breast, reach_mm=float(axes.max()) + _CLEARANCE_MM),
        breast=breast,
        gland_fraction=rng.uniform(0.12, 0.5),
        gland_ktrans=0.035 * math.exp(0.4 * rng.standard_normal()),
        dose_scale=math.exp(0.08 * rng.standard_normal()),
        time_s=max(30.0, rng.normal(center.time_s, center.time_sd_s)),
        t1_scale=tuple(1 + np.clip(rng.normal(0, 0.05, len(TISSUES)), -0.15, 0.15)),
    )


def nuisance_columns(nuisance: Nuisance) -> dict[str, float]:
    """The columns of the truth table."""
    z_mm, y_mm, x_mm = nuisance.center_mm
    return {
        "radius_mm": nuisance.radius_mm,
        "center_z_mm": z_mm,
        "center_y_mm": y_mm,
        "center_x_mm": x_mm,
        "breast_depth_mm": nuisance.breast.depth_mm,
        "gland_fraction": nuisance.gland_fraction,
        "gland_ktrans": nuisance.gland_ktrans,
        "dose_scale": nuisance.dose_scale,
        "time_s": nuisance.time_s,
        **{f"t1_{name}": scale for name, scale in zip(TISSUES, nuisance.t1_scale, strict=True)},
    }


def _sample_radius(
    rng: np.random.Generator, preset: Preset, traits: npt.NDArray[np.float64]
) -> float:
    share = preset.size_from_ktrans
    ktrans = traits[TRAIT_NAMES.index("c_ktrans")] / _KTRANS_SD
    deviate = share * ktrans + math.sqrt(1 - share**2) * rng.standard_normal()
    return float(np.clip(11 * math.exp(0.25 * deviate), 7, 18))


def _sample_position(
    rng: np.random.Generator, breast: Breast, *, reach_mm: float
) -> tuple[float, float, float]:
    """A place where a ball of this radius lies inside breast and scene, or else the roomiest."""
    low = np.array([reach_mm, WALL_MM - breast.depth_mm + reach_mm, reach_mm])
    high = np.array([SCENE_SHAPE[0] - 1, WALL_MM, SCENE_SHAPE[2] - 1]) - reach_mm
    candidates = rng.uniform(np.minimum(low, high), np.maximum(low, high), (_CANDIDATES, 3))
    surface = candidates[:, None] + reach_mm * _directions(64)
    excess_mm = breast_distance(breast, *np.moveaxis(surface, -1, 0)).max(axis=1)
    fits = np.flatnonzero(excess_mm < 0)
    z_mm, y_mm, x_mm = candidates[fits[0] if len(fits) else excess_mm.argmin()]
    return float(z_mm), float(y_mm), float(x_mm)


def _directions(count: int) -> npt.NDArray[np.float64]:
    """Unit vectors (count, 3) spread evenly over the sphere (Fibonacci lattice)."""
    index = np.arange(count) + 0.5
    height = 1 - 2 * index / count
    angle = index * math.pi * (3 - math.sqrt(5))
    ring = np.sqrt(1 - height**2)
    return np.stack([height, ring * np.cos(angle), ring * np.sin(angle)], axis=1)
