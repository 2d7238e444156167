"""Which grid a center has, and which one suits an image of an unknown center."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnmtl.errors import NnmtlError
from nnmtl.nnunet.grids import read_grids
from nnmtl.planning.preset import load_preset

NATIVE = {"b": (1.5, 0.8, 0.8), "c": (3.0, 1.2, 1.2), "d": (1.0, 1.0, 1.0)}


def section(policy="per_center"):
    preset = load_preset("spatial_mtl").training
    derived = {"preset": "p", "roi_size": [16, 32, 32], "loss_weights": {}, "reasons": {}}
    settings = {
        key: value for key, value in preset.items() if key not in ("head_weight", "max_roi_voxels")
    }
    return settings | derived | {"spacing_policy": policy, "epochs": 3}


def center(native_mm, **changes):
    planned = [min(native_mm[0], 2.8), *native_mm[1:]]  # as 3 mm beside a shared 2 mm
    own = {"center": "X", "native_spacing_mm": list(native_mm), "roi_size": [8, 40, 40]}
    return {
        "inherits_from": "3d_fullres",
        "spacing": planned,
        "patch_size": [16, 48, 48],
        "nnmtl": own | {"reasons": {}} | changes,
    }


def plans(policy="per_center", **centers):
    shared = {
        "spacing": [2.0, 1.0, 1.0],
        "patch_size": [16, 64, 64],
        "architecture": {},
        "nnmtl": section(policy),
    }
    configurations = {
        "3d_fullres": shared,
        "2d": {**shared, "spacing": [1.0, 1.0]},
        "3d_fullres_mine": {"inherits_from": "3d_fullres", "spacing": [9.0, 9.0, 9.0]},
    }
    own = {f"3d_fullres_{slug}": configuration for slug, configuration in centers.items()}
    return PlansManager({"configurations": configurations | own})


@pytest.fixture
def grids():
    return read_grids(plans(**{slug: center(mm) for slug, mm in NATIVE.items()}), "3d_fullres")


def test_a_center_has_its_own_grid_and_the_rest_of_the_shared_one(grids):
    grid = grids.of_center("C")
    assert grid.spacing_mm == (2.8, 1.2, 1.2)
    assert grid.roi_size == (8, 40, 40)
    assert grid.training.epochs == grids.reference.training.epochs == 3
    assert list(grid.manager.patch_size) == [16, 48, 48]


def test_a_center_without_one_has_the_shared_grid(grids):
    assert grids.of_center("A") is grids.reference
    assert grids.reference.roi_size == (16, 32, 32)


def test_a_configuration_that_a_person_has_added_is_no_centers(grids):
    assert [grid.name for grid in grids.all] == [
        "3d_fullres", "3d_fullres_b", "3d_fullres_c", "3d_fullres_d",
    ]  # fmt: skip


@pytest.mark.parametrize(("policy", "configuration"), [("pooled", "3d_fullres"), ("native", "2d")])
def test_one_grid_for_all_whatever_the_plans_have_besides(policy, configuration):
    found = read_grids(plans(policy, b=center(NATIVE["b"])), configuration)
    assert found.all == (found.reference,)
    assert found.of_center("B") is found.reference
    assert found.nearest((9.0, 9.0, 9.0)).is_near, "there is nothing to compare with"


def test_a_center_that_came_later_goes_before_the_plans():
    later = center((1.2, 1.2, 1.2))
    found = read_grids(
        plans(b=center(NATIVE["b"])), "3d_fullres", further={"b": later, "new": later}
    )
    assert found.of_center("B").spacing_mm == (1.2, 1.2, 1.2)
    assert found.of_center("New").native_mm == (1.2, 1.2, 1.2)


def test_a_model_of_one_grid_does_not_call_an_image_unusual_for_a_center_that_came_later():
    later = center((1.2, 1.2, 1.2))
    found = read_grids(plans("pooled"), "3d_fullres", further={"new": later})
    assert found.nearest((1.2, 1.2, 1.2)).grid.name == "3d_fullres_new"
    assert found.nearest((9.0, 9.0, 9.0)) == (found.reference, True)


def test_an_unknown_key_of_a_center_is_refused():
    with pytest.raises(NnmtlError, match=r"got \['roi'\]; remove"):
        read_grids(plans(b=center(NATIVE["b"], roi=[8, 8, 8])), "3d_fullres")


@pytest.mark.parametrize("slug", sorted(NATIVE))
def test_an_image_with_the_voxels_of_a_center_gets_its_grid(slug, grids):
    found = grids.nearest(NATIVE[slug])
    assert found.is_near
    assert found.grid.name == f"3d_fullres_{slug}"


triples = st.tuples(*[st.floats(0.3, 8.0)] * 3)


@given(triples)
def test_a_grid_is_near_within_a_factor_of_the_images_that_it_was_planned_for(spacing):
    grids = read_grids(plans(**{slug: center(mm) for slug, mm in NATIVE.items()}), "3d_fullres")

    def steps(grid):
        return [math.log(a / b) for a, b in zip(spacing, grid.native_mm, strict=True)]

    found, is_near = grids.nearest(spacing)
    nearest = min(grids.all, key=lambda grid: sum(step**2 for step in steps(grid)))
    assert is_near == (max(map(abs, steps(nearest))) <= math.log(1.4) + 1e-9)
    assert found is (nearest if is_near else grids.reference)
