"""The two optimizers: who trains what, at which rate, and how far a step may go."""

import dataclasses

import pytest
import torch

from nnmtl.network.tower import BiomarkerTower
from nnmtl.nnunet.optimizers import (
    LINEAR_RATE,
    clip_and_step,
    freeze_as_planned,
    head_optimizer,
    keep_linear_parts,
    parameters_of_unet,
    parameters_without,
    set_rate,
)
from nnmtl.planning.preset import load_preset
from nnmtl.planning.training import TrainingPlan

DERIVED = {"roi_size": (8, 8), "epochs": 3, "loss_weights": {"ER": 1.0}, "reasons": {}}


@pytest.fixture
def tower(make_plan):
    plan = make_plan(attention="single_scale")
    return BiomarkerTower(plan, stage_channels=[2], input_channels=1)


@pytest.fixture
def plan():
    preset = load_preset("tiny_cpu").training
    names = {field.name for field in dataclasses.fields(TrainingPlan)}
    known = {key: value for key, value in preset.items() if key in names}
    return TrainingPlan(**{**known, **DERIVED, "preset": "tiny_cpu"})


def test_every_parameter_of_the_tower_is_trained_once(tower, plan):
    optimizer = head_optimizer(tower, plan)
    trained = [id(each) for group in optimizer.param_groups for each in group["params"]]
    assert sorted(trained) == sorted(id(each) for each in tower.parameters())


def test_a_linear_part_that_should_have_been_fitted_moves_slowly(tower, plan):
    linear = tower.head("ER").linear.weight
    for linear_start, factor in ((True, LINEAR_RATE), (False, 1.0)):
        optimizer = head_optimizer(tower, dataclasses.replace(plan, linear_start=linear_start))
        set_rate(optimizer, 0.5)
        rates = {
            id(each): group["lr"] for group in optimizer.param_groups for each in group["params"]
        }
        assert rates.pop(id(linear)) == pytest.approx(0.5 * factor)
        assert rates[id(tower.head("ER").learned.weight)] == pytest.approx(0.5)


def test_a_fitted_linear_part_stays_as_it_is_also_after_an_interruption(make_plan, plan):
    er = make_plan().heads[0]
    heads = (er, dataclasses.replace(er, name="PR"))
    tower = BiomarkerTower(make_plan(heads=heads), stage_channels=[2], input_channels=1)
    before = head_optimizer(tower, plan)
    keep_linear_parts(before, ["ER"])
    optimizer = head_optimizer(tower, plan)
    optimizer.load_state_dict(before.state_dict())
    fitted = tower.head("ER").linear.weight.detach().clone()
    for _ in range(3):
        set_rate(optimizer, 0.1)
        sum((1 + each).square().sum() for each in tower.parameters()).backward()
        optimizer.step()
    assert torch.equal(tower.head("ER").linear.weight, fitted)
    assert tower.head("PR").linear.weight.abs().max() > 0
    assert tower.head("ER").learned.weight.abs().max() > 0


def test_at_a_rate_of_0_the_unet_is_frozen_and_its_optimizer_does_no_step(tower, plan):
    network = torch.nn.Module()
    network.encoder, network.decoder = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    network.tower = tower
    freeze_as_planned(network, dataclasses.replace(plan, lr_unet=0.0))
    frozen = parameters_without(network, tower)
    assert not any(each.requires_grad for each in frozen)
    assert all(each.requires_grad for each in tower.parameters())
    optimizer = torch.optim.SGD(frozen, lr=0.1, weight_decay=0.1)
    before = [each.clone() for each in frozen]
    scaler, heads = torch.amp.GradScaler("cpu"), head_optimizer(tower, plan)
    scaler.scale(sum(each.sum() for each in tower.parameters())).backward()
    clip_and_step([(optimizer, 1.0), (heads, 1.0)], scaler)  # which has seen no gradient of one
    assert all(torch.equal(*pair) for pair in zip(before, frozen, strict=True))
    freeze_as_planned(network, plan)
    assert all(each.requires_grad for each in network.encoder.parameters())


def test_all_groups_share_the_limit_of_a_step(tower, plan):
    optimizer = head_optimizer(tower, plan)
    for parameter in tower.parameters():
        parameter.grad = torch.full_like(parameter, 100.0)
    clip_and_step([(optimizer, 1.0)], None)
    norms = [parameter.grad.norm() for parameter in tower.parameters()]
    assert float(torch.stack(norms).norm()) == pytest.approx(1, rel=1e-3)


def test_what_stays_as_it_is_takes_nothing_of_the_limit(tower, plan):
    optimizer = head_optimizer(tower, plan)
    keep_linear_parts(optimizer, ["ER"])
    set_rate(optimizer, 0.1)
    for parameter in tower.parameters():
        parameter.grad = torch.full_like(parameter, 100.0)
    clip_and_step([(optimizer, 1.0)], None)
    fitted = {id(each) for each in tower.head("ER").linear.parameters()}
    norms = [each.grad.norm() for each in tower.parameters() if id(each) not in fitted]
    assert float(torch.stack(norms).norm()) == pytest.approx(1, rel=1e-3)


def test_the_unet_is_what_the_tower_is_not(tower):
    network = torch.nn.ModuleDict({"encoder": torch.nn.Linear(2, 2), "tower": tower})
    unet = parameters_without(network, tower)
    assert [id(each) for each in unet] == [id(each) for each in network["encoder"].parameters()]


@pytest.mark.parametrize("heads_optimizer", ["adamw", "unet"])
def test_every_parameter_has_one_optimizer(tower, plan, heads_optimizer):
    plan = dataclasses.replace(plan, heads_optimizer=heads_optimizer)
    network = torch.nn.ModuleDict({"encoder": torch.nn.Linear(2, 2), "tower": tower})
    heads = head_optimizer(tower, plan)
    trained = [id(each) for each in parameters_of_unet(network, tower, plan)]
    assert (heads is None) == (heads_optimizer == "unet")
    groups = [] if heads is None else heads.param_groups
    trained += [id(each) for group in groups for each in group["params"]]
    assert sorted(trained) == sorted(id(each) for each in network.parameters())
