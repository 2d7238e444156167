import dataclasses

import numpy as np
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

from nnmtl.cohort.image_file import ImageHeader
from nnmtl.dataset_conversion._image_grid import grid_of_image, is_same_grid, resampled, to_image

STILL = SimpleITK.Transform(3, SimpleITK.sitkIdentity)


@pytest.fixture
def grid():
    direction = Rotation.random(random_state=2).as_matrix()
    return ImageHeader(
        size=(9, 8, 7),
        spacing_mm=(0.7, 0.9, 2.0),
        origin_mm=(-5.0, 3.0, 8.0),
        direction=tuple(direction.ravel().tolist()),
    )


@pytest.fixture
def voxels():
    return np.random.default_rng(0).normal(100, 30, (7, 8, 9)).astype(np.float32)


def test_a_grid_survives(grid, voxels):
    assert is_same_grid(grid_of_image(to_image(voxels, grid)), grid)


@pytest.mark.parametrize(
    "change",
    [
        {"size": (9, 8, 6)},
        {"spacing_mm": (0.7, 0.9, 2.001)},
        {"origin_mm": (-5.0, 3.01, 8.0)},
        {"direction": tuple(np.eye(3).ravel().tolist())},
    ],
)
def test_grids_differ_by_each_of_their_numbers(grid, change):
    assert not is_same_grid(grid, dataclasses.replace(grid, **change))


def test_a_whole_voxel_further_the_values_are_the_same_and_outside_is_0(grid, voxels):
    step = np.array(grid.direction).reshape(3, 3)[:, 0] * grid.spacing_mm[0]
    moved = SimpleITK.TranslationTransform(3, step.tolist())
    found, outside = resampled(to_image(voxels, grid), grid, moved)
    np.testing.assert_allclose(found[..., :-1], voxels[..., 1:], atol=0.01)
    assert (found[..., -1] == 0).all()
    assert outside == pytest.approx(1 / 9)


def test_resampling_makes_no_value_that_the_image_has_not(grid, voxels):
    voxels = np.where(voxels > 100, 1000, 0).astype(np.int16)
    finer = dataclasses.replace(grid, size=(18, 16, 13), spacing_mm=(0.35, 0.45, 1.0))
    found, _ = resampled(to_image(voxels, grid), finer, STILL)
    assert found.min() >= 0
    assert found.max() <= 1000
