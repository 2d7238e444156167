"""Recognizes an image that was stored before: the same voxels, or the same picture."""

import hashlib

import numpy as np
import numpy.typing as npt
from scipy import ndimage

# 4096 blocks: a block of a 250 mm image is 16 mm wide, fine enough for a person's own anatomy and
# coarse enough to forget resampling, rounding and compression.
_BLOCKS = 16
# Copies with another intensity window differ beyond these percentiles only.
_WINDOW = (1, 99)
_SCALE = 127
_ROUNDING = 1e-6  # of the window, in single precision

Fingerprint = npt.NDArray[np.int8]


def voxel_hash(array: npt.NDArray[np.generic]) -> str:
    """Equal for arrays of equal shape and values, whatever the number type they are stored in."""
    # Single precision is what nnU-Net trains on, and holds every integer of 16 bits.
    values = np.ascontiguousarray(array, dtype="<f4") + np.float32(0)  # -0 becomes 0
    return hashlib.sha256(repr(array.shape).encode() + values.tobytes()).hexdigest()


def image_fingerprint(image: npt.NDArray[np.generic]) -> Fingerprint | None:
    """What stays of a picture under rescaled intensities and another voxel size, in 4 kB.

    Means over 16 blocks per axis, each against its neighbors: heads are alike in the large, and a
    person's are told from another's by what is local.

    Args:
        image: three-dimensional, axes in an order and direction that all images share.

    Returns:
        (4096,) with entries of -127 to 127; None for an image in which nothing varies.
    """
    values = np.asarray(image, dtype=np.float32)
    low, high = np.percentile(values, _WINDOW)
    if high <= low:
        low, high = float(values.min()), float(values.max())
    if high <= low:
        return None
    blocks = np.clip((values - low) / (high - low), 0, 1)
    for axis in range(3):
        means = area_weights(blocks.shape[axis], _BLOCKS) @ np.moveaxis(blocks, axis, 0).reshape(
            blocks.shape[axis], -1
        )
        rest = [size for at, size in enumerate(blocks.shape) if at != axis]
        blocks = np.moveaxis(means.reshape(_BLOCKS, *rest), 0, axis)
    local = blocks - ndimage.uniform_filter(blocks, size=3, mode="nearest")
    largest = float(np.abs(local).max())
    if largest <= _ROUNDING:
        return None
    return np.asarray(np.rint(local / largest * _SCALE), dtype=np.int8).ravel()


def similarities(
    fingerprints: npt.NDArray[np.int8], others: npt.NDArray[np.int8]
) -> npt.NDArray[np.float32]:
    """Cosine similarity of every fingerprint (N, 4096) with every other (M, 4096): (N, M)."""
    return np.asarray(_unit(fingerprints) @ _unit(others).T, dtype=np.float32)


def area_weights(size: int, num_blocks: int) -> npt.NDArray[np.float32]:
    """(num_blocks, size): how voxels of an axis are averaged into blocks; each row sums to 1.

    A voxel on the edge of two blocks counts in both by its share, so any size fits; with more
    blocks than voxels, a voxel is repeated.
    """
    blocks = np.arange(num_blocks)[:, None] / num_blocks
    voxels = np.arange(size)[None, :] / size
    ends = np.minimum(blocks + 1 / num_blocks, voxels + 1 / size)
    overlap = np.clip(ends - np.maximum(blocks, voxels), 0, None)
    return np.asarray(overlap * num_blocks, dtype=np.float32)


def _unit(fingerprints: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
    values = fingerprints.astype(np.float32)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(norms, 1), dtype=np.float32)
