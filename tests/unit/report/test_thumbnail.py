"""The picture shows the right slice, the right way up, with the outline around the tumor."""

import io

import numpy as np
import pytest
from matplotlib.image import imread

from nnmtl.report import thumbnail
from nnmtl.report.thumbnail import draw_thumbnail

SHAPE = (20, 60, 60)


def drawn(channels, tumor, spacing_mm=(3.0, 1.0, 1.0)):
    encoded = draw_thumbnail(channels, tumor, spacing_mm)
    return imread(io.BytesIO(encoded), format="jpg").astype(int)


def box(*edges):
    tumor = np.zeros(SHAPE, bool)
    tumor[tuple(slice(*edge) for edge in edges)] = True
    return tumor


def is_outline(picture):
    """Pixels that are blue rather than gray."""
    return picture[:, :, 2] - picture[:, :, 0] > 60


def test_the_slice_with_most_tumor_is_shown_in_gray_levels():
    image = np.zeros(SHAPE)
    image[7, 30:] = 100
    tumor = box((6, 7), (10, 12), (10, 12)) | box((7, 8), (5, 50), (5, 50))
    picture = drawn([image], tumor)
    assert picture.shape == (240, 240, 3)
    assert picture[60, 120].mean() < 30
    assert picture[150, 120].mean() > 220


def test_the_outline_lies_around_the_tumor():
    found = np.argwhere(is_outline(drawn([np.zeros(SHAPE)], box((7, 8), (10, 50), (20, 50)))))
    assert np.abs(found.min(axis=0) - [39, 79]).max() <= 2
    assert np.abs(found.max(axis=0) - [200, 200]).max() <= 2


def test_a_tumor_of_one_voxel_is_seen_and_shown_large():
    picture = drawn([np.zeros((20, 600, 600))], np.pad(box((7, 8), (30, 31), (30, 31)),
                    ((0, 0), (0, 540), (0, 540))))  # fmt: skip
    whole, surroundings = picture[:, :170], picture[:, 170:]
    assert is_outline(whole).any()
    assert is_outline(surroundings).sum() > is_outline(whole).sum()


def test_without_tumor_the_middle_is_shown_without_outline():
    image = np.zeros(SHAPE)
    image[10, 30:] = 100
    picture = drawn([image], np.zeros(SHAPE, bool))
    assert not is_outline(picture).any()
    assert picture[180, 120].mean() > 220


def test_proportions_are_true_and_the_head_is_up():
    image = np.zeros((30, 40, 10))
    image[20:] = 100  # toward the head
    picture = drawn([image], np.zeros(image.shape, bool), (1.0, 1.0, 5.0))
    rows = np.flatnonzero(picture[:, 120].mean(axis=1) > 128)
    columns = np.flatnonzero(picture[rows].mean(axis=(0, 2)) > 128)
    assert rows.min() < 40
    assert rows.max() < 100
    assert len(columns) == pytest.approx(240, abs=2)
    assert len(rows) == pytest.approx(240 * 10 / 40, abs=2)


@pytest.mark.parametrize("num_channels", [1, 2, 3, 4, 9])
def test_a_picture_of_noise_is_small(num_channels):
    random = np.random.default_rng(0)
    channels = [random.normal(size=(3, 256, 256)) for _ in range(num_channels)]
    tumor = np.zeros((3, 256, 256), bool)
    tumor[1, 100:110, 100:110] = True
    assert len(draw_thumbnail(channels, tumor, (3.0, 1.0, 1.0))) <= thumbnail._MOST_BYTES


@pytest.mark.parametrize("shape", [(1, 40, 30), (40, 30, 1), (1, 1, 1), (2, 3, 500)])
def test_any_shape_is_drawn(shape):
    assert drawn([np.ones(shape)], np.ones(shape, bool), (1.0, 1.0, 1.0)).size > 0
