"""Random displacement of a tumor's surface, in the manner of a predicted mask's error."""

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

WAVELENGTH_MM = 12.0  # distance of independent errors along the surface: about a tumor's radius
MAX_EROSION = 0.5  # of the depth, so that no tumor vanishes

Distance = TypeVar("Distance", Tensor, NDArray[np.float32])
Generator = torch.Generator | np.random.Generator


def jitter_distance(
    distance_mm: Distance,
    spacing_mm: Sequence[float],
    *,
    sd_mm: float,
    generator: Generator | None = None,
) -> Distance:
    """Move the surface by a random offset and a smooth random field, both in mm.

    Heads trained on exact masks lose much on predicted ones; this teaches them a boundary that is
    roughly right. The displacement of a surface point has mean 0 and standard deviation ``sd_mm``,
    half of its variance from the common offset (a mask too large or small), half from the field.

    Args:
        distance_mm: Signed distance, a Tensor (B, *spatial) or the array (*spatial) of one case.
        spacing_mm: Voxel spacing of the spatial axes.
        sd_mm: Standard deviation of the displacement; 0 returns the distance itself.
        generator: Source of the randomness, on the CPU; None is torch's global generator.

    Returns:
        The displaced distance, same type and shape; infinite entries stay.
    """
    if sd_mm == 0.0:
        return distance_mm
    if isinstance(distance_mm, Tensor):
        return _jitter(distance_mm, spacing_mm, sd_mm, generator)
    batch = torch.from_numpy(np.ascontiguousarray(distance_mm))[None]
    return _jitter(batch, spacing_mm, sd_mm, generator)[0].numpy()


def _jitter(
    distance: Tensor, spacing_mm: Sequence[float], sd_mm: float, generator: Generator | None
) -> Tensor:
    per_case = (-1, *[1] * (distance.ndim - 1))
    offset = _normal((distance.shape[0],), generator).view(per_case)
    field = _smooth_field(distance.shape, spacing_mm, generator)
    shift = (offset + field).to(distance) * (sd_mm / math.sqrt(2.0))
    depth = (-distance.flatten(1).amin(1)).clamp(min=0.0).view(per_case)
    return distance + torch.minimum(shift, MAX_EROSION * depth)


def _smooth_field(
    shape: torch.Size, spacing_mm: Sequence[float], generator: Generator | None
) -> Tensor:
    """Field (B, *spatial) of variance about 1, interpolated between knots a wavelength apart."""
    sizes = [size * spacing for size, spacing in zip(shape[1:], spacing_mm, strict=True)]
    knots = [1 + max(1, round(size_mm / WAVELENGTH_MM)) for size_mm in sizes]
    mode = {2: "bilinear", 3: "trilinear"}[len(sizes)]
    noise = _normal((shape[0], 1, *knots), generator)
    field = functional.interpolate(noise, size=shape[1:], mode=mode, align_corners=True)[:, 0]
    # Linear interpolation averages neighboring knots: 2/3 of the variance remains along each axis.
    scaled: Tensor = field * math.sqrt(1.5 ** len(sizes))
    return scaled


def _normal(shape: tuple[int, ...], generator: Generator | None) -> Tensor:
    if isinstance(generator, np.random.Generator):
        return torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))
    return torch.randn(shape, generator=generator)
