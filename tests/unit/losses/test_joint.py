import math

import pytest
import torch

from nnmtl.errors import NnmtlError
from nnmtl.losses.joint import joint_loss, learned_weight


def test_total_is_the_weighted_sum_and_its_gradient():
    er, ki67 = (torch.tensor(value, requires_grad=True) for value in (2.0, 3.0))
    total = joint_loss({"ER": er, "Ki67": ki67}, {"ER": 0.5, "Ki67": 2.0, "absent": 9.0})
    total.backward()
    assert total.item() == 7.0
    assert (er.grad.item(), ki67.grad.item()) == (0.5, 2.0)


def test_a_loss_without_weight_is_named():
    with pytest.raises(NnmtlError, match="PR"):
        joint_loss({"ER": torch.tensor(1.0), "PR": torch.tensor(1.0)}, {"ER": 1.0})


def test_no_loss_at_all_is_refused():
    with pytest.raises(NnmtlError, match="at least one loss"):
        joint_loss({}, {"ER": 1.0})


def test_a_learned_weight_settles_where_the_loss_says():
    """The best s for a loss L is ln(2 L): there the two terms' gradients cancel."""
    log_variance = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.SGD([log_variance], lr=0.1)
    for _ in range(500):
        optimizer.zero_grad()
        learned_weight(torch.tensor(1.3), log_variance).backward()
        optimizer.step()
    assert log_variance.item() == pytest.approx(math.log(2.6), abs=1e-3)


def test_a_learned_weight_starts_at_one_and_never_vanishes():
    loss = torch.tensor(0.7)
    assert learned_weight(loss, torch.zeros(())).item() == pytest.approx(0.7)
    assert learned_weight(loss, torch.tensor(50.0)).item() == pytest.approx(
        0.7 * math.exp(-3) + 1.5
    )
