"""Random displacement of a tumor's surface, in the manner of a predicted mask's error."""

from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

KNOTS = 5  # per axis: in a region of 48 mm the surface wobbles over about 12 mm
MAX_EROSION = 0.5  # of the depth, so that no tumor vanishes

Distance = TypeVar("Distance", Tensor, NDArray[np.float32])


def jitter_distance(
    distance_mm: Distance,
    generator: torch.Generator | np.random.Generator,
    sd_mm: float,
) -> Distance:
    """Move the surface by a random offset and a smooth random field, both in mm.

    Heads trained on exact masks lose much on predicted ones; this teaches them a boundary that is
    roughly right. The displacement of a surface point has mean 0 and standard deviation ``sd_mm``,
    half of its variance from the common offset (a mask too large or small), half from the field.

    Args:
        distance_mm: Signed distance, a Tensor (B, *spatial) or the array (*spatial) of one case.
        generator: Source of the randomness (on the CPU).
        sd_mm: Standard deviation of the displacement; 0 returns the distance itself.

    Returns:
        The displaced distance, same type and shape; infinite entries stay.
    """
    if sd_mm == 0.0:
        return distance_mm
    if isinstance(distance_mm, Tensor):
        return _jitter(distance_mm, generator, sd_mm)
    batch = torch.from_numpy(np.ascontiguousarray(distance_mm))[None]
    return _jitter(batch, generator, sd_mm)[0].numpy()


def _jitter(
    distance: Tensor, generator: torch.Generator | np.random.Generator, sd_mm: float
) -> Tensor:
    num_cases, num_axes = distance.shape[0], distance.ndim - 1
    offset = _normal((num_cases,), generator).view(-1, *[1] * num_axes)
    knots = _normal((num_cases, 1, *[KNOTS] * num_axes), generator)
    field = functional.interpolate(
        knots,
        size=distance.shape[1:],
        mode=["linear", "bilinear", "trilinear"][num_axes - 1],
    )[:, 0]
    field = field / field.flatten(1).std(1).clamp(min=1e-3).view_as(offset)
    shift = (offset + field).to(distance) * (sd_mm / 2**0.5)
    depth = (-distance.flatten(1).amin(1)).clamp(min=0.0).view_as(offset)
    return distance + torch.minimum(shift, MAX_EROSION * depth)


def _normal(shape: tuple[int, ...], generator: torch.Generator | np.random.Generator) -> Tensor:
    if isinstance(generator, np.random.Generator):
        return torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))
    return torch.randn(shape, generator=generator)
