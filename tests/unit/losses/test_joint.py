import pytest
import torch

from nnmtl.errors import NnmtlError
from nnmtl.losses.joint import joint_loss


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
