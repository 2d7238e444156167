"""The intensities of one case, in a few numbers per channel."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

LEVELS = {"p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}


@dataclass(frozen=True, kw_only=True, eq=False)
class CaseIntensity:
    """Quantiles (`LEVELS`) of a case's C channels; nan for a channel that is constant in the body.

    Attributes:
        body: (C, 5) inside the body, as stored.
        tumor: (C, 5) inside the tumor, as stored; None without a tumor or a label map.
        appearance: (C, 5) inside the body on the scale that the network sees: in standard
            deviations from the body's mean, or as stored where the stored numbers have a meaning.
    """

    body: FloatArray
    tumor: FloatArray | None
    appearance: FloatArray


def measure_intensity(
    in_body: FloatArray, *, keeps_scale: Sequence[bool], in_tumor: FloatArray | None = None
) -> CaseIntensity:
    """Measures one case.

    Args:
        in_body: (C, N) intensities of the body's voxels, at least one.
        keeps_scale: per channel whether stored numbers have a meaning, as in CT; those of MRI are
            in arbitrary units, and an image times a gain plus an offset is the same image.
        in_tumor: (C, M) of the tumor's voxels; None where there is no tumor or label map.
    """
    spread = in_body.std(axis=1, keepdims=True)
    is_empty = spread[:, 0] == 0
    stored = _quantiles(in_body, is_empty)
    scaled = (stored - in_body.mean(axis=1, keepdims=True)) / np.where(spread == 0, 1, spread)
    return CaseIntensity(
        body=stored,
        tumor=None if in_tumor is None else _quantiles(in_tumor, is_empty),
        appearance=np.where(np.array(keeps_scale)[:, None], stored, scaled),
    )


def _quantiles(values: FloatArray, is_empty: npt.NDArray[np.bool_]) -> FloatArray:
    quantiles = np.quantile(values, list(LEVELS.values()), axis=1).T
    return np.where(is_empty[:, None], np.nan, quantiles)
