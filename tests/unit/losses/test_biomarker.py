import math

import pytest
import torch
from torch.nn import functional

from nnmtl.losses.biomarker import (
    masked_binary_loss,
    masked_class_loss,
    masked_interval_loss,
    masked_ordinal_loss,
)
from nnmtl.losses.joint import prior_entropy

NUM_CASES = 12
NUM_CLASSES = 4


def possible_of(classes):
    return functional.one_hot(classes, NUM_CLASSES).bool()


def binary(output, observed, *, junk):
    target = torch.where(observed, torch.arange(NUM_CASES) % 2, junk)
    return masked_binary_loss(output[:, 0], target, observed, smoothing=0.1)


def categorical(output, observed, *, junk):
    possible = possible_of(torch.arange(NUM_CASES) % NUM_CLASSES)
    possible = torch.where(observed[:, None], possible, bool(junk > 0))
    return masked_class_loss(output, possible, observed, smoothing=0.1)


def ordinal(output, observed, *, junk):
    possible = possible_of(torch.arange(NUM_CASES) % NUM_CLASSES)
    possible = torch.where(observed[:, None], possible, bool(junk > 0))
    return masked_ordinal_loss(output[:, 1:], possible, observed)


def interval(output, observed, *, junk):
    lower = torch.where(observed, torch.linspace(-2, 2, NUM_CASES), junk)
    return masked_interval_loss(output[:, 0], lower, lower + 0.1, observed)


LOSSES = [binary, categorical, ordinal, interval]
JUNK = [math.nan, math.inf, 3.0]


@pytest.fixture
def output():
    return torch.randn(NUM_CASES, NUM_CLASSES, requires_grad=True)


@pytest.fixture
def observed():
    return torch.arange(NUM_CASES) % 3 != 0


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("junk", JUNK)
def test_unobserved_entries_never_reach_value_or_gradient(loss, junk, output, observed):
    value = loss(output, observed, junk=junk)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(output.grad).all()
    assert output.grad[~observed].abs().max() == 0
    assert output.grad[observed].abs().sum() > 0


@pytest.mark.parametrize("loss", LOSSES)
def test_unobserved_nan_outputs_do_not_poison_either(loss, output, observed):
    clean = loss(output, observed, junk=0.0)
    broken = torch.where(observed[:, None], output.detach(), math.nan).requires_grad_()
    value = loss(broken, observed, junk=math.nan)
    value.backward()
    torch.testing.assert_close(value, clean)
    assert torch.isfinite(broken.grad).all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("junk", JUNK)
def test_no_observed_case_gives_zero_with_zero_gradient(loss, junk, output):
    value = loss(output, torch.zeros(NUM_CASES, dtype=torch.bool), junk=junk)
    value.backward()
    assert value.item() == 0
    assert output.grad.abs().max() == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_unobserved_cases_do_not_change_the_mean(loss, output, observed):
    assert loss(output, observed, junk=0.0) == loss(output, observed, junk=1.0)


@pytest.mark.parametrize("loss", LOSSES)
def test_half_precision_outputs_give_a_single_precision_loss(loss, output, observed):
    assert loss(output.bfloat16(), observed, junk=0.0).dtype == torch.float32


@pytest.mark.parametrize(
    "loss",
    [
        lambda z, c, seen: masked_binary_loss(z[:, 0], (c % 2).float(), seen),
        lambda z, c, seen: masked_class_loss(z, possible_of(c), seen, smoothing=0.1),
        lambda z, c, seen: masked_ordinal_loss(z[:, 1:], possible_of(c), seen),
        lambda z, c, seen: masked_interval_loss(z[:, 0], c - 1.0, c - 0.5, seen),
    ],
)
def test_loss_is_unchanged_by_permuting_cases(loss, output, observed):
    classes, order = torch.arange(NUM_CASES) % NUM_CLASSES, torch.randperm(NUM_CASES)
    torch.testing.assert_close(
        loss(output[order], classes[order], observed[order]), loss(output, classes, observed)
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_binary_loss_equals_two_class_cross_entropy_of_torch(smoothing, output):
    target = torch.arange(NUM_CASES) % 2
    two_class = torch.stack([torch.zeros(NUM_CASES), output[:, 0]], dim=1)
    reference = functional.cross_entropy(two_class, target, label_smoothing=smoothing)
    everyone = torch.ones(NUM_CASES, dtype=torch.bool)
    value = masked_binary_loss(output[:, 0], target.float(), everyone, smoothing=smoothing)
    torch.testing.assert_close(value, reference)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_single_classes_equal_cross_entropy_of_torch(smoothing, output, observed):
    classes = torch.arange(NUM_CASES) % NUM_CLASSES
    reference = functional.cross_entropy(
        output[observed], classes[observed], label_smoothing=smoothing
    )
    value = masked_class_loss(output, possible_of(classes), observed, smoothing=smoothing)
    torch.testing.assert_close(value, reference)


def test_a_set_of_classes_costs_the_log_of_its_probability(output):
    possible = torch.tensor([[True, True, False, False]]).repeat(NUM_CASES, 1)
    value = masked_class_loss(output, possible, torch.ones(NUM_CASES, dtype=torch.bool))
    reference = -output.softmax(1)[:, :2].sum(1).log().mean()
    torch.testing.assert_close(value, reference)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_all_classes_possible_is_the_same_as_not_observed(smoothing, output, observed):
    possible = possible_of(torch.arange(NUM_CASES) % NUM_CLASSES) | ~observed[:, None]
    everyone = torch.ones(NUM_CASES, dtype=torch.bool)
    value = masked_class_loss(output, possible, everyone, smoothing=smoothing)
    expected = masked_class_loss(output, possible, observed, smoothing=smoothing)
    torch.testing.assert_close(value, expected)
    assert masked_ordinal_loss(output[:, 1:], possible, everyone) == masked_ordinal_loss(
        output[:, 1:], possible, observed
    )


def test_ordinal_loss_with_two_classes_is_the_binary_loss(output, observed):
    target = torch.arange(NUM_CASES) % 2
    possible = functional.one_hot(target, 2).bool()
    torch.testing.assert_close(
        masked_ordinal_loss(output[:, :1], possible, observed),
        masked_binary_loss(output[:, 0], target.float(), observed),
    )


def test_ordinal_loss_is_smallest_at_the_cumulative_frequencies():
    classes = torch.tensor([0] * 5 + [1] * 3 + [2] * 1 + [3] * 3)
    logits = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=50)

    def closure():
        optimizer.zero_grad()
        everyone = torch.ones(len(classes), dtype=torch.bool)
        loss = masked_ordinal_loss(logits.expand(len(classes), 3), possible_of(classes), everyone)
        loss.backward()
        return loss

    optimizer.step(closure)
    expected = torch.tensor([7 / 12, 4 / 12, 3 / 12])
    torch.testing.assert_close(logits.sigmoid().detach(), expected, atol=1e-3, rtol=0)


def test_ordinal_set_answers_only_thresholds_that_have_it_on_one_side():
    possible = torch.tensor([[True, True, False, False]])  # below threshold 1 and 2, open at 0
    logits = torch.tensor([[0.3, 0.4, -0.7]], requires_grad=True)
    value = masked_ordinal_loss(logits, possible, torch.tensor([True]))
    value.backward()
    torch.testing.assert_close(value, functional.softplus(logits[0, 1:]).mean())
    assert logits.grad[0, 0] == 0
    assert (logits.grad[0, 1:] > 0).all()


def test_farther_from_the_true_order_costs_more():
    possible = possible_of(torch.tensor([3]))
    near, far = torch.tensor([[4.0, 4.0, -4.0]]), torch.tensor([[-4.0, -4.0, -4.0]])
    seen = torch.tensor([True])
    assert masked_ordinal_loss(near, possible, seen) < masked_ordinal_loss(far, possible, seen)


def test_interval_of_no_width_is_the_mean_squared_error(output, observed):
    target = torch.linspace(-2, 2, NUM_CASES)
    value = masked_interval_loss(output[:, 0], target, target, observed)
    reference = functional.mse_loss(output[observed, 0], target[observed])
    torch.testing.assert_close(value, reference)


def test_interval_costs_nothing_inside_and_the_squared_distance_outside():
    value = torch.tensor([0.0, 2.5, -3.0], requires_grad=True)
    everyone = torch.ones(3, dtype=torch.bool)
    loss = masked_interval_loss(value, torch.full((3,), -1.0), torch.full((3,), 2.0), everyone)
    assert loss.item() == pytest.approx((0 + 0.25 + 4) / 3)


def test_an_open_ended_interval_is_finite():
    value = torch.tensor([5.0, -5.0], requires_grad=True)
    lower, upper = torch.tensor([30.0, -math.inf]), torch.tensor([math.inf, -6.0])
    loss = masked_interval_loss(value, lower, upper, torch.ones(2, dtype=torch.bool))
    loss.backward()
    assert loss.item() == pytest.approx((25**2 + 1) / 2)
    assert torch.isfinite(value.grad).all()


def test_every_loss_is_about_one_for_an_uninformed_head():
    zeros, everyone = torch.zeros(300, NUM_CLASSES), torch.ones(300, dtype=torch.bool)
    classes = torch.arange(300) % NUM_CLASSES
    targets = torch.randn(300)
    targets = (targets - targets.mean()) / targets.std()
    scaled = [
        masked_binary_loss(zeros[:, 0], (classes % 2).float(), everyone) / prior_entropy(2),
        masked_class_loss(zeros, possible_of(classes), everyone) / prior_entropy(NUM_CLASSES),
        masked_ordinal_loss(zeros[:, 1:], possible_of(classes), everyone) / prior_entropy(2),
        masked_interval_loss(zeros[:, 0], targets, targets, everyone),
    ]
    torch.testing.assert_close(torch.stack(scaled), torch.ones(4), atol=0.01, rtol=0)
