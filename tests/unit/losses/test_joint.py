import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnmtl.errors import NnmtlError
from nnmtl.losses.joint import dynamic_weights, joint_loss, learned_weight


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


def test_dynamic_weights_are_those_of_the_published_formula():
    found = dynamic_weights({"ER": 0.9, "PR": 0.3}, {"ER": 1.0, "PR": 0.6})
    shares = [math.exp(0.9 / 2), math.exp(0.5 / 2)]
    assert found["ER"] == pytest.approx(2 * shares[0] / sum(shares))
    assert found["PR"] == pytest.approx(2 * shares[1] / sum(shares))


@settings(deadline=None)  # the first call of torch takes its time
@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0.01, 9)), min_size=1, max_size=6))
def test_dynamic_weights_sum_to_their_number_and_favor_what_fell_least(losses):
    last = {str(number): each[0] for number, each in enumerate(losses)}
    before = {str(number): each[1] for number, each in enumerate(losses)}
    found = dynamic_weights(last, before)
    assert sum(found.values()) == pytest.approx(len(losses))
    ratio = {name: last[name] / before[name] if last[name] else 1.0 for name in last}
    assert found[max(ratio, key=ratio.get)] == max(found.values())


def test_a_task_without_any_target_counts_as_one_that_did_not_change():
    found = dynamic_weights({"ER": 1.0, "PR": 0.0}, {"ER": 1.0, "PR": 0.0})
    assert found == {"ER": pytest.approx(1), "PR": pytest.approx(1)}
