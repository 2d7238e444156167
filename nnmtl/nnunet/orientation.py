"""Which of nnU-Net's readers a dataset's images need, so that their axes mean the same."""

from collections.abc import Iterable
from pathlib import Path

import SimpleITK

from nnmtl.cohort.image_file import read_header

# Turns every image to head up, front, right; array axes are then axial slices, rows, columns.
REORIENTING = "SimpleITKIOWithReorient"
READABLE = (".nii.gz", ".nii", ".mha", ".nrrd")  # by that reader
_AXIAL = ("LR", "AP", "SI")  # of the file's x, y and z axis


def need_reorienting(images: Iterable[Path]) -> bool:
    """Whether some image is not stored in axial slices; the headers are read, up to that one.

    nnU-Net's own reader takes the axes as stored. That serves one center; of several, one with
    sagittal slices would have its slice distance planned as another's row distance.
    """
    return any(not _is_axial(path) for path in images if path.name.casefold().endswith(READABLE))


def _is_axial(path: Path) -> bool:
    to_code = SimpleITK.DICOMOrientImageFilter.GetOrientationFromDirectionCosines
    code = to_code(read_header(path).direction)
    return all(letter in ends for letter, ends in zip(code, _AXIAL, strict=True))
