"""A small plan of a multi-task network, and a tower built from it."""

import dataclasses

import pytest

from nnmtl.network.tower import BiomarkerTower

STAGE_CHANNELS = [4, 6, 8]


@pytest.fixture
def plan(breast_plan):
    return breast_plan


@pytest.fixture
def make_tower(plan):
    """A tower of the plan, with some of its fields changed."""

    def make(**changes):
        changed = dataclasses.replace(plan, **changes)
        return BiomarkerTower(changed, stage_channels=STAGE_CHANNELS, input_channels=2)

    return make
