"""The alarm rings when a head answers every case alike, and only then."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from nnmtl.nnunet.center_mix import CenterMix
from nnmtl.nnunet.monitor import QUIET, HeadMonitor
from nnmtl.planning.architecture import HeadPlan

HEADS = (
    HeadPlan(name="ER", kind="binary", num_outputs=1),
    HeadPlan(name="HER2_3", kind="ordinal", num_outputs=2),
    HeadPlan(name="Ki67", kind="continuous", num_outputs=1, range=(0.0, 100.0)),
)


@dataclasses.dataclass
class Plan:
    warmup_fraction: float = 0.0


@pytest.fixture
def monitor():
    loaders = [SimpleNamespace(indices=["a"]), SimpleNamespace(indices=["b"])]  # of two grids
    return HeadMonitor(SimpleNamespace(heads=HEADS), CenterMix(loaders, [0.5, 0.5]))


def rings_for(monitor, batches, *, progress=1.0, plan=None):
    for batch in batches:
        monitor.add(batch)
    alarms = monitor.alarms(progress, plan or Plan())
    return [alarm.partition(":")[0] for alarm in alarms]


def outputs(make):
    return {head.name: make(head.num_outputs) for head in HEADS}


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_it_rings_for_every_head_that_answers_all_cases_alike(monitor, batch_size):
    batches = [outputs(lambda n: torch.full((batch_size, n), 0.7))] * 12
    assert rings_for(monitor, batches) == [head.name for head in HEADS]


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_it_is_silent_while_answers_vary_between_cases(monitor, batch_size):
    batches = [outputs(lambda n: torch.randn(batch_size, n)) for _ in range(12)]
    assert rings_for(monitor, batches) == []


@pytest.mark.parametrize("batch_size", [2, 8])
def test_it_rings_where_the_one_answer_to_all_cases_drifts(monitor, batch_size):
    """As the bias of a head does that is trained fast."""
    batches = [
        outputs(lambda n, at=at: torch.full((batch_size, n), at / 6 - 1)) for at in range(12)
    ]
    assert rings_for(monitor, batches) == [head.name for head in HEADS]


def test_it_names_the_one_head_that_has_collapsed(monitor):
    batches = [
        {**outputs(lambda n: torch.randn(4, n)), "Ki67": torch.full((4, 1), -0.1)} for _ in range(3)
    ]
    assert rings_for(monitor, batches) == ["Ki67"]


def test_it_is_silent_at_the_start_of_the_joint_phase_and_forgets_the_epoch(monitor):
    alike = [outputs(lambda n: torch.zeros(4, n))] * 3
    start = 0.4 + 0.6 * QUIET
    plan = Plan(warmup_fraction=0.4)
    assert rings_for(monitor, alike, progress=start - 0.01, plan=plan) == []
    assert rings_for(monitor, [], plan=plan) == [], "the epoch before is forgotten"
    assert len(rings_for(monitor, alike, progress=start + 0.01, plan=plan)) == 3
