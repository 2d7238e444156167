"""Low precision must not break training, whatever the plan's sizes."""

import json
import math

import pytest
import torch

from nnmtl.nnunet.precision import cpu_has_bf16, is_two_slices_deep

pytestmark = pytest.mark.e2e

STRIDES = [[1, 1, 1], [2, 2, 2], [2, 2, 2], [2, 2, 2]]


@pytest.mark.parametrize(
    ("depth", "expected"), [(8, True), (16, True), (12, True), (24, False), (40, False)]
)
def test_two_slices_at_any_stage_are_seen(depth, expected):
    assert is_two_slices_deep([[24, 32, 32], [depth, 32, 32]], STRIDES) is expected


def test_a_plan_with_two_slices_at_the_bottom_trains_to_finite_weights(workspace):
    def flatten(plans):
        configuration = plans["configurations"]["3d_fullres"]
        configuration["patch_size"] = [16, 32, 32]
        configuration["nnmtl"]["roi_size"] = [16, 32, 32]

    workspace.change_plans(flatten)
    fold = workspace.train()
    rows = [json.loads(line) for line in (fold / "task_history.jsonl").read_text().splitlines()]
    assert all(math.isfinite(value) for row in rows for value in row["train"].values())
    weights = torch.load(fold / "checkpoint_final.pth", weights_only=False)["network_weights"]
    assert [name for name, value in weights.items() if value.ndim and value.isnan().any()] == []


@pytest.mark.skipif(not cpu_has_bf16(), reason="needs a processor that has bfloat16")
@pytest.mark.parametrize("size", [(3, 4, 4), (3, 7, 7), (4, 6, 6), (6, 14, 14)])
def test_gradients_in_bfloat16_are_right_at_the_other_depths(size):
    """Uninitialized memory is made visible by filling memory with nan before."""
    for _ in range(4):
        torch.full((500_000,), torch.nan)
        images = torch.randn(2, 32, *size).bfloat16()
        weight = torch.randn(32, 32, 3, 3, 3).bfloat16().requires_grad_()
        output = torch.nn.functional.conv3d(images, weight, padding=1)
        gradient = torch.randn_like(output)
        output.backward(gradient)
        expected = torch.nn.grad.conv3d_weight(
            images.float(), weight.shape, gradient.float(), padding=1
        )
        assert (weight.grad.float() - expected).abs().max() < 0.02 * expected.abs().max()
