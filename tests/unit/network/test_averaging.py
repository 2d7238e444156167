import pytest
import torch
from torch import nn

from nnmtl.network.averaging import AveragedWeights


@pytest.fixture
def network():
    return nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))


def decay_of(update, limit):
    return min(limit, (1 + update) / (10 + update))


def set_all(network, value):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(value)


def test_the_average_equals_its_closed_form(network):
    set_all(network, 1.0)
    average = AveragedWeights(network, decay=0.9)
    expected = 1.0
    for update in range(1, 40):
        set_all(network, float(update % 7))
        average.update(network)
        decay = decay_of(update, 0.9)
        expected = decay * expected + (1 - decay) * (update % 7)
    for value in average.values.values():
        torch.testing.assert_close(value, torch.full_like(value, expected))


def test_the_average_of_equal_weights_is_these_weights(network):
    average = AveragedWeights(network, decay=0.99)
    for _ in range(20):
        average.update(network)
    for name, value in network.named_parameters():
        torch.testing.assert_close(average.values[name], value)


def test_the_network_gets_the_average_and_then_its_own_weights_back(network):
    set_all(network, 0.0)
    average = AveragedWeights(network, decay=0.5)
    set_all(network, 4.0)
    with average.lent_to(network):
        assert all((value == 0).all() for value in network.parameters())
    assert all((value == 4).all() for value in network.parameters())


def test_the_network_gets_its_weights_back_after_an_error(network):
    set_all(network, 0.0)
    average = AveragedWeights(network, decay=0.5)
    set_all(network, 4.0)
    with pytest.raises(KeyboardInterrupt), average.lent_to(network):
        raise KeyboardInterrupt
    assert all((value == 4).all() for value in network.parameters())


def test_buffers_are_left_alone(network):
    average = AveragedWeights(network, decay=0.5)
    network[1].running_mean.fill_(3.0)
    with average.lent_to(network):
        assert (network[1].running_mean == 3).all()


def test_an_average_starts_anew_below_a_prefix_only(network):
    set_all(network, 0.0)
    average = AveragedWeights(network, decay=0.5)
    set_all(network, 4.0)
    average.restart(network, prefix="1.")
    assert all((average.values[name] == 4).all() for name in ("1.weight", "1.bias"))
    assert all((average.values[name] == 0).all() for name in ("0.weight", "0.bias"))


def test_averaging_leaves_the_networks_gradient_alone(network):
    average = AveragedWeights(network, decay=0.5)
    network(torch.randn(4, 2)).sum().backward()
    before = [parameter.grad.clone() for parameter in network.parameters()]
    average.update(network)
    for parameter, gradient in zip(network.parameters(), before, strict=True):
        assert parameter.requires_grad
        assert torch.equal(parameter.grad, gradient)
