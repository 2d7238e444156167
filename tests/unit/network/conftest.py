"""A small plan of a multi-task network, and a tower built from it."""

import dataclasses

import pytest

from nnmtl.network.tower import BiomarkerTower
from nnmtl.planning.architecture import ArchitecturePlan, HeadPlan, RegionPlan

STAGE_CHANNELS = [4, 6, 8]
PLAN = ArchitecturePlan(
    spacing_mm=(1.0, 1.0, 1.0),
    tumor_labels=(1,),
    regions=(
        RegionPlan(name="core", inner_mm=None, outer_mm=-1.0),
        RegionPlan(name="rim", inner_mm=-1.0, outer_mm=0.0),
        RegionPlan(name="peritumoral", inner_mm=0.0, outer_mm=3.0),
        RegionPlan(name="context", inner_mm=None, outer_mm=None),
    ),
    taps=(0, 1),
    region_masking="pool",
    shared_encoder=True,
    pooling="regions",
    attention="multi_scale",
    token_mixer=False,
    self_attention=False,
    intensity=True,
    num_centers=1,
    descriptors=("log_volume",),
    covariates=("age",),
    heads=(
        HeadPlan(name="ER", kind="binary", num_outputs=1),
        HeadPlan(name="HER2_3", kind="categorical", num_outputs=3),
        HeadPlan(name="Ki67", kind="continuous", num_outputs=1, range=(0.0, 100.0)),
    ),
    width=4,
    dropout=0.0,
    region_dropout=0.0,
    softness_mm=0.7,
    jitter_mm=0.0,
)


@pytest.fixture
def make_tower():
    """A tower of the plan, with some of its fields changed."""

    def make(**changes):
        plan = dataclasses.replace(PLAN, **changes)
        return BiomarkerTower(plan, stage_channels=STAGE_CHANNELS, input_channels=2)

    return make


@pytest.fixture
def plan():
    return PLAN
