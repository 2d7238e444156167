"""Puts a file of the source into the dataset: linked or copied as it is, or written anew."""

import gzip
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK

from nnmtl.cohort.image_file import ImageHeader, check_whole, read_image
from nnmtl.errors import NnmtlError

_NO_ORIGIN_MM = (0.0, 0.0, 0.0)
_NO_ROTATION = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
_COMPRESSION = 6  # gzip's own default; Python's 9 takes twice as long for 1 % less


def place_file(
    path: Path,
    target: Path,
    *,
    with_copies: bool,
    values: Mapping[int, int] | None = None,
    slices_first_mm: tuple[float, float, float] | None = None,
) -> None:
    """Links or copies a file; writes it anew where voxels, grid or compression change.

    Args:
        path: of the source.
        target: in the dataset.
        with_copies: whether to copy what could be linked.
        values: the new value of each value of a mask; None to keep them.
        slices_first_mm: the spacing (z, y, x) of an image whose file tells no grid and has the
            axes in this order; None where the file tells it.

    Raises:
        NnmtlError: if a mask has another value, the file is damaged, or it cannot be linked.
    """
    if values is not None and all(value == label for value, label in values.items()):
        values = None
    if values is not None or slices_first_mm is not None:
        image = read_image(path)
        if values is not None:
            image = _relabeled(image, values, path)
        if slices_first_mm is not None:
            image = _with_grid(image, slices_first_mm)
        SimpleITK.WriteImage(image, str(target), useCompression=True)
    elif path.suffix == ".nii":
        check_whole(path)
        with path.open("rb") as plain, gzip.open(target, "wb", _COMPRESSION) as packed:
            shutil.copyfileobj(plain, packed)
    elif with_copies:
        shutil.copyfile(path, target)
    else:
        _link(path, target)


def grid_of_slices_first(
    header: ImageHeader, slices_first_mm: tuple[float, float, float]
) -> ImageHeader:
    """The grid that `place_file` writes for an image of this header."""
    return ImageHeader(
        size=header.size[::-1],
        spacing_mm=slices_first_mm[::-1],
        origin_mm=_NO_ORIGIN_MM,
        direction=_NO_ROTATION,
    )


def _relabeled(image: SimpleITK.Image, values: Mapping[int, int], path: Path) -> SimpleITK.Image:
    array = SimpleITK.GetArrayViewFromImage(image)
    labels = np.zeros(array.shape, np.uint8)
    num_known = 0
    for value, label in values.items():
        is_value = array == value
        num_known += int(np.count_nonzero(is_value))
        labels[is_value] = label
    if num_known < array.size:
        others = sorted(set(np.unique(array).tolist()) - set(values))
        raise NnmtlError(
            f"{path}: expected the values {', '.join(map(str, sorted(values)))} in the mask, got "
            f"{', '.join(f'{value:g}' for value in others)}; correct the mask."
        )
    relabeled = SimpleITK.GetImageFromArray(labels)
    relabeled.CopyInformation(image)
    return relabeled


def _with_grid(
    image: SimpleITK.Image, slices_first_mm: tuple[float, float, float]
) -> SimpleITK.Image:
    turned = SimpleITK.PermuteAxes(image, [2, 1, 0])
    turned.SetSpacing(slices_first_mm[::-1])
    turned.SetOrigin(_NO_ORIGIN_MM)
    turned.SetDirection(_NO_ROTATION)
    return turned


def _link(path: Path, target: Path) -> None:
    try:
        target.symlink_to(path.resolve())
    except OSError as error:
        raise NnmtlError(f"{target}: cannot be linked ({error}); convert with --copy.") from error
