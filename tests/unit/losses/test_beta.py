"""The beta distribution against SciPy's, and a loss that is a number for whatever comes."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit, logsumexp

from nnmtl.losses.beta import (
    LOG_PRECISION_LIMITS,
    MEAN_LOGIT_LIMIT,
    bounded_parameters,
    log_likelihood,
)
from nnmtl.losses.biomarker import masked_beta_loss

MARGINAL = torch.tensor([-1.0, 1.4])
mean_logits = st.floats(-MEAN_LOGIT_LIMIT, MEAN_LOGIT_LIMIT)
log_precisions = st.floats(*LOG_PRECISION_LIMITS)
# Those of squeezed shares: 0.005 has the logit -5.3.
share_logits = st.floats(-5.3, 5.3)


def scipy_beta(logit, log_precision):
    precision = math.exp(log_precision)
    return stats.beta(expit(logit) * precision, expit(-logit) * precision)


def likelihood(logit, log_precision, lower, upper):
    parameters = torch.tensor([[logit, log_precision]], dtype=torch.float64)
    ends = (torch.tensor([end], dtype=torch.float64) for end in (lower, upper))
    return log_likelihood(parameters, *ends).item()


@settings(deadline=None)
@given(mean_logits, log_precisions, share_logits)
def test_the_density_is_scipys(logit, log_precision, at):
    expected = scipy_beta(logit, log_precision).logpdf(expit(at))
    assert likelihood(logit, log_precision, at, at) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@settings(deadline=None)
@given(mean_logits, log_precisions, st.lists(share_logits, min_size=2, max_size=2, unique=True))
def test_the_probability_of_an_interval_is_scipys(logit, log_precision, ends):
    lower, upper = sorted(ends)
    reference = scipy_beta(logit, log_precision)
    found = likelihood(logit, log_precision, lower, upper)
    expected = reference.cdf(expit(upper)) - reference.cdf(expit(lower))
    assert math.exp(found) == pytest.approx(expected, rel=1e-5, abs=1e-7)


@settings(deadline=None)
@given(mean_logits, log_precisions, share_logits)
def test_an_open_interval_has_the_whole_tail(logit, log_precision, end):
    reference = scipy_beta(logit, log_precision)
    below, above = reference.cdf(expit(end)), reference.sf(expit(end))
    found = likelihood(logit, log_precision, -math.inf, end)
    assert math.exp(found) == pytest.approx(below, rel=1e-3, abs=1e-6)
    found = likelihood(logit, log_precision, end, math.inf)
    assert math.exp(found) == pytest.approx(above, rel=1e-3, abs=1e-6)


def test_an_interval_far_in_a_tail_keeps_a_likelihood_where_the_difference_underflows():
    reference = scipy_beta(-3.0, 6.5)
    lower, upper = expit(4.0), expit(5.0)
    assert reference.cdf(upper) - reference.cdf(lower) == 0
    grid = np.linspace(lower, upper, 200_001)
    expected = logsumexp(reference.logpdf(grid)) + math.log(grid[1] - grid[0])
    assert likelihood(-3.0, 6.5, 4.0, 5.0) == pytest.approx(expected, rel=1e-4)


def test_gradients_are_those_of_finite_differences():
    parameters = torch.tensor([[-1.0, 2.0], [0.5, 1.0], [0.3, 4.0], [-2.0, 0.5]]).double()
    lower = torch.tensor([-1.5, -math.inf, 0.0, 1.0]).double()  # a point, then intervals
    upper = torch.tensor([-1.5, 0.2, 1.0, math.inf]).double()
    parameters.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: log_likelihood(p, lower, upper), [parameters])


@settings(deadline=None)
@given(mean_logits.filter(lambda x: abs(x) < 5), st.floats(2, 5))
def test_bounds_leave_what_lies_well_inside(logit, log_precision):
    inside = torch.tensor([logit, log_precision])
    torch.testing.assert_close(bounded_parameters(inside), inside, atol=0.01, rtol=0)


anything = st.floats(width=32, allow_nan=False)
ends_of_targets = st.one_of(share_logits, st.just(math.nan))


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(anything, anything, share_logits, st.floats(0, 5), st.booleans(), st.booleans()),
        min_size=1,
        max_size=6,
    )
)
def test_whatever_the_outputs_loss_and_gradient_are_numbers(cases):
    """Points, intervals and open ones, observed or not (then of nan), infinite outputs too."""
    parameters = torch.tensor([case[:2] for case in cases], requires_grad=True)
    observed = torch.tensor([case[4] for case in cases])
    lower = torch.tensor([case[2] for case in cases])
    upper = lower + torch.tensor([case[3] for case in cases])
    lower = torch.where(torch.tensor([case[5] for case in cases]) & (upper > lower), -np.inf, lower)
    lower, upper = (torch.where(observed, end, torch.nan) for end in (lower, upper))
    loss = masked_beta_loss(parameters, lower, upper, observed, marginal=MARGINAL)
    loss.backward()
    assert loss.isfinite()
    assert parameters.grad.isfinite().all()
    assert not parameters.grad[~observed].any()


def test_a_case_without_target_changes_nothing():
    parameters = torch.randn(3, 2)
    ends = torch.tensor([-1.0, torch.nan, 0.5])
    observed = torch.tensor([True, False, True])
    found = masked_beta_loss(parameters, ends, ends, observed, marginal=MARGINAL)
    expected = masked_beta_loss(
        parameters[observed], ends[observed], ends[observed], observed[observed], marginal=MARGINAL
    )
    torch.testing.assert_close(found, expected)
    assert masked_beta_loss(parameters, ends, ends, ~torch.ones(3).bool(), marginal=MARGINAL) == 0


def test_the_distribution_of_all_targets_has_a_loss_of_one():
    ends = torch.tensor([-3.0, 0.0, 1.0])
    observed = torch.ones(3, dtype=torch.bool)
    loss = masked_beta_loss(MARGINAL.expand(3, 2), ends, ends + 1, observed, marginal=MARGINAL)
    assert loss.item() == pytest.approx(1, abs=1e-6)


def test_the_loss_is_least_at_the_truth():
    """Not at another mean, nor at a precision that claims more or less than there is."""
    truth = torch.tensor([-1.2, 2.3])
    shares = scipy_beta(*truth.tolist()).rvs(4000, random_state=0).clip(1e-4, 1 - 1e-4)
    ends = torch.from_numpy(np.log(shares / (1 - shares)))
    observed = torch.ones(len(ends), dtype=torch.bool)

    def loss(*change):
        parameters = (truth + torch.tensor(change)).expand(len(ends), 2)
        return masked_beta_loss(parameters, ends, ends, observed, marginal=MARGINAL)

    best = loss(0.0, 0.0)
    assert all(best < loss(*change) for change in ((0.2, 0.0), (-0.2, 0), (0, 0.3), (0, -0.3)))
