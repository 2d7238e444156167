"""Plans of a network with heads, for tests of several rooms that change some of it."""

import pytest

from nnmtl.planning.architecture import ArchitecturePlan, HeadPlan, RegionPlan


@pytest.fixture(scope="session")
def make_plan():
    """The smallest, with some of its fields changed."""

    def make(**changes):
        fields = {
            "spacing_mm": (1.0, 1.0),
            "tumor_labels": (1,),
            "regions": (RegionPlan(name="core", inner_mm=None, outer_mm=0.0),),
            "taps": (0,),
            "region_masking": "pool",
            "shared_encoder": True,
            "pooling": "regions",
            "attention": "none",
            "token_mixer": False,
            "self_attention": False,
            "intensity": False,
            "num_centers": 1,
            "descriptors": ("log_volume",),
            "covariates": (),
            "heads": (HeadPlan(name="ER", kind="binary", num_outputs=1),),
            "width": 2,
            "dropout": 0.0,
            "region_dropout": 0.0,
            "softness_mm": 0.7,
            "jitter_mm": 0.0,
        }
        return ArchitecturePlan(**fields | changes)

    return make


@pytest.fixture
def breast_plan(make_plan):
    """All regions, and a head of each kind."""
    return make_plan(
        spacing_mm=(1.0, 1.0, 1.0),
        regions=(
            RegionPlan(name="core", inner_mm=None, outer_mm=-1.0),
            RegionPlan(name="rim", inner_mm=-1.0, outer_mm=0.0),
            RegionPlan(name="peritumoral", inner_mm=0.0, outer_mm=3.0),
            RegionPlan(name="context", inner_mm=None, outer_mm=None),
        ),
        taps=(0, 1),
        attention="multi_scale",
        intensity=True,
        covariates=("age",),
        heads=(
            HeadPlan(name="ER", kind="binary", num_outputs=1),
            HeadPlan(name="HER2_3", kind="categorical", num_outputs=3),
            HeadPlan(name="Ki67", kind="continuous", num_outputs=1, range=(0.0, 100.0)),
        ),
        width=4,
    )
