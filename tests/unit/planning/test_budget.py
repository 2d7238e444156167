"""What a machine changes of a preset: nothing by default, never to more, and with a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnmtl.errors import NnmtlError
from nnmtl.planning.budget import Budget, cpu_unet, roi_voxels_within, within_budget
from nnmtl.planning.preset import load_preset, preset_names

PLAIN = [name for name in preset_names() if not load_preset(name).unet.get("residual")]


@pytest.mark.parametrize("name", preset_names())
def test_without_a_budget_a_preset_stays_as_it_is(name):
    preset = load_preset(name)
    assert within_budget(preset, Budget()) == within_budget(preset, Budget(memory_gb=8))
    narrowed = within_budget(preset, Budget())
    assert (narrowed.preset, narrowed.decisions) == (preset, ())


@pytest.mark.parametrize("name", PLAIN)
def test_a_cpu_makes_nothing_larger_and_says_what_it_made_smaller(name):
    preset = load_preset(name)
    narrowed = within_budget(preset, Budget(device="cpu"))
    changed = set()
    for before, after in (
        (preset.unet, narrowed.preset.unet),
        (preset.training, narrowed.preset.training),
    ):
        for key, value in after.items():
            if before.get(key) != value:
                changed.add(f"{key} {value}")
                assert before.get(key) is None or value < before[key]
    assert changed == {decision.subject for decision in narrowed.decisions}
    assert all(decision.reason and decision.otherwise for decision in narrowed.decisions)


def test_the_laptop_preset_is_within_the_budget_of_a_cpu():
    preset = load_preset("tiny_cpu")
    assert within_budget(preset, Budget(device="cpu")).preset == preset


@given(st.dictionaries(st.sampled_from(["base_features", "max_stages"]), st.integers(1, 64)))
def test_limits_hold_once_and_for_all(unet):
    once = cpu_unet(unet)
    assert cpu_unet(once) == once


@given(st.floats(1, 80), st.floats(1, 80))
def test_more_memory_never_shrinks_the_region_of_interest(one, other):
    low, high = sorted((one, other))
    assert roi_voxels_within(500_000, low) <= roi_voxels_within(500_000, high) <= 500_000
    assert roi_voxels_within(500_000, 4.0) == 250_000


@pytest.mark.parametrize("memory_gb", [0.5, 0.0, -1.0, float("nan"), float("inf")])
def test_a_memory_that_holds_no_patch_is_refused(memory_gb):
    with pytest.raises(NnmtlError, match=r"--memory-gb .*expected a finite number of at least 1"):
        Budget(memory_gb=memory_gb)


def test_a_pretrained_encoder_is_refused_on_a_cpu():
    with pytest.raises(NnmtlError, match="train it on a GPU"):
        within_budget(load_preset("foundation"), Budget(device="cpu"))
