"""What the heads know of targets: the given cases' and nobody else's."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import expit

from nnmtl.cohort.targets import ClassTarget, ContinuousTarget, TargetTable
from nnmtl.losses.targets import to_head_scale
from nnmtl.network.tower import BiomarkerTower
from nnmtl.nnunet.target_statistics import SMALLEST_SCALE, set_target_statistics
from nnmtl.planning.architecture import HeadPlan

HEADS = (
    HeadPlan(name="ER", kind="binary", num_outputs=1),
    HeadPlan(name="Ki67", kind="continuous", num_outputs=1, range=(0.0, 100.0)),
)
BETA = HeadPlan(name="Ki67", kind="beta", num_outputs=2, range=(0.0, 100.0))
NAN = np.nan


@pytest.fixture
def tower(make_plan):
    plan = make_plan(heads=HEADS)
    return BiomarkerTower(plan, stage_channels=[2], input_channels=1)


def table(er, ki67):
    """One case per entry; None is not observed, a pair is an interval."""
    names = tuple(f"c{number}" for number in range(len(er)))
    ends = np.array([(NAN, NAN) if k is None else np.broadcast_to(k, 2) for k in ki67], float)
    return TargetTable(
        case_ids=names,
        patient_ids=names,
        centers=("A",) * len(er),
        targets={
            "ER": ClassTarget(
                possible=np.array([[v != 1, v != 0] for v in er]),
                observed=np.array([v is not None for v in er]),
            ),
            "Ki67": ContinuousTarget(
                lower=ends[:, 0], upper=ends[:, 1], observed=~np.isnan(ends).any(1)
            ),
        },
    )


def buffers(tower):
    return {
        name: value.clone()
        for name, value in tower.state_dict().items()
        if name.rpartition(".")[2] in ("center", "scale", "threshold", "median")
    }


def same(one, other):
    return all(torch.equal(one[name].nan_to_num(7), other[name].nan_to_num(7)) for name in one)


def test_the_threshold_is_the_prevalence_among_observed_cases(tower):
    set_target_statistics(tower, table([1, 1, 1, 0, None], [None] * 5), HEADS)
    assert tower.head("ER").threshold == 0.75


def test_center_scale_and_median_are_those_of_the_observed_cases(tower):
    set_target_statistics(tower, table([None] * 4, [20.0, (10.0, 30.0), 60.0, None]), HEADS)
    head = tower.head("Ki67")
    scaled = to_head_scale(np.array([20.0, 20.0, 60.0]), HEADS[1])
    assert head.median == 20
    assert head.center.item() == pytest.approx(scaled.mean())
    assert head.scale.item() == pytest.approx(scaled.std())


def test_cases_outside_the_given_table_do_not_matter(tower):
    whole = table([1, 0, 1, 0, 0], [10.0, 20.0, 30.0, 90.0, 95.0])
    other = table([1, 0, 1, 1, 1], [10.0, 20.0, 30.0, 1.0, 2.0])
    found = []
    for each in (whole, other):
        set_target_statistics(tower, each.select(["c0", "c1", "c2"]), HEADS)
        found.append(buffers(tower))
    assert same(*found)


def test_a_biomarker_that_nobody_has_leaves_its_buffers(tower):
    before = buffers(tower)
    set_target_statistics(tower, table([None, None], [None, None]), HEADS)
    assert same(before, buffers(tower))


def test_equal_targets_do_not_give_a_scale_of_zero(tower):
    set_target_statistics(tower, table([1, 0], [20.0, 20.0]), HEADS)
    assert tower.head("Ki67").scale.item() == pytest.approx(SMALLEST_SCALE)


def test_the_threshold_is_the_prevalence_among_the_cases_as_they_are_drawn(tower):
    cases = table([1, 0, 0, None], [10, 10, 10, 10])
    shares = np.array([0.4, 0.2, 0.2, 0.2])
    set_target_statistics(tower, cases, HEADS, shares=shares)
    assert float(tower.head("ER").threshold) == pytest.approx(0.5)


@pytest.fixture
def beta_tower(make_plan):
    return BiomarkerTower(make_plan(heads=(BETA,)), stage_channels=[2], input_channels=1)


def test_a_beta_head_starts_from_the_distribution_of_all_targets(beta_tower):
    ki67 = [2.0, 5.0, 10.0, (10.0, 30.0), 30.0, 65.0]
    set_target_statistics(beta_tower, table([None] * 7, [*ki67, None]), (BETA,))
    head = beta_tower.head("Ki67")
    logits = to_head_scale(np.array([2.0, 5.0, 10.0, 20.0, 30.0, 65.0]), BETA)
    mean, precision = 1 / (1 + np.exp(-head.center[0].item())), np.exp(head.center[1].item())
    same = stats.beta(mean * precision, (1 - mean) * precision)
    assert same.mean() == pytest.approx(expit(logits).mean(), rel=1e-5)
    assert same.var() == pytest.approx(expit(logits).var(), rel=1e-5)
    assert head.scale.tolist() == pytest.approx([logits.std(), 1])
    assert head.median == 15


@pytest.mark.parametrize("ki67", [[20.0], [20.0, 20.0], [0.0, 100.0], [0.0], [100.0, 100.0]])
def test_whatever_the_targets_a_beta_head_starts_from_numbers(beta_tower, ki67):
    set_target_statistics(beta_tower, table([None] * len(ki67), ki67), (BETA,))
    head = beta_tower.head("Ki67")
    assert head.center.isfinite().all()
    assert head.scale.isfinite().all()
    assert (head.scale > 0).all()
