"""A case in one small picture: a slice of every channel with the tumor's outline."""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_rgb
from matplotlib.image import imsave
from scipy import ndimage

from nnmtl.cohort.image_fingerprint import area_weights
from nnmtl.report.style import SKY

_WIDTH_PX = 340
_LARGEST_TILE_PX = 240
_MOST_CHANNELS = 4
# 300 cases of at most 24 kB, as text a third more, make a page of at most 10 MB.
_MOST_BYTES = 24_000
_QUALITIES = (80, 70, 60, 45, 30)
_SHARP_COLORS = {"subsampling": 0}  # JPEG halves the resolution of colors, and so of outlines
# A slice is shown as it was acquired, where voxels are clearly longer one way.
_ANISOTROPY = 1.5
# Around the tumor: the 5 mm that are a region, and some more to find one's way.
_MARGIN_MM = 14.0
_WINDOW = (1, 99.7)

_Image = npt.NDArray[Any]
_Mask = npt.NDArray[np.bool_]
_Box = tuple[slice, slice]


def draw_thumbnail(
    channels: Sequence[_Image], tumor: _Mask, spacing_mm: tuple[float, float, float]
) -> bytes:
    """A JPEG of the slice with most tumor, or the middle one without tumor.

    One tile per channel, at most four, and one of the tumor's surroundings if they are small, in
    the channel where it stands out most.

    Args:
        channels: images with axes toward head, back and left.
        tumor: of the same shape.
        spacing_mm: voxel size per axis.
    """
    axis = _slice_axis(tumor.shape, spacing_mm)
    areas = tumor.sum(axis=tuple({0, 1, 2} - {axis}))
    at = int(areas.argmax()) if areas.any() else len(areas) // 2
    slices = [_upright(channel, axis, at) for channel in channels[:_MOST_CHANNELS]]
    outlined = _upright(tumor, axis, at)
    steps = tuple(step for each, step in enumerate(spacing_mm) if each != axis)
    whole = (slice(None), slice(None))
    views: list[tuple[_Image, _Box]] = [(image, whole) for image in slices]
    box = _surroundings(outlined, steps)
    if box is not None:
        views.append((max(slices, key=lambda image: _contrast(image, outlined)), box))
    num_columns = math.ceil(math.sqrt(len(views)))
    size_px = min(_LARGEST_TILE_PX, _WIDTH_PX // num_columns)
    tiles = [_tile(image, outlined, box, steps, size_px) for image, box in views]
    return _jpeg(_mosaic(tiles, num_columns))


def _slice_axis(shape: Sequence[int], spacing_mm: Sequence[float]) -> int:
    if 1 in shape:
        return shape.index(1)
    coarsest = int(np.argmax(spacing_mm))
    return coarsest if spacing_mm[coarsest] > _ANISOTROPY * min(spacing_mm) else 0


def _upright(volume: npt.NDArray[Any], axis: int, at: int) -> npt.NDArray[Any]:
    shown = volume.take(at, axis=axis)
    # Seen from the front or the side, the head is up; seen from the feet, the front is up.
    return shown if axis == 0 else shown[::-1]


def _surroundings(tumor: _Mask, steps: Sequence[float]) -> _Box | None:
    """The tumor with a margin; None without tumor, or where that is most of the slice."""
    if not tumor.any():
        return None
    found = ndimage.find_objects(tumor.astype(np.uint8))[0]
    half_mm = _MARGIN_MM + max(
        (edge.stop - edge.start) * step / 2 for edge, step in zip(found, steps, strict=True)
    )
    box = []
    for edge, step, size in zip(found, steps, tumor.shape, strict=True):
        middle, half = (edge.start + edge.stop) / 2, half_mm / step
        box.append(slice(max(0, round(middle - half)), min(size, round(middle + half))))
    shown = (box[0].stop - box[0].start) * (box[1].stop - box[1].start)
    return (box[0], box[1]) if shown < tumor.size / 2 else None


def _contrast(image: _Image, tumor: _Mask) -> float:
    spread = float(np.std(image))
    if tumor.all() or spread == 0:
        return 0.0
    return abs(float(image[tumor].mean()) - float(image[~tumor].mean())) / spread


def _tile(
    image: _Image, tumor: _Mask, box: _Box, steps: Sequence[float], size_px: int
) -> npt.NDArray[np.uint8]:
    """(size_px, size_px, 3): a part of a slice in true proportions, black where it ends."""
    low, high = np.percentile(image, _WINDOW)
    bright = np.clip((image[box] - low) / max(high - low, 1e-30), 0, 1)
    size_mm = [length * step for length, step in zip(bright.shape, steps, strict=True)]
    height, width = (max(1, round(size_px * length / max(size_mm))) for length in size_mm)
    gray = _resized(bright, height, width)
    share = _resized(tumor[box], height, width)
    # A tumor smaller than a pixel must be seen, too.
    inside = share > (0.5 if (share > 0.5).any() else 0)
    edge = ndimage.binary_dilation(inside, structure=np.ones((3, 3))) & ~inside
    shown = np.repeat(gray[:, :, None], 3, axis=2)
    shown[edge] = to_rgb(SKY)
    above, before = (size_px - height) // 2, (size_px - width) // 2
    square = np.zeros((size_px, size_px, 3), dtype=np.uint8)
    square[above : above + height, before : before + width] = np.rint(255 * shown)
    return square


def _resized(image: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[np.float32]:
    rows, columns = (
        area_weights(size, wanted)
        for size, wanted in zip(image.shape, (height, width), strict=True)
    )
    return np.asarray(rows @ image.astype(np.float32) @ columns.T, dtype=np.float32)


def _mosaic(tiles: Sequence[npt.NDArray[np.uint8]], num_columns: int) -> npt.NDArray[np.uint8]:
    """The tiles row by row, black where the last row ends."""
    empty = [np.zeros_like(tiles[0])] * (-len(tiles) % num_columns)
    filled = [*tiles, *empty]
    rows = [
        np.concatenate(filled[start : start + num_columns], axis=1)
        for start in range(0, len(filled), num_columns)
    ]
    return np.concatenate(rows)


def _jpeg(shown: npt.NDArray[np.uint8]) -> bytes:
    """As good as fits into `_MOST_BYTES`: a noisy image takes more than a smooth one."""
    encoded = b""
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        imsave(buffer, shown, format="jpg", pil_kwargs={"quality": quality, **_SHARP_COLORS})
        encoded = buffer.getvalue()
        if len(encoded) <= _MOST_BYTES:
            break
    return encoded
