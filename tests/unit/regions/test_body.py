import numpy as np
import pytest
from scipy import ndimage

from nnmtl.regions.body import body_mask


@pytest.fixture
def scene():
    """Bright gland and dim fat (6 %) in Rician air; a dark hole inside."""
    generator = np.random.default_rng(0)
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, 32)] * 3, indexing="ij")
    radius = np.sqrt(z**2 + y**2 + x**2)
    truth = radius < 0.8
    signal = np.where(radius < 0.8, 60.0, 0.0)
    signal[radius < 0.5] = 1000.0
    signal[radius < 0.15] = 0.0
    noise = generator.normal(0, 5.0, (2, *signal.shape))
    return np.hypot(signal + noise[0], noise[1]), truth


def dice(a, b):
    return 2 * np.sum(a & b) / (np.sum(a) + np.sum(b))


def test_body_includes_suppressed_fat_and_holes_but_no_air(scene):
    image, truth = scene
    assert dice(body_mask(image), truth) > 0.9
    assert body_mask(image)[16, 16, 16]
    assert not body_mask(image)[0, 0, 0]


def test_gain_and_offset_do_not_matter(scene):
    image, _ = scene
    scaled = (image - image.mean()) / image.std()
    assert dice(body_mask(image), body_mask(scaled)) > 0.999


def test_noise_free_background_is_air():
    image = np.zeros((8, 20, 20))
    image[:, 5:15, 5:15] = np.random.default_rng(0).uniform(50, 100, (8, 10, 10))
    body = body_mask(image)
    assert body[:, 5:15, 5:15].all()
    assert not body[:, :3].any()


def test_a_crop_without_air_is_nearly_all_body():
    image = np.random.default_rng(0).normal(100, 15, (16, 16, 16))
    assert body_mask(image).mean() > 0.9


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_a_constant_image_is_all_body(value):
    assert body_mask(np.full((4, 5, 6), value)).all()


def test_entries_that_are_not_finite_are_air(scene):
    image, _ = scene
    image[:, :3] = np.nan
    assert not body_mask(image)[:, :2].any()


def test_two_dimensions_work(scene):
    image, truth = scene
    assert dice(body_mask(image[16]), truth[16]) > 0.9


def test_what_a_slice_encloses_is_body_and_what_opens_to_its_edge_is_not():
    image = np.zeros((9, 40, 40))
    image[:, 8:32, 8:32] = np.random.default_rng(0).uniform(50, 100, (9, 24, 24))
    image[:, 15:25, 15:25] = 0
    image[3:6, 15:25, 15:] = 0
    found = body_mask(image)
    np.testing.assert_array_equal(found[[0, 4, 8], 20, 20], [True, False, True])
    np.testing.assert_array_equal(found, [ndimage.binary_fill_holes(one) for one in found])
