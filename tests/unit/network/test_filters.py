import numpy as np
import pytest
import torch
from scipy import ndimage

from nnmtl.network.filters import blur, maximum

SHAPE = (5, 24, 31)
SPACING_MM = (3.0, 1.0, 0.7)


@pytest.fixture
def image():
    return np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)


@pytest.mark.parametrize("sd_mm", [0.7, 2.0, 8.0])
def test_the_blur_is_scipys(image, sd_mm):
    expected = image.astype(np.float64)
    for axis, spacing in enumerate(SPACING_MM):
        sd = sd_mm / spacing
        expected = ndimage.gaussian_filter1d(
            expected, sd, axis=axis, mode="nearest", radius=max(1, round(3 * sd))
        )
    found = blur(torch.from_numpy(image), sd_mm, SPACING_MM)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_a_blur_by_nothing_changes_nothing(image):
    assert torch.equal(blur(torch.from_numpy(image), 0.0, SPACING_MM), torch.from_numpy(image))


@pytest.mark.parametrize(("width_mm", "voxels"), [(3.0, (1, 3, 5)), (40.0, (13, 41, 57))])
def test_the_maximum_is_scipys_even_beyond_the_image(image, width_mm, voxels):
    found = maximum(torch.from_numpy(image), width_mm, SPACING_MM).numpy()
    np.testing.assert_array_equal(found, ndimage.maximum_filter(image, voxels, mode="nearest"))


def test_the_image_itself_stays(image):
    given = torch.from_numpy(image.copy())
    maximum(given, 5.0, SPACING_MM)
    np.testing.assert_array_equal(given.numpy(), image)
