"""The centers: scanners, protocols and contrast agents."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from nnmtl.errors import NnmtlError


@dataclass(frozen=True, kw_only=True)
class Center:
    """How one center acquires its single post-contrast image.

    Attributes:
        name: one letter.
        field_t: field strength in tesla.
        tr_ms: repetition time.
        te_ms: echo time.
        flip_deg: flip angle.
        spacing_mm: voxel size in the array's order (Z, Y, X).
        fat_fraction: share of the fat signal that fat suppression leaves; 1 is without it.
        time_s: mean of the time after injection.
        time_sd_s: its standard deviation between patients.
        relaxivity: r1 of the agent in L/mmol/s in plasma (Rohrer 2005).
        bias_sd: standard deviation of the log bias field at its control points.
        noise_fraction: noise standard deviation over the tumor's median signal.
        gain: range of the factor from signal to stored integers.
    """

    name: str
    field_t: float
    tr_ms: float
    te_ms: float
    flip_deg: float
    spacing_mm: tuple[float, float, float]
    fat_fraction: float
    time_s: float
    time_sd_s: float
    relaxivity: float
    bias_sd: float
    noise_fraction: float
    gain: tuple[float, float]


_GADOPENTETATE_1_5T = 4.1
_GADOBUTROL_3T = 5.0
_GADOTERATE_3T = 3.5

_ALL = (
    Center(
        name="A",
        field_t=1.5,
        tr_ms=5.0,
        te_ms=2.2,
        flip_deg=10.0,
        spacing_mm=(2.0, 1.0, 1.0),
        fat_fraction=0.10,
        time_s=100.0,
        time_sd_s=8.0,
        relaxivity=_GADOPENTETATE_1_5T,
        bias_sd=0.15,
        noise_fraction=0.02,
        gain=(4000.0, 8000.0),
    ),
    Center(
        name="B",
        field_t=3.0,
        tr_ms=4.2,
        te_ms=1.7,
        flip_deg=10.0,
        spacing_mm=(1.5, 0.8, 0.8),
        fat_fraction=0.06,
        time_s=90.0,
        time_sd_s=6.0,
        relaxivity=_GADOBUTROL_3T,
        bias_sd=0.35,
        noise_fraction=0.015,
        gain=(10000.0, 20000.0),
    ),
    # Without fat suppression, where the tumor is as bright as fat: for external validation.
    Center(
        name="C",
        field_t=1.5,
        tr_ms=8.0,
        te_ms=4.2,
        flip_deg=20.0,
        spacing_mm=(3.0, 1.2, 1.2),
        fat_fraction=1.0,
        time_s=100.0,
        time_sd_s=10.0,
        relaxivity=_GADOPENTETATE_1_5T,
        bias_sd=0.20,
        noise_fraction=0.02,
        gain=(2000.0, 4000.0),
    ),
    Center(
        name="D",
        field_t=3.0,
        tr_ms=5.5,
        te_ms=2.5,
        flip_deg=12.0,
        spacing_mm=(1.0, 1.0, 1.0),
        fat_fraction=0.04,
        time_s=150.0,
        time_sd_s=15.0,
        relaxivity=_GADOTERATE_3T,
        bias_sd=0.25,
        noise_fraction=0.03,
        gain=(6000.0, 12000.0),
    ),
)
CENTERS: Mapping[str, Center] = MappingProxyType({center.name: center for center in _ALL})


def center_named(name: str) -> Center:
    """The center of this name.

    Raises:
        NnmtlError: if there is none.
    """
    if name not in CENTERS:
        raise NnmtlError(
            f"phantom: expected a center among {', '.join(CENTERS)}, got {name!r}; choose one."
        )
    return CENTERS[name]
