"""Statistics of small structures: what they see, and what must not change them."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from nnmtl.network.detail import HEIGHTS, DetailStatistics, opening, relative_to_tumor

SPACING_MM = (2.0, 1.0, 1.0)
SHAPE = (20, 40, 40)


@pytest.fixture
def scene():
    """A bright ball as tumor on noisy tissue, and the shell of 2 to 8 mm around it."""
    grid = np.meshgrid(*[np.arange(n) * s for n, s in zip(SHAPE, SPACING_MM, strict=True)],
                       indexing="ij")  # fmt: skip
    distance = np.sqrt(sum((g - m) ** 2 for g, m in zip(grid, (20, 20, 20), strict=True))) - 7
    rng = np.random.default_rng(0)
    image = 100 + 5 * rng.standard_normal(SHAPE) + 300 * (distance < 0)
    image[:, 0] = 0  # air
    shells = np.stack([distance < -2.5, (distance > 2) & (distance < 8)]).astype(np.float32)
    return (
        torch.from_numpy(image).float()[None, None],
        torch.from_numpy(shells)[None],
        torch.from_numpy(distance < 0)[None],
    )


def describe(scene, spacing_mm=SPACING_MM):
    image, shells, tumor = scene
    statistics = DetailStatistics(image.shape[1], shells.shape[1])
    result = statistics(image, shells, tumor, spacing_mm)
    assert result.shape == (1, statistics.num_features)
    assert torch.isfinite(result).all()
    return result.view(image.shape[1], shells.shape[1], -1)


def test_gain_and_offset_of_a_scanner_change_nothing(scene):
    image, shells, tumor = scene
    other = describe((3.5 * image + 40, shells, tumor))
    torch.testing.assert_close(describe(scene), other, rtol=1e-3, atol=1e-3)


def test_the_opening_is_scipys():
    image = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    expected = ndimage.grey_opening(image, (3, 5, 5))
    found = opening(torch.from_numpy(image), 5.0, SPACING_MM).numpy()
    inner = (slice(4, -4),) * 3  # at the edges scipy mirrors
    np.testing.assert_array_equal(found[inner], expected[inner])


def test_the_tumor_is_level_one_and_air_zero(scene):
    level = relative_to_tumor(scene[0][0, 0], scene[2][0])
    assert float(level[scene[2][0]].median()) == pytest.approx(1, abs=1e-5)
    assert float(level[:, 0].max()) == pytest.approx(0, abs=0.02)


def test_separate_bright_spots_are_counted(scene):
    image, _, _ = scene
    places = [(10, 20, 32), (10, 20, 8), (10, 32, 20), (5, 20, 20)]
    counts = []
    for number in range(len(places) + 1):
        for place in places[:number]:
            image[(0, 0, *place)] = 500
        counts.append(np.expm1(float(describe(scene)[0, 1, _spot_index(0, HEIGHTS.index(0.45))])))
    np.testing.assert_allclose(counts, range(len(places) + 1), atol=1e-4)


def _spot_index(width, height):
    """Position of the count of spots within a region: see `_views`, one block per view."""
    level, band = 9 + 2 * 9, 9
    bright = 9 + 2 * len(HEIGHTS)
    return level + 4 * band + bright + width * (bright + len(HEIGHTS)) + height


def test_a_missing_channel_and_an_empty_region_give_zeros(scene):
    image, shells, tumor = scene
    shells[:, 1] = 0
    result = describe((torch.cat([image, torch.zeros_like(image)], 1), shells, tumor))
    assert (result[0, 0] != 0).any()
    assert (result[0, 1] == 0).all()
    assert (result[1] == 0).all()


def test_without_a_tumor_all_is_zero(scene):
    image, shells, tumor = scene
    assert (describe((image, shells, torch.zeros_like(tumor))) == 0).all()


def test_slices_are_described_as_well(scene):
    image, shells, tumor = (each[..., 10, :, :] for each in scene)
    assert (describe((image, shells, tumor), SPACING_MM[1:]) != 0).any()
