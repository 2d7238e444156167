import numpy as np
import pytest
import torch

from nnmtl.regions.distance import signed_distance_mm
from nnmtl.regions.jitter import jitter_distance

SPACING_MM = (2.0, 1.0, 1.0)


@pytest.fixture
def distance():
    grid = np.meshgrid(*[np.arange(-12.0, 13.0) * step for step in SPACING_MM], indexing="ij")
    return signed_distance_mm(sum(np.square(axis) for axis in grid) < 64.0, SPACING_MM)


def test_displacement_has_the_given_standard_deviation(distance):
    batch = torch.from_numpy(distance)[None].repeat(300, 1, 1, 1)
    shift = jitter_distance(batch, SPACING_MM, sd_mm=0.5) - batch
    assert abs(float(shift.mean())) < 0.08
    assert float(shift.std()) == pytest.approx(0.5, rel=0.12)


def test_displacement_wobbles_smoothly_within_a_case(distance):
    generator = np.random.default_rng(1)
    shift = jitter_distance(distance, SPACING_MM, sd_mm=1.0, generator=generator) - distance
    assert shift.std() > 0.2
    assert np.abs(np.diff(shift, axis=2)).max() < 0.6  # mm per voxel: no torn surface


@pytest.mark.parametrize("sd_mm", [1.0, 10.0])
def test_no_tumor_vanishes(distance, sd_mm):
    batch = torch.from_numpy(distance)[None].repeat(50, 1, 1, 1)
    jittered = jitter_distance(batch, SPACING_MM, sd_mm=sd_mm)
    assert bool((jittered < 0).flatten(1).any(1).all())


def test_dice_with_the_original_falls_like_a_predicted_mask(distance):
    batch = torch.from_numpy(distance)[None].repeat(50, 1, 1, 1)
    a, b = batch < 0, jitter_distance(batch, SPACING_MM, sd_mm=1.0) < 0
    dice = 2 * (a & b).flatten(1).sum(1) / (a.flatten(1).sum(1) + b.flatten(1).sum(1))
    assert 0.75 < float(dice.mean()) < 0.95


@pytest.mark.parametrize("make", [np.random.default_rng, torch.Generator().manual_seed])
def test_same_generator_state_gives_the_same_surface(distance, make):
    first = jitter_distance(distance, SPACING_MM, sd_mm=1.0, generator=make(5))
    again = jitter_distance(distance, SPACING_MM, sd_mm=1.0, generator=make(5))
    assert np.array_equal(first, again)


def test_cases_of_a_batch_move_independently(distance):
    batch = torch.from_numpy(distance)[None].repeat(2, 1, 1, 1)
    first, second = jitter_distance(batch, SPACING_MM, sd_mm=1.0)
    assert not torch.allclose(first, second)


def test_infinite_distances_stay():
    empty = torch.full((1, 4, 4), torch.inf)
    assert torch.equal(jitter_distance(empty, (1.0, 1.0), sd_mm=1.0), empty)


def test_no_deviation_returns_the_distance_itself(distance):
    assert jitter_distance(distance, SPACING_MM, sd_mm=0.0) is distance


def test_array_gives_array_of_the_same_kind(distance):
    before = distance.copy()
    jittered = jitter_distance(distance, SPACING_MM, sd_mm=1.0)
    assert jittered.dtype == np.float32
    assert jittered.shape == distance.shape
    assert np.array_equal(distance, before)
