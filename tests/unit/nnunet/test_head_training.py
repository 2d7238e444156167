"""Which weights the heads' losses have."""

from types import SimpleNamespace

import pytest

from nnmtl.losses.joint import dynamic_weights
from nnmtl.nnunet.head_training import HeadTraining
from nnmtl.planning.architecture import HeadPlan

HEADS = [HeadPlan(name=name, kind="binary", num_outputs=1) for name in ("ER", "PR")]
PLANNED = {"ER": 2.0, "PR": 0.5}
ALONE = {"segmentation": 0.4}
PAST = [
    ALONE,
    ALONE | {"ER": 1.0, "PR": 1.0},
    ALONE | {"ER": 0.9, "PR": 1.0},
    ALONE | {"ER": 0.3, "PR": 0.9},
]


def weights(weighting, past):
    plan = SimpleNamespace(task_weighting=weighting, loss_weights=PLANNED)
    return HeadTraining._loss_weights(SimpleNamespace(heads=HEADS, plan=plan), past)


@pytest.mark.parametrize("weighting", ["fixed", "uncertainty", "upgrad"])
def test_other_weightings_leave_the_planned_ones(weighting):
    assert weights(weighting, PAST) == PLANNED


@pytest.mark.parametrize("epochs", [0, 1, 2])
def test_dynamic_weights_wait_for_two_epochs_with_heads(epochs):
    assert weights("dwa", PAST[:epochs]) == PLANNED


def test_dynamic_weights_multiply_the_planned_ones_by_the_last_two_epochs():
    factors = dynamic_weights({"ER": 0.3, "PR": 0.9}, {"ER": 0.9, "PR": 1.0})
    assert factors["PR"] > 1 > factors["ER"]
    assert weights("dwa", PAST) == {name: PLANNED[name] * factors[name] for name in PLANNED}
