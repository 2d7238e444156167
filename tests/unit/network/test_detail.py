"""Statistics of small structures: what they see, and what must not change them."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from nnmtl.network.detail import HEIGHTS, PER_REGION
from nnmtl.network.filters import opening, relative_to_tumor
from nnmtl.network.spots import thin_shells
from nnmtl.network.structures import StructureStatistics
from nnmtl.planning.architecture import RegionPlan

SPACING_MM = (2.0, 1.0, 1.0)
SHAPE = (20, 40, 40)


def region(inner_mm, outer_mm):
    return RegionPlan(name="some", inner_mm=inner_mm, outer_mm=outer_mm)


REGIONS = (region(None, -2.5), region(2.0, 8.0))


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
        torch.from_numpy(distance).float()[None],
    )


def measure(scene, spacing_mm=SPACING_MM, tumor=None):
    """Per region (C, R, F), and the spots on shells (C, F)."""
    image, shells, distance = scene
    statistics = StructureStatistics(image.shape[1], REGIONS)
    tumor = distance < 0 if tumor is None else tumor
    result = statistics(image, shells, distance, tumor, distance > -np.inf, spacing_mm)
    assert result.shape == (1, statistics.num_features)
    assert torch.isfinite(result).all()
    per_channel = result.view(image.shape[1], -1)
    per_region = len(REGIONS) * PER_REGION
    regions = per_channel[:, :per_region].view(image.shape[1], len(REGIONS), -1)
    return regions, per_channel[:, per_region:]


def describe(scene, spacing_mm=SPACING_MM, tumor=None):
    return measure(scene, spacing_mm, tumor)[0]


def test_gain_and_offset_of_a_scanner_change_nothing(scene):
    image, shells, distance = scene
    for found, other in zip(
        measure(scene), measure((3.5 * image + 40, shells, distance)), strict=True
    ):
        torch.testing.assert_close(found, other, rtol=1e-3, atol=1e-3)


def test_the_opening_is_scipys():
    image = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    expected = ndimage.grey_opening(image, (3, 5, 5))
    found = opening(torch.from_numpy(image), 5.0, SPACING_MM).numpy()
    inner = (slice(4, -4),) * 3  # at the edges scipy mirrors
    np.testing.assert_array_equal(found[inner], expected[inner])


def test_the_tumor_is_level_one_and_air_zero(scene):
    tumor = scene[2][0] < 0
    level = relative_to_tumor(scene[0][0, 0], tumor)
    assert float(level[tumor].median()) == pytest.approx(1, abs=1e-5)
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


def test_a_line_that_leaves_the_tumor_is_a_spot_on_every_shell(scene):
    image, _, _ = scene
    counts = []
    for number, axis_step in enumerate(((0, 1), (0, -1), (1, 0))):
        y, x = (20 + 8 * axis_step[0], 20 + 8 * axis_step[1])
        counts.append(_on_shells(scene))
        for step in range(8):  # from 8 to 15 mm from the middle: shells of 2 to 8 mm
            image[0, 0, 10, y + step * axis_step[0], x + step * axis_step[1]] = 500 + step
        assert number == pytest.approx(counts[-1], abs=1e-4)
    assert _on_shells(scene) == pytest.approx(3, abs=1e-4)


def _on_shells(scene):
    """Mean number of spots on a shell, of the level's narrow top-hat, above the greatest height."""
    return np.expm1(float(measure(scene)[1][0, HEIGHTS.index(0.45)]))


def test_shells_lie_outside_the_tumor_and_within_their_region():
    assert thin_shells(region(0.0, 5.0)) == [(3, 5), (1, 3)]
    assert thin_shells(region(5.0, 10.0)) == [(8, 10), (6, 8)]
    for inner, outer in ((None, -2.5), (-2.5, 0.0), (5.0, None), (None, None), (0.0, 1.5)):
        assert thin_shells(region(inner, outer)) == []


def test_a_missing_channel_and_an_empty_region_give_zeros(scene):
    image, shells, distance = scene
    shells[:, 1] = 0
    regions, spots = measure((torch.cat([image, torch.zeros_like(image)], 1), shells, distance))
    assert (regions[0, 0] != 0).any()
    assert (regions[0, 1] == 0).all()
    assert (regions[1] == 0).all()
    assert (spots[1] == 0).all()


def test_without_a_tumor_all_is_zero(scene):
    found = measure(scene, tumor=torch.zeros_like(scene[2], dtype=torch.bool))
    assert all((each == 0).all() for each in found)


def test_slices_are_described_as_well(scene):
    image, shells, distance = (each[..., 10, :, :] for each in scene)
    assert (describe((image, shells, distance), SPACING_MM[1:]) != 0).any()
