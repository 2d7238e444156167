"""Smooth random fields on a periodic grid."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.fft

FloatMap = npt.NDArray[np.float32]
Shape = tuple[int, int, int]


def gaussian_random_field(
    rng: np.random.Generator, shape: Shape, *, correlation_mm: float
) -> FloatMap:
    """Normal values with unit variance whose correlation falls to 1/e at `correlation_mm`.

    The voxels are 1 mm. Correlations are Gaussian and wrap around the grid.
    """
    spectrum = scipy.fft.rfftn(rng.standard_normal(shape, dtype=np.float32))
    spectrum *= _transfer(shape, correlation_mm)
    field: FloatMap = scipy.fft.irfftn(spectrum, s=shape)
    return field / field.std()


@lru_cache(maxsize=32)
def _transfer(shape: Shape, correlation_mm: float) -> FloatMap:
    # White noise filtered with a Gaussian of s has the autocorrelation exp(-d^2 / (4 s^2)).
    sigma = correlation_mm / 2
    frequencies = [scipy.fft.fftfreq(n) for n in shape[:-1]] + [scipy.fft.rfftfreq(shape[-1])]
    squared = sum(f**2 for f in np.meshgrid(*frequencies, indexing="ij", sparse=True))
    transfer: FloatMap = np.exp(-2 * (np.pi * sigma) ** 2 * squared).astype(np.float32)
    return transfer
