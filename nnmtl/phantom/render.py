"""From the scene to the image that a center stores."""

import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from nnmtl.phantom.anatomy import Scene
from nnmtl.phantom.centers import Center
from nnmtl.phantom.nuisance import Nuisance
from nnmtl.phantom.random_field import FloatMap
from nnmtl.phantom.tissue import tissue_signals

_OUTSIDE_BOX_MM = np.float32(10.0)


def render(
    rng: np.random.Generator, scene: Scene, *, center: Center, nuisance: Nuisance
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """The image and the label map (tumor 1) on the center's grid, in the order Z, Y, X."""
    blur_mm = [max(0.0, 0.42 * (spacing - 1)) + 0.25 for spacing in center.spacing_mm]
    signal = ndimage.gaussian_filter(_signal_map(scene, center, nuisance), blur_mm)
    label_map = _label_map(scene, center)
    clean = _resample(signal, center) * _bias_field(rng, label_map.shape, center.bias_sd)
    noise_sd = center.noise_fraction * float(np.median(clean[label_map == 1]))
    noise = np.float32(noise_sd) * rng.standard_normal((2, *clean.shape), dtype=np.float32)
    image = np.hypot(clean + noise[0], noise[1]) * np.float32(rng.uniform(*center.gain))
    return np.clip(np.rint(image), 0, np.iinfo(np.int16).max).astype(np.int16), label_map


def _signal_map(scene: Scene, center: Center, nuisance: Nuisance) -> FloatMap:
    """Tissues laid over each other, the later ones on top."""
    signals = tissue_signals(center, nuisance)
    background = signals.gland(np.array(nuisance.gland_ktrans, np.float32))
    gland = np.full(scene.gland.shape, background, np.float32)
    gland[scene.box] = signals.gland(scene.gland_ktrans)
    signal = np.full(scene.body.shape, signals.fat, np.float32)
    _lay_over(signal, scene.gland, gland)
    in_box = signal[scene.box]
    _lay_over(in_box, scene.edema, signals.edema)
    _lay_over(in_box, scene.tumor, signals.tumor(scene.tumor_ktrans))
    _lay_over(in_box, scene.vessel * (1 - scene.tumor), signals.blood)
    _lay_over(signal, scene.skin, signals.muscle)
    _lay_over(signal, scene.muscle, signals.muscle)
    return signal * scene.body


def _lay_over(signal: FloatMap, share: FloatMap, tissue: FloatMap | float) -> None:
    signal += share * (np.asarray(tissue, np.float32) - signal)


def _label_map(scene: Scene, center: Center) -> npt.NDArray[np.uint8]:
    distance_mm = np.full(scene.body.shape, _OUTSIDE_BOX_MM, np.float32)
    distance_mm[scene.box] = np.minimum(scene.tumor_distance_mm, _OUTSIDE_BOX_MM)
    inside = _resample(distance_mm, center) < 0
    # A spicule thinner than the voxels can come off.
    pieces, _ = ndimage.label(inside, np.ones((3, 3, 3)))
    largest = 1 + np.bincount(pieces[inside] - 1).argmax()
    return (pieces == largest).astype(np.uint8)


def _resample(scene_map: FloatMap, center: Center) -> FloatMap:
    """Linear interpolation of a 1 mm map on the center's grid, axis by axis."""
    for axis, spacing_mm in enumerate(center.spacing_mm):
        last = scene_map.shape[axis] - 1
        at = np.arange(math.floor(last / spacing_mm) + 1) * spacing_mm
        below = np.minimum(at.astype(int), last - 1)
        weight = (at - below).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        low, high = scene_map.take(below, axis), scene_map.take(below + 1, axis)
        scene_map = low + weight * (high - low)
    return scene_map


def _bias_field(rng: np.random.Generator, shape: tuple[int, ...], sd: float) -> FloatMap:
    """The receive coil's smooth shading: log values at 3 x 3 x 3 points, parabolas between."""
    log_field = sd * rng.standard_normal((3, 3, 3)).astype(np.float32)
    for axis, size in enumerate(shape):
        at = np.linspace(-1, 1, size, dtype=np.float32)
        parabolas = np.stack([at * (at - 1) / 2, 1 - at**2, at * (at + 1) / 2], axis=1)
        log_field = np.moveaxis(
            sum(
                parabolas[:, point, None, None] * np.moveaxis(log_field, axis, 0)[point]
                for point in range(3)
            ),
            0,
            axis,
        )
    field: FloatMap = np.exp(log_field)
    return field
