import pytest
import torch

from nnmtl.network.attention import MultiScaleAttention


def stages(dimension):
    return [torch.randn(2, 4, *[8] * dimension), torch.randn(2, 6, *[4] * dimension)]


@pytest.mark.parametrize("dimension", [2, 3])
def test_attention_changes_nothing_at_the_start(dimension):
    features = stages(dimension)
    weighted = MultiScaleAttention(2, dimension=dimension)(features)
    for before, after in zip(features, weighted, strict=True):
        torch.testing.assert_close(after, before, rtol=0, atol=0)


def test_every_stage_can_learn_from_the_start():
    attention = MultiScaleAttention(2, dimension=3)
    weighted = attention(stages(3))
    sum(feature.square().sum() for feature in weighted).backward()
    for stage in attention.stages:
        assert stage.convolution.weight.grad.abs().sum() > 0
    with torch.no_grad():
        for index, stage in enumerate(attention.stages):
            stage.convolution.bias.fill_(float(index))
    attention(stages(3))[0].square().sum().backward()
    assert attention.fusion.grad.abs().sum() > 0


def test_a_stage_that_attends_to_a_place_weighs_it_in_all_stages():
    attention = MultiScaleAttention(2, dimension=3)
    with torch.no_grad():
        attention.stages[1].convolution.weight[0, 1, 1, 1, 1] = 5.0  # the maximum, no neighbors
    fine, coarse = torch.ones(1, 2, 8, 8, 8), torch.zeros(1, 2, 4, 4, 4)
    coarse[..., 0, 0, 0] = 3.0
    fine_weighted, _ = attention([fine, coarse])
    assert fine_weighted[0, 0, 0, 0, 0] > 1.9
    assert fine_weighted[0, 0, -1, -1, -1].item() == pytest.approx(1.0)


def test_gradients_flow_to_the_features():
    features = [feature.requires_grad_() for feature in stages(3)]
    sum(feature.sum() for feature in MultiScaleAttention(2, dimension=3)(features)).backward()
    assert all(feature.grad.abs().sum() > 0 for feature in features)
