"""Rates and shares over a run: in their ranges, in one direction, right at both ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnmtl.planning.schedule import head_rate, heads_are_on, true_mask_share

shares = st.floats(0, 1)
STEPS = [step / 400 for step in range(401)]


@pytest.fixture(scope="session")
def plan(make_training):
    def make(warmup=0.3, until=0.6):
        return make_training(warmup_fraction=warmup, true_mask_until=until, lr_heads=0.002)

    return make


def test_heads_are_off_in_the_warm_up_and_on_after_it(plan):
    assert not heads_are_on(0.0, plan())
    assert not heads_are_on(0.299, plan())
    assert heads_are_on(0.3, plan())
    assert heads_are_on(1.0, plan())


def test_without_warm_up_heads_are_on_from_the_start(plan):
    assert heads_are_on(0.0, plan(warmup=0.0))


@given(shares, shares)
def test_the_heads_rate_stays_in_its_range_and_is_0_while_they_are_off(plan, progress, warmup):
    rate = head_rate(progress, plan(warmup=warmup))
    assert 0 <= rate <= 0.002
    if not heads_are_on(progress, plan(warmup=warmup)):
        assert rate == 0


def test_the_heads_rate_rises_once_then_falls_to_0(plan):
    rates = [head_rate(progress, plan()) for progress in STEPS]
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert max(rates) > 0.9 * 0.002
    assert rates[-1] == pytest.approx(0)


def test_the_first_joint_iteration_already_learns(plan):
    assert head_rate(0.3, plan()) > 0


@given(shares, shares, shares)
def test_the_share_of_true_masks_is_a_share_for_any_plan(plan, progress, one, other):
    share = true_mask_share(progress, plan(warmup=min(one, other), until=max(one, other)))
    assert 0 <= share <= 1


def test_true_masks_fade_from_all_to_none(plan):
    values = [true_mask_share(progress, plan()) for progress in STEPS]
    assert values == sorted(values, reverse=True)
    assert true_mask_share(0.3, plan()) == 1
    assert true_mask_share(0.45, plan()) == pytest.approx(0.5)
    assert true_mask_share(0.6, plan()) == 0


def test_true_masks_may_end_at_once(plan):
    assert true_mask_share(0.3, plan(warmup=0.3, until=0.3)) == 0
