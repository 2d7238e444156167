"""Estimates the smooth field by which a coil brightens one part of an image and darkens another."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK

from nnmtl.dataset_conversion._image_grid import body_of, coarse

_WORKING_SPACING_MM = 4.0  # the field is smooth: a finer grid costs time and changes nothing
_ITERATIONS = (50, 50, 30)


@dataclass(frozen=True, kw_only=True)
class BiasField:
    """What was estimated, and whether it is to be used.

    Attributes:
        field: factors (Z, Y, X), single precision, with a geometric mean of 1 in the body.
        body: where the coefficients of variation are taken, (Z, Y, X).
        before: coefficient of variation of the image in the body.
        after: and of the image divided by the field.
        refusal: why it is not to be used; empty if it is.
    """

    field: npt.NDArray[np.float32]
    body: npt.NDArray[np.bool_]
    before: float
    after: float
    refusal: str


def estimate_bias_field(image: Any) -> BiasField:
    """The field by N4 (Tustison et al., IEEE Trans Med Imaging 2010;29:1310-1320).

    Equal input gives equal output. A field is not to be used if the body's coefficient of
    variation is no smaller without it, or if there is no signal to estimate it from.

    Args:
        image: a SimpleITK image of one contrast, without negative values where the body is.
    """
    small = coarse(image, _WORKING_SPACING_MM)
    body = body_of(small) * SimpleITK.Cast(small > 0, SimpleITK.sitkUInt8)
    voxels = SimpleITK.GetArrayFromImage(image).astype(np.float32)
    inside = SimpleITK.GetArrayFromImage(
        SimpleITK.Resample(body, image, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor, 0)
    ).astype(bool)
    log_field = _log_field(image, small, body)
    if log_field is None or not inside.any():
        none = np.ones_like(voxels)
        return BiasField(
            field=none, body=inside, before=np.nan, after=np.nan, refusal="no body was found"
        )
    # Splines run away where there is no body to hold them.
    held = log_field.clip(log_field[inside].min(), log_field[inside].max())
    field = np.exp(held - log_field[inside].mean()).astype(np.float32)
    before, after = (variation(found[inside]) for found in (voxels, voxels / field))
    refusal = "" if after < before else "the body is no more even"
    return BiasField(field=field, body=inside, before=before, after=after, refusal=refusal)


def variation(values: npt.NDArray[Any]) -> float:
    """Coefficient of variation; nan of no value."""
    if not values.size:
        return float("nan")
    return float(values.std(dtype=np.float64) / values.mean(dtype=np.float64))


def _log_field(image: Any, small: Any, body: Any) -> Any:
    corrector = SimpleITK.N4BiasFieldCorrectionImageFilter()
    corrector.SetNumberOfThreads(1)
    corrector.SetNumberOfWorkUnits(1)
    corrector.SetMaximumNumberOfIterations(_ITERATIONS)
    try:
        corrector.Execute(small, body)
    except RuntimeError:  # an image of one value, or too few slices for its splines
        return None
    single = SimpleITK.Cast(image, SimpleITK.sitkFloat32)
    return SimpleITK.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(single))
