"""Targets of a batch by case id, and losses on one scale."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nnmtl.cohort.targets import ClassTarget, ContinuousTarget, TargetTable
from nnmtl.losses.targets import batch_targets, biomarker_losses, from_head_scale, to_head_scale
from nnmtl.planning.architecture import HeadPlan

PERCENT = HeadPlan(name="Ki67", kind="continuous", num_outputs=1, range=(0.0, 100.0))
BETA = HeadPlan(name="Ki67", kind="beta", num_outputs=2, range=(0.0, 100.0))
PLAIN = HeadPlan(name="age", kind="continuous", num_outputs=1)
ER = HeadPlan(name="ER", kind="binary", num_outputs=1)
HER2 = HeadPlan(name="HER2_3", kind="categorical", num_outputs=3)
CPU = torch.device("cpu")
NAN = np.nan
TABLE = TargetTable(
    case_ids=("a", "b", "c"),
    patient_ids=("p", "q", "r"),
    centers=("A", "A", "B"),
    targets={
        "ER": ClassTarget(
            possible=np.array([[False, True], [True, True], [True, False]]),
            observed=np.array([True, False, True]),
        ),
        "Ki67": ContinuousTarget(
            lower=np.array([20.0, NAN, 10.0]),
            upper=np.array([20.0, NAN, 30.0]),
            observed=np.array([True, False, True]),
        ),
    },
)


@given(st.floats(0.5, 99.5))
def test_a_percentage_comes_back_from_the_heads_scale(value):
    there = to_head_scale(np.array([value]), PERCENT)
    assert from_head_scale(there, PERCENT)[0] == pytest.approx(value)


@given(st.floats(-1e3, 1e3))
def test_a_plain_value_is_its_own_scale(value):
    assert from_head_scale(to_head_scale(np.array([value]), PLAIN), PLAIN)[0] == value


@given(st.floats(-50, 50))
def test_no_answer_leaves_the_range(logit):
    low, high = 5.0, 60.0
    head = HeadPlan(name="x", kind="continuous", num_outputs=1, range=(low, high))
    assert low <= from_head_scale(np.array([logit]), head)[0] <= high


def test_the_ends_of_the_range_are_finite_and_symmetric():
    low, middle, high = to_head_scale(np.array([0.0, 50.0, 100.0]), PERCENT)
    assert np.isfinite([low, high]).all()
    assert low == pytest.approx(-high)
    assert middle == 0


def test_targets_are_found_by_case_id_in_the_batchs_order():
    targets = batch_targets(TABLE, ["c", "a", "b"], [ER, PERCENT], device=CPU)
    assert targets["ER"].observed.tolist() == [True, True, False]
    assert targets["ER"].possible.tolist() == [[True, False], [False, True], [True, True]]
    expected = to_head_scale(np.array([10.0, 20.0]), PERCENT)
    np.testing.assert_allclose(targets["Ki67"].lower[:2], expected, rtol=1e-6)
    np.testing.assert_allclose(targets["Ki67"].upper[0], to_head_scale(30.0, PERCENT), rtol=1e-6)


def losses(outputs, table=TABLE, cases=("a", "b", "c"), heads=(ER, PERCENT), scale=1.0):
    targets = batch_targets(table, cases, heads, device=CPU)
    scaling = {"Ki67": (torch.tensor(0.0), torch.tensor(scale))}
    return biomarker_losses(outputs, targets, heads, scaling, smoothing=0.0)


def test_a_head_that_knows_nothing_has_a_loss_of_one():
    """Class heads answer evenly; a continuous one answers the mean of standardized targets."""
    generator = np.random.default_rng(0)
    count = 4000
    classes = np.eye(3, dtype=bool)[generator.integers(0, 3, count)]
    signs = np.eye(2, dtype=bool)[generator.integers(0, 2, count)]
    logits = 0.7 * generator.normal(size=count)
    values = from_head_scale(logits, PERCENT)
    known = np.ones(count, dtype=bool)
    names = tuple(f"{number:05d}" for number in range(count))
    table = TargetTable(
        case_ids=names,
        patient_ids=names,
        centers=("A",) * count,
        targets={
            "ER": ClassTarget(possible=signs, observed=known),
            "HER2_3": ClassTarget(possible=classes, observed=known, categories=("0", "1", "2")),
            "Ki67": ContinuousTarget(lower=values, upper=values, observed=known),
        },
    )
    outputs = {
        "ER": torch.zeros(count, 1),
        "HER2_3": torch.zeros(count, 3),
        "Ki67": torch.zeros(count, 1),
    }
    found = losses(outputs, table, names, (ER, HER2, PERCENT), scale=0.7)
    assert found["ER"].item() == pytest.approx(1)
    assert found["HER2_3"].item() == pytest.approx(1)
    assert found["Ki67"].item() == pytest.approx(1, rel=0.05)
    steps = HeadPlan(name="HER2_3", kind="ordinal", num_outputs=2)
    ordinal = losses({"HER2_3": torch.zeros(count, 2)}, table, names, (steps,))
    assert ordinal["HER2_3"].item() == pytest.approx(1)


def test_a_case_without_target_changes_no_loss():
    outputs = {"ER": torch.tensor([[1.0], [5.0], [-1.0]]), "Ki67": torch.randn(3, 1)}
    without = {name: value[[0, 2]] for name, value in outputs.items()}
    some = losses(without, cases=("a", "c"))
    for name, value in losses(outputs).items():
        torch.testing.assert_close(value, some[name])


def test_an_answer_inside_an_interval_costs_nothing():
    inside = float(to_head_scale(np.array([25.0]), PERCENT)[0])
    outputs = {"ER": torch.zeros(1, 1), "Ki67": torch.tensor([[inside]])}
    assert losses(outputs, cases=("c",))["Ki67"] == 0


@given(st.floats(0, 100))
def test_a_beta_heads_percentage_comes_back_whole_range_included(value):
    there = to_head_scale(np.array([value]), BETA)
    assert np.isfinite(there).all()
    assert from_head_scale(there, BETA)[0] == pytest.approx(value, abs=1e-9)


def test_shares_are_squeezed_as_published():
    """Smithson and Verkuilen 2006: (s (n - 1) + 1/2) / n, here with n = 100."""
    share = 1 / (1 + np.exp(-to_head_scale(np.array([0.0, 20.0, 100.0]), BETA)))
    np.testing.assert_allclose(share, [0.005, 0.203, 0.995])


def test_an_interval_to_the_end_of_the_range_is_open_for_a_beta_head_and_a_value_there_is_not():
    names = ("a", "b", "c", "d")
    ends = np.array([[0.0, 5.0], [80.0, 100.0], [0.0, 0.0], [NAN, NAN]])
    target = ContinuousTarget(
        lower=ends[:, 0], upper=ends[:, 1], observed=np.array([True, True, True, False])
    )
    table = TargetTable(
        case_ids=names, patient_ids=names, centers=("A",) * 4, targets={"Ki67": target}
    )
    found = batch_targets(table, names, [BETA], device=CPU)["Ki67"]
    assert found.lower.isneginf().tolist() == [True, False, False, False]
    assert found.upper.isposinf().tolist() == [False, True, False, False]


def test_a_beta_head_that_says_nothing_has_a_loss_of_one():
    """Outputs of 0 are the distribution of all targets, whatever the cases' own."""
    targets = batch_targets(TABLE, ["a", "b", "c"], [BETA], device=CPU)
    scaling = {"Ki67": (torch.tensor([-1.1, 1.4]), torch.tensor([0.8, 1.0]))}
    outputs = {"Ki67": torch.zeros(3, 2)}
    found = biomarker_losses(outputs, targets, [BETA], scaling, smoothing=0.05)
    assert found["Ki67"].item() == pytest.approx(1, abs=1e-5)
