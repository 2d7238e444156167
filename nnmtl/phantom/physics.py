"""From transfer constant to signal: arterial input, Tofts model and spoiled gradient echo."""

import math

import numpy as np
import numpy.typing as npt

HEMATOCRIT = 0.45
_INTEGRATION_STEPS = 1200

FloatArray = npt.NDArray[np.float64]


def parker_blood_concentration(time_min: FloatArray) -> FloatArray:
    """Population arterial concentration in whole blood (mmol/L); zero before arrival at 0.

    Source: Parker et al., Magn Reson Med 2006;56:993, table 1.
    """
    area, center_min, width_min = (0.809, 0.330), (0.17046, 0.365), (0.0563, 0.132)
    alpha, beta, slope, onset_min = 1.050, 0.1685, 38.078, 0.483
    concentration = alpha * np.exp(-beta * time_min)
    concentration /= 1 + np.exp(-slope * (time_min - onset_min))
    for a, t, sigma in zip(area, center_min, width_min, strict=True):
        scale = a / (sigma * math.sqrt(2 * math.pi))
        concentration += scale * np.exp(-((time_min - t) ** 2) / (2 * sigma**2))
    return np.where(time_min >= 0, concentration, 0.0)


def tofts_concentration(
    ktrans_per_min: FloatArray, *, ve: float, time_s: float, dose_scale: float
) -> FloatArray:
    """Tissue concentration (mmol/L) at one time after injection.

    C(t) = K * integral of Cp(s) exp(-K/ve (t - s)) ds, with Cp the plasma concentration.

    Args:
        ktrans_per_min: (N,) transfer constants K.
        ve: extravascular extracellular volume fraction.
        time_s: since the contrast agent's arrival.
        dose_scale: factor on the population's arterial concentration.
    """
    step_min = time_s / 60 / _INTEGRATION_STEPS
    middles_min = (np.arange(_INTEGRATION_STEPS, dtype=np.float64) + 0.5) * step_min
    plasma = dose_scale * parker_blood_concentration(middles_min) / (1 - HEMATOCRIT)
    decay = np.exp(-np.outer(ktrans_per_min / ve, time_s / 60 - middles_min))
    concentration: FloatArray = ktrans_per_min * (decay * plasma).sum(axis=1) * step_min
    return concentration


def spoiled_gradient_echo(
    relaxation_rate: FloatArray, *, tr_ms: float, te_ms: float, flip_deg: float, t2_star_ms: float
) -> FloatArray:
    """Steady-state signal per unit of equilibrium magnetization.

    Args:
        relaxation_rate: R1 in 1/s.
        tr_ms: repetition time.
        te_ms: echo time.
        flip_deg: flip angle.
        t2_star_ms: transverse relaxation time.
    """
    recovery = np.exp(-tr_ms / 1000 * relaxation_rate)
    flip = math.radians(flip_deg)
    signal: FloatArray = math.sin(flip) * (1 - recovery) / (1 - math.cos(flip) * recovery)
    return signal * math.exp(-te_ms / t2_star_ms)
