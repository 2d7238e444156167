"""Kinetic maps of a dynamic series: percent enhancement, signal enhancement ratio, the peak.

Definitions: Hylton NM et al., Radiology 2012;263:663-672 (ACRIN 6657 / I-SPY).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Signal = npt.NDArray[Any]
Map = npt.NDArray[np.float32]

_HIGHEST_RATIO = 3.0
_ENHANCING_FRACTION = 0.01


def percent_enhancement(pre: Signal, post: Signal) -> Map:
    """100 (S1 - S0) / S0; nan where S0 is not positive. Any shape, the same for both."""
    before, after = pre.astype(np.float64), post.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        enhancement = 100 * (after - before) / before
    return np.where(before > 0, enhancement, np.nan).astype(np.float32)


def signal_enhancement_ratio(pre: Signal, early: Signal, late: Signal) -> Map:
    """(S1 - S0) / (S2 - S0), clipped to 0 and 3; nan where S2 is S0.

    Above 1 the contrast agent washes out, below it still accumulates.
    """
    before = pre.astype(np.float64)
    rise, later_rise = early - before, late - before
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.clip(rise / later_rise, 0, _HIGHEST_RATIO)
    return np.where(later_rise != 0, ratio, np.nan).astype(np.float32)


def peak_phase(phases: Sequence[Signal]) -> int:
    """The index of the phase with the highest mean signal where the contrast agent goes.

    That is the one voxel in a hundred whose signal rises most over the first phase, in whichever
    phase.
    """
    before = phases[0].astype(np.float32)
    rise = np.max([phase - before for phase in phases[1:]], axis=0)
    enhancing = rise >= np.quantile(rise, 1 - _ENHANCING_FRACTION)
    means = [float(phase[enhancing].mean()) for phase in phases[1:]]
    return 1 + int(np.argmax(means))
