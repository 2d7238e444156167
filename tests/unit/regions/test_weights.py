import math

import numpy as np
import pytest
import torch

from nnmtl.errors import NnmtlError
from nnmtl.regions.distance import signed_distance_mm
from nnmtl.regions.weights import (
    CORE,
    DEFAULT_REGIONS,
    DISTANT,
    PERITUMORAL,
    RIM,
    Region,
    adapt_to_depth,
    parse_region,
    reference_weights,
    region_label_map,
    region_reach_mm,
    region_to_json,
    region_weights,
)

SPACING_MM = (2.0, 1.0, 1.0)
SHELLS = (CORE, RIM, PERITUMORAL, DISTANT)


def ball(radius_mm, shape=(24, 48, 48)):
    axes = [
        (np.arange(size) - size // 2) * step for size, step in zip(shape, SPACING_MM, strict=True)
    ]
    return sum(np.square(axis) for axis in np.meshgrid(*axes, indexing="ij")) < radius_mm**2


def distances(*radii_mm):
    return torch.from_numpy(
        np.stack([signed_distance_mm(ball(radius), SPACING_MM) for radius in radii_mm])
    )


def test_core_and_rim_add_up_to_the_soft_tumor():
    distance = distances(10, 3)
    core, rim = region_weights(distance, (CORE, RIM)).unbind(1)
    torch.testing.assert_close(core + rim, torch.sigmoid(-distance / 0.7))


def test_shells_from_inside_to_far_away_add_up_to_one():
    shells = (*SHELLS, Region("rest", 10.0, math.inf))
    total = region_weights(distances(8), shells).sum(1)
    torch.testing.assert_close(total, torch.ones_like(total))


def test_weights_are_between_zero_and_one_and_half_on_a_boundary():
    distance = torch.tensor([[-20.0, -2.5, 0.0, 5.0, 30.0]])
    weights = region_weights(distance, DEFAULT_REGIONS)[0]
    assert weights.min() >= 0
    assert weights.max() <= 1
    torch.testing.assert_close(weights[0, 1], torch.tensor(0.5))
    torch.testing.assert_close(weights[2, 3], torch.tensor(0.5), atol=1e-3, rtol=0)
    assert weights[:, 4].max() < 1e-6


def test_hard_shells_hold_their_lower_end_only():
    distance = torch.tensor([[-20.0, -2.5, -0.1, 0.0, 4.9, 5.0]])
    weights = region_weights(distance, DEFAULT_REGIONS, softness_mm=0.0)[0]
    assert weights.argmax(0).tolist()[:5] == [0, 1, 1, 2, 2]
    assert weights[:, 5].sum() == 0


@pytest.mark.parametrize("radius_mm", [0.5, 1.5, 3.0, 10.0])
def test_every_tumor_keeps_a_core(radius_mm):
    label_map = region_label_map(ball(radius_mm), SPACING_MM, DEFAULT_REGIONS)
    assert np.any(label_map == 1)
    assert region_weights(distances(radius_mm), DEFAULT_REGIONS)[0, 0].max() > 0.5


def test_rim_width_is_two_fifths_of_a_small_depth():
    distance = torch.tensor([[-20.0, 5.0], [-2.0, 5.0], [math.inf, math.inf]])
    torch.testing.assert_close(adapt_to_depth(distance), torch.tensor([2.5, 0.8, 0.0]))


def test_several_inner_shells_shrink_in_proportion():
    shells = (Region("a", -math.inf, -4.0), Region("b", -4.0, -2.0), Region("c", -2.0, 0.0))
    distance = torch.tensor([[-5.0, -1.9, -1.5, -0.9, 1.0]])  # depth 5: boundaries at -2 and -1
    assert region_weights(distance, shells, softness_mm=0.0)[0].T.tolist() == [
        [1, 0, 0],
        [0, 1, 0],
        [0, 1, 0],
        [0, 0, 1],
        [0, 0, 0],
    ]


def test_an_empty_mask_has_no_region_and_leaves_its_neighbors_alone():
    alone = distances(6)
    with_empty = torch.cat([alone, torch.full_like(alone, math.inf)])
    shells = (*SHELLS, Region("rest", 10.0, math.inf))
    weights = region_weights(with_empty, shells, body=torch.ones_like(with_empty))
    assert weights[1].abs().max() == 0
    torch.testing.assert_close(weights[:1], region_weights(alone, shells))


def test_a_full_mask_is_all_core():
    weights = region_weights(torch.full((1, 3, 3), -math.inf), SHELLS)
    assert torch.all(weights[:, 0] == 1)
    assert torch.all(weights[:, 1:] == 0)


def test_body_clips_shells_outside_but_never_the_tumor():
    distance = distances(8)
    body = torch.zeros_like(distance, dtype=torch.bool)
    body[..., :30] = True
    free, clipped = region_weights(distance, SHELLS), region_weights(distance, SHELLS, body=body)
    torch.testing.assert_close(clipped[:, :2], free[:, :2])
    assert (
        clipped[:, 2:][..., 30:][(distance[..., 30:] > 0)[:, None].expand(-1, 2, -1, -1, -1)].sum()
        == 0
    )
    torch.testing.assert_close(clipped[..., :30], free[..., :30])


def test_a_planned_reach_changes_no_weight():
    mask, shells = ball(6), (CORE, RIM, PERITUMORAL)
    reach_mm = region_reach_mm(shells)
    near = torch.from_numpy(signed_distance_mm(mask, SPACING_MM, reach_mm=reach_mm))[None]
    torch.testing.assert_close(
        region_weights(near, shells), region_weights(distances(6), shells), atol=1e-4, rtol=0
    )


def test_half_precision_distance_gives_single_precision_weights():
    assert region_weights(distances(6).half(), SHELLS).dtype == torch.float32


def test_two_dimensional_batches_work():
    disc = signed_distance_mm(ball(8)[12], SPACING_MM[1:])
    assert region_weights(torch.from_numpy(disc)[None], SHELLS).shape == (1, 4, 48, 48)


def test_label_map_numbers_regions_in_order_and_covers_the_mask():
    label_map = region_label_map(ball(9), SPACING_MM, SHELLS)
    assert label_map.dtype == np.uint8
    assert np.array_equal((label_map == 1) | (label_map == 2), ball(9))
    assert set(np.unique(label_map)) == {0, 1, 2, 3, 4}


def test_label_map_gives_overlap_to_the_first_region():
    whole = Region("tumor", -math.inf, 0.0)
    assert np.array_equal(region_label_map(ball(9), SPACING_MM, (whole, RIM)) == 1, ball(9))


def test_label_map_without_regions_is_zero():
    label_map = region_label_map(ball(9), SPACING_MM, ())
    assert label_map.shape == ball(9).shape
    assert not label_map.any()


def test_label_map_of_an_empty_mask_is_zero():
    assert region_label_map(np.zeros((4, 4), dtype=bool), (1, 1), DEFAULT_REGIONS).sum() == 0


def test_label_map_volume_matches_the_shell():
    label_map = region_label_map(ball(9), SPACING_MM, DEFAULT_REGIONS)
    expected = 4 / 3 * np.pi * (14**3 - 9**3)
    assert np.sum(label_map == 3) * np.prod(SPACING_MM) == pytest.approx(expected, rel=0.06)


def test_reference_is_body_tissue_far_from_the_tumor():
    distance = torch.tensor([[-3.0, 5.0, 13.0, 14.0], [math.inf] * 4])
    body = torch.tensor([[1, 1, 1, 0], [1, 0, 1, 1]]).bool()
    expected = [[0, 0, 1, 0], [1, 0, 1, 1]]
    assert reference_weights(distance, body=body).tolist() == expected


@pytest.mark.parametrize("region", [*SHELLS, Region("rest", 10.0, math.inf)])
def test_region_survives_a_json_round_trip(region):
    assert parse_region(region_to_json(region)) == region


def test_open_ends_are_null_in_json():
    assert region_to_json(CORE) == {"name": "core", "inner_mm": None, "outer_mm": -2.5}


@pytest.mark.parametrize(
    ("entry", "match"),
    [
        ({"name": "a", "inner_mm": 0}, "exactly the keys"),
        ({"name": "a", "inner_mm": 0, "outer_mm": 1, "width": 1}, "exactly the keys"),
        ({"name": "a", "inner_mm": "0", "outer_mm": 1}, "number or null"),
        ({"name": "a", "inner_mm": 2, "outer_mm": 1}, "inner_mm < outer_mm"),
        ({"name": "", "inner_mm": 0, "outer_mm": 1}, "needs a name"),
    ],
)
def test_malformed_region_is_refused(entry, match):
    with pytest.raises(NnmtlError, match=match):
        parse_region(entry)
