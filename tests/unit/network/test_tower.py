"""From encoder stages, region weights and statistics to one output per biomarker."""

import pytest
import torch

from nnmtl.network.heads import BiomarkerHead
from nnmtl.network.tower import shell_numbers
from nnmtl.planning.architecture import RegionPlan

SHAPE = (8, 8, 8)


def skips(dimension=3):
    sizes = [8, 4, 2]
    return [
        torch.randn(2, channels, *[size] * dimension)
        for channels, size in zip((4, 6, 8), sizes, strict=True)
    ]


def number_of_statistics(tower):
    return tower.num_statistics


def outputs(tower, statistics=None, dimension=3):
    if statistics is None:
        statistics = torch.randn(2, number_of_statistics(tower))
    weights = torch.rand(2, 4, *[8] * dimension)
    return tower(skips(dimension), weights, statistics)[0]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"attention": "single_scale"},
        {"attention": "none"},
        {"taps": (2,)},
        {"intensity": False},
        {"intensity": False, "descriptors": (), "covariates": ()},
        {"covariates": ()},
    ],
    ids=str,
)
def test_every_head_answers_with_its_number_of_outputs(make_tower, changes):
    shapes = {name: tuple(value.shape) for name, value in outputs(make_tower(**changes)).items()}
    assert shapes == {"ER": (2, 1), "HER2_3": (2, 3), "Ki67": (2, 1)}


def test_a_tower_works_in_2d(make_tower):
    tower = make_tower(spacing_mm=(1.0, 1.0))
    assert outputs(tower, dimension=2)["ER"].shape == (2, 1)


def test_a_new_tower_knows_nothing(make_tower):
    assert all((value == 0).all() for value in outputs(make_tower()).values())


def test_a_missing_covariate_becomes_an_indicator_and_a_standardized_zero(make_tower):
    tower = make_tower()
    number, all_measured = tower.num_statistics, tower.standardize.mean.numel()
    tower.standardize.fit(5 + 2 * torch.randn(50, all_measured))
    measured = torch.randn(2, all_measured)
    measured[1, number - 1] = torch.nan
    scalars = tower.scalars(measured)
    values, missing = scalars.split([all_measured, number], dim=1)
    assert values[1, number - 1] == 0
    assert missing.sum() == missing[1, -1] == 1
    assert scalars.isfinite().all()
    assert values[0].abs().sum() > 0


def test_a_missing_covariate_does_not_poison_outputs_or_gradients(make_tower):
    tower = make_tower()
    for head in tower.heads.values():
        torch.nn.init.normal_(head.linear.weight)
    statistics = torch.randn(2, number_of_statistics(tower))
    statistics[0, -1] = torch.nan
    result = outputs(tower, statistics)
    assert all(value.isfinite().all() for value in result.values())
    sum(value.sum() for value in result.values()).backward()
    assert all(
        parameter.grad.isfinite().all()
        for parameter in tower.parameters()
        if parameter.grad is not None
    )


def test_regions_that_are_open_on_both_sides_have_no_shell(plan):
    assert shell_numbers(plan) == [0, 1, 2]
    assert RegionPlan(name="context", inner_mm=None, outer_mm=None) == plan.regions[3]


@pytest.mark.parametrize("num_outputs", [1, 3])
def test_a_head_started_from_a_linear_model_reproduces_it(num_outputs):
    head = BiomarkerHead(
        num_outputs=num_outputs, num_regions=4, region_features=6, scalars=5, dropout=0.5
    )
    weight, bias = torch.randn(num_outputs, 5), torch.randn(num_outputs)
    head.start_linear(weight, bias)
    scalars = torch.randn(7, 5)
    result = head(torch.randn(7, 4, 6), scalars)
    torch.testing.assert_close(result, scalars @ weight.T + bias)


def test_regions_weigh_the_same_at_the_start_and_can_be_learned():
    head = BiomarkerHead(num_outputs=1, num_regions=2, region_features=3, scalars=1, dropout=0.0)
    torch.nn.init.ones_(head.learned.weight)
    regions = torch.stack([torch.full((1, 3), 2.0), torch.full((1, 3), 5.0)], dim=1)
    assert head(regions, torch.zeros(1, 1)).item() == pytest.approx(3 * (2 + 5))
    with torch.no_grad():
        head.region_logits[1] = 50.0
    assert head(regions, torch.zeros(1, 1)).item() == pytest.approx(3 * 2 * 5)


def test_what_is_learned_outside_gradients_travels_with_the_weights():
    head = BiomarkerHead(num_outputs=1, num_regions=1, region_features=1, scalars=1, dropout=0.0)
    assert {"center", "scale", "threshold", "median"} <= set(head.state_dict())
    assert not {"center", "scale", "threshold", "median"} & {n for n, _ in head.named_parameters()}


def test_the_linear_part_sees_mean_and_spread_of_the_taps(make_tower):
    tower = make_tower(taps=(0,), attention="none")
    stages, weights = skips(), torch.rand(2, 4, 8, 8, 8)
    statistics = torch.randn(2, tower.num_statistics)
    _, measured = tower(stages, weights, statistics)
    torch.testing.assert_close(measured[:, : tower.num_statistics], statistics)
    voxels = stages[0].flatten(2)[:, None]  # B 1 C V
    share = weights.flatten(2)[:, :, None]  # B R 1 V
    mean = (share * voxels).sum(-1) / share.sum(-1)
    spread = ((share * (voxels - mean[..., None]) ** 2).sum(-1) / share.sum(-1)).sqrt()
    expected = torch.cat([mean, spread], -1).flatten(1)
    torch.testing.assert_close(measured[:, tower.num_statistics :], expected, rtol=1e-3, atol=1e-4)


def test_a_global_tower_is_a_linear_layer_on_the_mean_of_the_view(make_tower, plan):
    tower = make_tower(
        regions=plan.regions[3:], taps=(2,), pooling="global", attention="none",
        intensity=False, descriptors=(), covariates=(),
    )  # fmt: skip
    for head in tower.heads.values():
        torch.nn.init.normal_(head.learned.weight)
    stages, mask = skips(), torch.rand(2, 1, 8, 8, 8)
    result, measured = tower(stages, mask, torch.empty(2, 0))
    assert measured.shape == (2, 0)
    mean = stages[2].mean((2, 3, 4))
    for name, value in result.items():
        torch.testing.assert_close(value, tower.head(name).learned(mean))
    trained = {
        name.split(".", 2)[2] for name, each in tower.named_parameters() if each.requires_grad
    }
    assert trained == {"learned.weight", "learned.bias", "region_logits", "log_variance"}


@pytest.mark.parametrize("token_mixer", [False, True])
def test_a_dropped_region_is_dropped_at_every_tap(make_tower, token_mixer):
    tower = make_tower(region_dropout=0.5, token_mixer=token_mixer).train()
    seen = []
    tower.region_dropout.register_forward_hook(lambda _, given, result: seen.append(result))
    tower(skips(), torch.rand(2, 4, 8, 8, 8), torch.randn(2, tower.num_statistics))
    gone = seen[0].flatten(2).eq(0)
    assert torch.equal(gone.any(2), gone.all(2))
    assert gone.any()
