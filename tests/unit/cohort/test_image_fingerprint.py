"""A copy is recognized however it was stored; another picture is not taken for one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from nnmtl.cohort.image_fingerprint import (
    area_weights,
    image_fingerprint,
    similarities,
    voxel_hash,
)
from nnmtl.cohort.validation_duplicates import SAME_PICTURE


def picture(seed, shape=(24, 48, 40)):
    """Smooth structures in a body of air: what any two pictures share is the body."""
    random = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij"))
    body = (grid**2).sum(axis=0) < 0.8
    detail = ndimage.gaussian_filter(random.normal(size=shape), 2)
    return (body * (400 + 900 * detail / detail.std())).astype(np.float32)


def similarity(one, other):
    fingerprints = [image_fingerprint(image)[None] for image in (one, other)]
    return float(similarities(*fingerprints)[0, 0])


def as_eight_bits(image):
    low, high = np.percentile(image, (0.5, 99.5))
    return np.clip((image - low) / (high - low) * 255, 0, 255).astype(np.uint8)


def halved(image):
    """Blocks of two voxels along y and x, as a converter that makes images smaller does."""
    depth, height, width = image.shape
    return image.reshape(depth, height // 2, 2, width // 2, 2).mean(axis=(2, 4))


COPIES = {
    "scaled": lambda image: 0.37 * image - 1024,
    "normalized": lambda image: (image - image.mean()) / image.std(),
    "8 bits and another window": as_eight_bits,
    "half the resolution": halved,
    "twice the slices": lambda image: np.repeat(image, 2, axis=0),
    "1.3 times the voxels": lambda image: ndimage.zoom(
        image, 1.3, order=1, mode="nearest", grid_mode=True
    ),
    "noise of 2 %": lambda image: (
        image + 0.02 * np.ptp(image) * np.random.default_rng(0).normal(size=image.shape)
    ),
}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_a_copy_is_recognized(copy):
    image = picture(1)
    assert similarity(image, copy(image)) > SAME_PICTURE


def test_pictures_of_different_content_in_one_body_are_not():
    fingerprints = np.stack([image_fingerprint(picture(seed)) for seed in range(12)])
    between = similarities(fingerprints, fingerprints)[~np.eye(12, dtype=bool)]
    assert between.max() < SAME_PICTURE - 0.1


@settings(max_examples=20, deadline=None)
@given(factor=st.floats(1e-3, 1e3), offset=st.floats(-1e4, 1e4))
def test_a_fingerprint_does_not_depend_on_scale_and_offset(factor, offset):
    image = np.random.default_rng(3).integers(0, 1000, (5, 6, 7)).astype(float)
    assert similarity(image, factor * image + offset) > 0.999


def test_a_constant_image_has_no_fingerprint():
    assert image_fingerprint(np.full((4, 5, 6), 7)) is None


def test_a_flat_image_has_one():
    assert image_fingerprint(picture(1)[12:13]) is not None


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 60), num_blocks=st.integers(1, 60))
def test_blocks_are_means_that_keep_the_mean(size, num_blocks):
    weights = area_weights(size, num_blocks)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-4)
    np.testing.assert_allclose(weights.sum(axis=0), num_blocks / size, rtol=1e-4)


def test_a_hash_knows_values_and_shape_but_not_the_number_type():
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    assert voxel_hash(array) == voxel_hash(array.astype(np.float64))
    assert voxel_hash(array) == voxel_hash(np.asfortranarray(array))
    assert voxel_hash(array) != voxel_hash(array.reshape(3, 2, 4))
    assert voxel_hash(array) != voxel_hash(array[::-1])
