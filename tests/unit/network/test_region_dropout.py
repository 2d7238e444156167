"""Whole regions go, never all of a case, and the mean stays what prediction sees."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnmtl.network.region_dropout import RegionDropout

TOKENS = torch.rand(6, 5, 3) + 1  # no feature is 0 of itself


@settings(deadline=None)  # the first call of torch takes its time
@given(st.floats(0.01, 0.99), st.integers(1, 5))
def test_regions_go_or_stay_whole_and_one_of_every_case_stays(p, num_regions):
    tokens = TOKENS[:, :num_regions]
    ratio = RegionDropout(p)(tokens) / tokens
    stays = ratio[..., 0] > 0
    assert stays.any(1).all()
    factor = ratio[stays][0, 0]
    assert torch.allclose(ratio, (stays * factor)[..., None].expand_as(ratio))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_mean_over_many_draws_is_the_token(p):
    tokens = TOKENS[:1, :3].expand(40_000, -1, -1)
    mean = RegionDropout(p)(tokens).mean(0)
    torch.testing.assert_close(mean, tokens[0], rtol=0.05, atol=0)


def test_the_only_region_of_a_case_is_never_touched():
    torch.testing.assert_close(RegionDropout(0.7)(TOKENS[:, :1]), TOKENS[:, :1])


def test_in_prediction_and_without_probability_nothing_is_dropped_nor_drawn():
    before = torch.get_rng_state()
    assert RegionDropout(0.0)(TOKENS) is TOKENS
    assert RegionDropout(0.9).eval()(TOKENS) is TOKENS
    assert torch.equal(torch.get_rng_state(), before)
