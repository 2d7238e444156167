"""Region pooling against direct computation on the voxels of the region."""

import pytest
import torch

from nnmtl.network.pooling import RegionPooling, resize_weights

SHAPE = (6, 7, 8)
CHANNELS = 5


@pytest.fixture
def pooling():
    return RegionPooling(CHANNELS)


@pytest.fixture
def features():
    return 3 + 2 * torch.randn(2, CHANNELS, *SHAPE)


@pytest.fixture
def weights():
    """Two hard regions of each case."""
    inside = torch.rand(2, 1, *SHAPE) < 0.3
    return torch.cat([inside, ~inside], dim=1).float()


def test_mean_and_spread_are_those_of_the_voxels_of_a_hard_region(pooling, features, weights):
    pooled = pooling(features, weights)
    for case in range(2):
        for region in range(2):
            voxels = features[case][:, weights[case, region].bool()]
            mean, spread = pooled[case, region, : 2 * CHANNELS].chunk(2)
            torch.testing.assert_close(mean, voxels.mean(1))
            torch.testing.assert_close(spread, voxels.std(1, correction=0))


def test_attended_features_are_a_weighted_mean_of_the_regions_voxels(pooling, features, weights):
    with torch.no_grad():
        pooling.score.weight.mul_(2)
    attended = pooling(features, weights)[..., 2 * CHANNELS :]
    for case in range(2):
        voxels = features[case][:, weights[case, 0].bool()].T
        score = pooling.score(
            torch.tanh(pooling.value(voxels)) * torch.sigmoid(pooling.gate(voxels))
        )
        direct = (torch.softmax(score, 0) * voxels).sum(0)
        torch.testing.assert_close(attended[case, 0], direct, rtol=1e-4, atol=1e-4)


def test_an_empty_region_gives_zeros_and_a_finite_gradient(pooling, features, weights):
    weights[0, 1] = 0
    features.requires_grad_()
    pooled = pooling(features, weights)
    assert (pooled[0, 1] == 0).all()
    assert (pooled[0, 0] != 0).any()
    pooled.square().sum().backward()
    assert features.grad.isfinite().all()


def test_a_constant_region_gives_a_finite_gradient(pooling, weights):
    features = torch.ones(2, CHANNELS, *SHAPE, requires_grad=True)
    pooling(features, weights).sum().backward()
    assert features.grad.isfinite().all()


def test_the_order_of_voxels_does_not_matter(pooling, features, weights):
    order = torch.randperm(SHAPE[0] * SHAPE[1] * SHAPE[2])
    mixed = pooling(
        features.flatten(2)[..., order].view_as(features),
        weights.flatten(2)[..., order].view_as(weights),
    )
    torch.testing.assert_close(mixed, pooling(features, weights))


def test_the_size_of_a_soft_weight_does_not_matter(pooling, features, weights):
    torch.testing.assert_close(pooling(features, weights), pooling(features, 0.5 * weights))


@pytest.mark.parametrize("shape", [(8, 8), (4, 8, 8)])
def test_coarse_weights_are_the_share_of_each_coarse_voxel(shape):
    weights = torch.rand(1, 2, *shape)
    half = tuple(size // 2 for size in shape)
    coarse = resize_weights(weights, half)
    first_block = weights[(0, 0, *[slice(2)] * len(shape))]
    assert coarse.shape == (1, 2, *half)
    assert coarse.flatten()[0] == pytest.approx(float(first_block.mean()))
    assert coarse.mean() == pytest.approx(float(weights.mean()), rel=1e-5)
