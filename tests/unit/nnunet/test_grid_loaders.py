"""Arrays that were made for another grid are not trained on as if they lay on this one."""

from types import SimpleNamespace

import numpy as np
import pytest

from nnmtl.errors import NnmtlError
from nnmtl.nnunet.center_mix import GridCases
from nnmtl.nnunet.grid_loaders import check_arrays

PROPERTIES = {
    "spacing": [1.0, 3.0, 1.0],
    "shape_after_cropping_and_before_resampling": (20, 30, 30),  # in the plans' axis order
}
SAGITTAL = (1, 0, 2)  # the plans' first axis is the image's second


def part_on(spacing_mm):
    grid = SimpleNamespace(name="3d_fullres_a", spacing_mm=spacing_mm)
    return GridCases(grid=grid, case_ids=("case_1",), chances=None, share=1.0)


def dataset_with(shape):
    case = np.zeros((1, *shape)), None, None, PROPERTIES
    return SimpleNamespace(source_folder="arrays", load_case=lambda _: case)


def test_an_array_with_the_voxels_that_are_planned_passes():
    check_arrays(dataset_with((30, 30, 30)), part_on((2.0, 1.0, 1.0)), SAGITTAL)


def test_an_array_of_another_grid_is_refused_and_the_case_is_named():
    with pytest.raises(NnmtlError, match=r"'case_1' with \[30, 30, 30\] voxels, as 3d_fullres_a"):
        check_arrays(dataset_with((20, 30, 30)), part_on((2.0, 1.0, 1.0)), SAGITTAL)
