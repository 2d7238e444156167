"""Two tasks that pull apart: what is published, what geometry says, and what must not change."""

import sys

import pytest
import torch
from torch import nn

from nnmtl.errors import NnmtlError
from nnmtl.losses.conflict import backward_without_conflict, combine_without_conflict, load_torchjd

CONFLICT = torch.tensor([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])


@pytest.fixture
def torchjd():
    return pytest.importorskip("torchjd", reason="pip install 'nnmtl[torchjd]'")


def test_two_tasks_in_conflict_give_the_published_direction(torchjd):
    """Of torchjd's documentation, where the mean over the tasks is taken instead of the sum."""
    found = combine_without_conflict(CONFLICT)
    torch.testing.assert_close(found / 2, torch.tensor([0.2929, 1.9004, 1.9004]), atol=1e-3, rtol=0)
    assert (CONFLICT @ CONFLICT.sum(0) < 0).any(), "the plain sum would raise a task's loss"
    assert (CONFLICT @ found >= -1e-4).all()


def test_two_tasks_each_lose_their_part_against_the_other(torchjd):
    one, two = torch.randn(2, 7)
    two = two - (1 + one @ two / (one @ one)) * one  # their product is now negative
    projected = [mine - (mine @ other) / (other @ other) * other
                 for mine, other in ((one, two), (two, one))]  # fmt: skip
    found = combine_without_conflict(torch.stack([one, two, torch.zeros(7)]))
    torch.testing.assert_close(found, sum(projected), atol=1e-3, rtol=1e-3)


def test_gradients_without_conflict_give_their_sum(torchjd):
    gradients = torch.rand(3, 5)
    found = combine_without_conflict(gradients)
    torch.testing.assert_close(found, gradients.sum(0), atol=1e-3, rtol=1e-3)


def test_a_gradient_that_is_no_number_stays_one():
    assert combine_without_conflict(torch.tensor([[1.0, torch.nan], [2.0, 1.0]])).isnan().any()


@pytest.fixture
def layers():
    return nn.Linear(3, 4), nn.Linear(4, 1), nn.Linear(4, 1), nn.Linear(4, 2)


def run(layers, x):
    shared, one, two, decoder = layers
    hidden = torch.tanh(shared(x))
    decoder(hidden).square().sum().backward(retain_graph=True)
    return [(one(hidden) - 3).square().sum(), (two(hidden) + 5).square().sum()]


def gradients_of(layers):
    found = [[each.grad.clone() for each in layer.parameters()] for layer in layers]
    for layer in layers:
        layer.zero_grad(set_to_none=True)
    return found


def test_only_shared_parameters_are_combined(torchjd, layers, monkeypatch):
    """With the plain sum in its place, nothing differs from one backward pass."""
    x = torch.randn(5, 3)
    sum(run(layers, x)).backward()
    plain = gradients_of(layers)
    rows = []

    def plain_sum(gradients):
        rows.append(gradients)
        return gradients.sum(0)

    shared, *own = layers
    parameters = [each for layer in own for each in layer.parameters()]
    for combine in (plain_sum, combine_without_conflict):
        monkeypatch.setattr("nnmtl.losses.conflict.combine_without_conflict", combine)
        losses = run(layers, x)
        backward_without_conflict(losses, shared=list(shared.parameters()), own=parameters)
        found = gradients_of(layers)
        torch.testing.assert_close(found[1:], plain[1:])
        if combine is plain_sum:
            torch.testing.assert_close(found[0], plain[0])
    assert rows[0].shape == (3, 16), "the segmentation and two heads"
    step = torch.cat([each.flatten() for each in found[0]])
    assert (rows[0] @ step >= -1e-3 * step.norm() * rows[0].norm(dim=1)).all()


def test_a_frozen_encoder_is_left_alone(layers):
    shared, one, two, _ = layers
    shared.requires_grad_(requires_grad=False)
    own = [*one.parameters(), *two.parameters()]
    backward_without_conflict(run(layers, torch.randn(2, 3)), shared=[shared.weight], own=own)
    assert shared.weight.grad is None
    assert all(each.grad.any() for each in own)


@pytest.mark.parametrize("name", ["torchjd", "quadprog"])
def test_without_the_packages_it_is_said_how_to_get_them(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(NnmtlError, match=r"torchjd and .* pip install 'nnmtl\[torchjd\]'"):
        load_torchjd()
