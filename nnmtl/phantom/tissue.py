"""The magnetic resonance properties of tissues, and their signal at a center."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnmtl.phantom.centers import Center
from nnmtl.phantom.nuisance import TISSUES, Nuisance
from nnmtl.phantom.physics import (
    parker_blood_concentration,
    spoiled_gradient_echo,
    tofts_concentration,
)
from nnmtl.phantom.random_field import FloatMap

_TABLE_KTRANS = np.geomspace(0.003, 4.0, 61)
_MUSCLE_KTRANS, _EDEMA_KTRANS, _FAT_KTRANS = 0.05, 0.04, 0.005


@dataclass(frozen=True, kw_only=True)
class Tissue:
    """One tissue before contrast agent.

    Attributes:
        density: of protons, relative to fat.
        t1_s: at 1.5 T and 3 T (Rakow-Penner 2006 for fat and gland).
        t2_star_ms: transverse relaxation time.
        ve: extravascular extracellular volume fraction.
    """

    density: float
    t1_s: tuple[float, float]
    t2_star_ms: float
    ve: float


_TISSUES = {
    "fat": Tissue(density=1.0, t1_s=(0.296, 0.367), t2_star_ms=40.0, ve=0.1),
    "gland": Tissue(density=0.85, t1_s=(1.27, 1.44), t2_star_ms=30.0, ve=0.3),
    "tumor": Tissue(density=0.9, t1_s=(1.20, 1.45), t2_star_ms=35.0, ve=0.4),
    "muscle": Tissue(density=0.8, t1_s=(1.008, 1.412), t2_star_ms=25.0, ve=0.15),
    "blood": Tissue(density=0.9, t1_s=(1.44, 1.63), t2_star_ms=40.0, ve=1.0),
    "edema": Tissue(density=0.95, t1_s=(1.9, 2.2), t2_star_ms=60.0, ve=0.4),
}

SignalOfKtrans = Callable[[FloatMap], FloatMap]


@dataclass(frozen=True, kw_only=True)
class Signals:
    """What one patient's tissues look like at a center, per unit of equilibrium magnetization.

    Attributes:
        fat: after fat suppression.
        muscle: also that of skin.
        edema: free water around the tumor.
        blood: in vessels.
        gland: as a function of the transfer constant in 1/min.
        tumor: as a function of the transfer constant in 1/min.
    """

    fat: float
    muscle: float
    edema: float
    blood: float
    gland: SignalOfKtrans
    tumor: SignalOfKtrans


def tissue_signals(center: Center, nuisance: Nuisance) -> Signals:
    """Evaluates kinetics and signal once per patient, as tables over the transfer constant."""

    def constant(name: str, ktrans_per_min: float) -> float:
        return float(_signal_table(name, np.array([ktrans_per_min]), center, nuisance)[0])

    def function(name: str) -> SignalOfKtrans:
        table = _signal_table(name, _TABLE_KTRANS, center, nuisance)
        return lambda ktrans: np.interp(np.log(ktrans), np.log(_TABLE_KTRANS), table).astype(
            np.float32
        )

    return Signals(
        fat=center.fat_fraction * constant("fat", _FAT_KTRANS),
        muscle=constant("muscle", _MUSCLE_KTRANS),
        edema=constant("edema", _EDEMA_KTRANS),
        blood=_blood_signal(center, nuisance),
        gland=function("gland"),
        tumor=function("tumor"),
    )


def _signal_table(
    name: str, ktrans_per_min: npt.NDArray[np.float64], center: Center, nuisance: Nuisance
) -> npt.NDArray[np.float64]:
    concentration = tofts_concentration(
        ktrans_per_min,
        ve=_TISSUES[name].ve,
        time_s=nuisance.time_s,
        dose_scale=nuisance.dose_scale,
    )
    return _signal(name, concentration, center, nuisance)


def _blood_signal(center: Center, nuisance: Nuisance) -> float:
    concentration = nuisance.dose_scale * parker_blood_concentration(
        np.array([nuisance.time_s / 60])
    )
    return float(_signal("blood", concentration, center, nuisance)[0])


def _signal(
    name: str, concentration: npt.NDArray[np.float64], center: Center, nuisance: Nuisance
) -> npt.NDArray[np.float64]:
    tissue = _TISSUES[name]
    t1_s = tissue.t1_s[0] if center.field_t < 2 else tissue.t1_s[1]
    t1_s *= nuisance.t1_scale[TISSUES.index(name)]
    return tissue.density * spoiled_gradient_echo(
        1 / t1_s + center.relaxivity * concentration,
        tr_ms=center.tr_ms,
        te_ms=center.te_ms,
        flip_deg=center.flip_deg,
        t2_star_ms=tissue.t2_star_ms,
    )
