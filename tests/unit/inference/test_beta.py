"""What a beta head says in percent, against SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from nnmtl.inference.beta import beta_at_least, beta_median
from nnmtl.losses.beta import LOG_PRECISION_LIMITS, MEAN_LOGIT_LIMIT
from nnmtl.planning.architecture import HeadPlan

HEAD = HeadPlan(name="Ki67", kind="beta", num_outputs=2, range=(0.0, 100.0))
CUTOFFS = (0.0, 14.0, 20.0, 30.0, 100.0)
limits = np.array([[-MEAN_LOGIT_LIMIT, LOG_PRECISION_LIMITS[0]], [MEAN_LOGIT_LIMIT, 7.0]])
parameters = arrays(float, (3, 2), elements=st.floats(0, 1)).map(
    lambda shares: limits[0] + shares * (limits[1] - limits[0])
)


@settings(deadline=None)
@given(parameters)
def test_a_higher_cutoff_is_never_likelier_and_all_are_probabilities(parameters):
    found = beta_at_least(parameters, CUTOFFS, HEAD)
    assert found.shape == (3, 5)
    assert (np.diff(found, axis=1) <= 0).all()
    assert ((found >= 0) & (found <= 1)).all()


@settings(deadline=None)
@given(parameters)
def test_the_median_lies_in_the_range_and_is_reached_with_even_odds(parameters):
    found = beta_median(parameters, HEAD)
    assert ((found >= 0) & (found <= 100)).all()
    inside = (found > 1) & (found < 99)  # where the squeeze does not cut it off
    for value, one in zip(found[inside], parameters[inside], strict=True):
        assert beta_at_least(one, [value], HEAD) == pytest.approx(0.5, abs=1e-6)


def test_a_cutoff_is_squeezed_as_the_targets_are():
    """Mean .25 and precision 8 is beta(2, 6); 20 % of targets are .203 of the squeezed ones."""
    one = np.array([np.log(0.25 / 0.75), np.log(8.0)])
    assert beta_at_least(one, [20.0], HEAD)[0] == pytest.approx(stats.beta(2, 6).sf(0.203))
    expected = (100 * stats.beta(2, 6).median() * 100 - 50) / 99
    assert beta_median(one, HEAD) == pytest.approx(expected)
