"""Which of several lesions the heads look at."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def largest_lesion(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected part of a mask; voxels that share a corner are connected.

    A segmentation's false positives are mostly apart from the tumor: left in, their surroundings
    would mix into every region. Of equally large parts the first in array order stays.

    Args:
        mask: boolean, 2D or 3D.
    """
    parts, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel())[1:]
    return np.asarray(parts == 1 + int(sizes.argmax()))
