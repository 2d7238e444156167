"""The smallest plan of a network with heads, for tests that change a field or two of it."""

import pytest

from nnmtl.planning.architecture import ArchitecturePlan, HeadPlan, RegionPlan


@pytest.fixture(scope="session")
def make_plan():
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
