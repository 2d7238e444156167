"""A head's outputs become probabilities."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nnmtl.network.answers import head_answers

LOGITS = st.lists(st.floats(-30, 30), min_size=1, max_size=6)


@given(LOGITS)
def test_an_ordinal_answer_is_a_distribution_whatever_the_steps_say(logits):
    answer = head_answers(torch.tensor([logits], dtype=torch.float64), "ordinal")
    assert answer.shape == (1, len(logits) + 1)
    assert (answer >= 0).all()
    assert answer.sum().item() == pytest.approx(1)


def test_consistent_steps_are_taken_as_they_are():
    above = torch.tensor([[0.9, 0.4, 0.1]], dtype=torch.float64)
    answer = head_answers(torch.logit(above), "ordinal")
    torch.testing.assert_close(answer, torch.tensor([[0.1, 0.5, 0.3, 0.1]], dtype=torch.float64))


def test_with_two_categories_an_ordinal_head_is_a_binary_one():
    logits = torch.tensor([[-1.0], [0.3]])
    positive = head_answers(logits, "binary")[:, 0]
    torch.testing.assert_close(head_answers(logits, "ordinal")[:, 1], positive)


def test_a_later_step_is_no_likelier_than_an_earlier_one():
    answer = head_answers(torch.tensor([[-2.0, 3.0]]), "ordinal")
    assert answer[0, 1].item() == 0
    assert answer[0, 2].item() == pytest.approx(torch.sigmoid(torch.tensor(-2.0)).item())


def test_categories_are_a_softmax_and_values_stay():
    output = torch.tensor([[0.0, 0.0]])
    assert head_answers(output, "categorical").tolist() == [[0.5, 0.5]]
    assert head_answers(torch.tensor([[3.5]]), "continuous").tolist() == [[3.5]]
