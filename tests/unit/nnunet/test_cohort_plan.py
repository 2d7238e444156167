"""The configurations that a plans file gets, for any cohort and policy; no network is built."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnmtl.cohort.group_geometry import CohortGeometry, GroupGeometry
from nnmtl.errors import NnmtlError
from nnmtl.nnunet.cohort_plan import (
    add_centers,
    balanced_fingerprint,
    has_center_grids,
    plan_cohort,
)
from nnmtl.planning.budget import Budget, within_budget
from nnmtl.planning.center_configuration import OWN_KEYS, center_configurations
from nnmtl.planning.preset import load_preset
from nnmtl.planning.spacing import BANDS

PRESETS = {
    f"{base}+{policy}": load_preset(f"{base}+{policy}")
    for base in ("spatial_mtl", "tiny_cpu")
    for policy in BANDS
}
BUDGETS = (Budget(), Budget(memory_gb=3), Budget(memory_gb=40), Budget(device="cpu"))
PHANTOM = {
    "A": (2.0, 1.0, 1.0), "B": (1.5, 0.8, 0.8), "C": (3.0, 1.2, 1.2), "D": (1.0, 1.0, 1.0),
}  # fmt: skip

cases = st.tuples(st.tuples(*[st.floats(0.3, 8.0)] * 3), st.tuples(*[st.integers(16, 512)] * 3))
cohorts = st.lists(st.tuples(cases, st.integers(1, 300)), min_size=1, max_size=12)
orders = st.permutations([0, 1, 2])


def group(name, num_cases, spacing, shape, extent):
    return GroupGeometry(
        name=name,
        num_cases=num_cases,
        spacing_mm=spacing,
        fine_spacing_mm=spacing,
        shape=shape,
        field_of_view_mm=tuple(n * mm for n, mm in zip(shape, spacing, strict=True)),
        tumor_extent_mm=extent,
    )


def cohort(drawn, extent=(30.0, 40.0, 40.0)):
    groups = [group(f"c{at}", count, *case, extent) for at, (case, count) in enumerate(drawn)]
    overall = group("overall", sum(count for _, count in drawn), *drawn[0][0], extent)
    return CohortGeometry(overall=overall, centers=tuple(groups))


def phantom(num_cases=20, view_mm=(128.0, 96.0, 96.0)):
    drawn = [
        ((mm, tuple(round(v / one) for v, one in zip(view_mm, mm, strict=True))), num_cases)
        for mm in PHANTOM.values()
    ]
    return cohort(drawn)


def plans_of(plan, order):
    """nnU-Net's plans of the shared grid, with its axes in this order."""
    topology = plan.topology

    def turned(values):
        return [values[axis] for axis in order]

    shared = {
        "spacing": turned(topology.spacing_mm),
        "patch_size": turned(topology.patch_size),
        "batch_size": topology.batch_size,
        "architecture": {"arch_kwargs": {"strides": [turned(each) for each in topology.strides]}},
        "nnmtl": {"roi_size": turned(plan.roi.size), "reasons": {}},
    }
    return {
        "transpose_forward": list(order),
        "transpose_backward": [list(order).index(axis) for axis in range(3)],
        "configurations": {"3d_fullres": shared},
    }


@settings(deadline=None, max_examples=60)
@given(cohorts, orders, st.sampled_from(sorted(PRESETS)), st.sampled_from(BUDGETS))
def test_what_is_written_is_what_is_explained_and_valid(drawn, order, name, budget):
    geometry = cohort(drawn)
    plan = plan_cohort(geometry, PRESETS[name], budget=budget)
    preset = within_budget(PRESETS[name], budget).preset
    plans = plans_of(plan, order)
    add_centers(plans, geometry, preset, num_classes=2, memory_gb=budget.memory_gb)
    shared, *_ = plans["configurations"].values()
    own = {key: value for key, value in plans["configurations"].items() if key != "3d_fullres"}
    assert own == center_configurations(plan, order) == json.loads(json.dumps(own))
    divisor = [math.prod(axis) for axis in zip(*shared["architecture"]["arch_kwargs"]["strides"],
                                               strict=True)]  # fmt: skip
    band = BANDS[preset.training["spacing_policy"]]
    for configuration in own.values():
        assert set(configuration) == OWN_KEYS
        section, reasons = configuration["nnmtl"], configuration["nnmtl"]["reasons"]
        windows = {
            "patch_size": (configuration["patch_size"], plan.topology.max_patch_voxels),
            "roi_size": (section["roi_size"], preset.training["max_roi_voxels"]),
        }
        for key, (size, budget) in windows.items():
            assert not any(voxels % step for voxels, step in zip(size, divisor, strict=True))
            assert math.prod(size) <= max(budget, math.prod(2 * step for step in divisor))
            of = shared[key] if key in shared else shared["nnmtl"][key]
            views = zip(size, configuration["spacing"], of, shared["spacing"], divisor, strict=True)
            is_less = any(n * mm + step * mm * (1 + 1e-9) < m * at for n, mm, m, at, step in views)
            assert not is_less or "less than" in reasons[key]
        for planned, at in zip(configuration["spacing"], shared["spacing"], strict=True):
            assert at / band * (1 - 1e-9) <= planned <= at * band * (1 + 1e-9)
        assert configuration["spacing"] != shared["spacing"]
        assert 2 <= configuration["batch_size"] <= max(2, shared["batch_size"])


@settings(deadline=None, max_examples=30)
@given(cohorts, st.randoms())
def test_neither_order_of_the_centers_nor_a_second_run_changes_the_plans(drawn, random):
    geometry, preset = cohort(drawn), PRESETS["spatial_mtl+per_center"]
    shuffled = CohortGeometry(
        overall=geometry.overall,
        centers=tuple(random.sample(geometry.centers, len(geometry.centers))),
    )
    plan = plan_cohort(geometry, preset)
    written = []
    for each in (geometry, geometry, shuffled):
        plans = plans_of(plan, (0, 1, 2))
        add_centers(plans, each, preset, num_classes=2)
        written.append(json.dumps(plans))
    assert written[0] == written[1] == written[2]
    assert balanced_fingerprint(geometry) == balanced_fingerprint(shuffled)


def test_the_phantoms_centers_have_the_grids_that_the_band_allows():
    plan = plan_cohort(phantom(), PRESETS["spatial_mtl+per_center"])
    assert plan.topology.spacing_mm == pytest.approx((math.sqrt(1.5 * 2), 1.0, 1.0))
    grids = {center.geometry.name: center.spacing_mm for center in plan.centers}
    finest, coarsest = math.sqrt(3) / 1.4, math.sqrt(3) * 1.4
    assert grids["c0"] == pytest.approx(PHANTOM["A"])
    assert grids["c1"] == pytest.approx(PHANTOM["B"])
    assert grids["c2"] == pytest.approx((coarsest, 1.2, 1.2))
    assert grids["c3"] == pytest.approx((finest, 1.0, 1.0))


def test_native_keeps_every_centers_voxels_and_strict_none():
    native = plan_cohort(phantom(), PRESETS["spatial_mtl+native"])
    assert [each.spacing_mm for each in native.centers] == list(PHANTOM.values())
    strict = plan_cohort(phantom(), PRESETS["spatial_mtl+strict"])
    assert {each.configuration for each in strict.centers} == {"3d_fullres"}


def test_a_single_case_joins_the_shared_grid_and_the_plans_say_so():
    one = cohort([(((2.0, 1.0, 1.0), (64, 96, 96)), 30), (((3.0, 1.2, 1.2), (40, 80, 80)), 1)])
    plan = plan_cohort(one, PRESETS["spatial_mtl+per_center"])
    plans = plans_of(plan, (0, 1, 2))
    add_centers(plans, one, PRESETS["spatial_mtl+per_center"], num_classes=2)
    assert list(plans["configurations"]) == ["3d_fullres"]
    reason = plans["configurations"]["3d_fullres"]["nnmtl"]["reasons"]["center c1"]
    assert "1 cases are fewer than 5" in reason


@pytest.mark.parametrize(
    ("policy", "drawn", "expected"),
    [
        ("per_center", [(((2.0, 1.0, 1.0), (64, 96, 96)), 30)], False),
        ("per_center", [(((2.0, 1.0, 1.0), (64, 96, 96)), 30)] * 2, True),
        ("per_center", [(((2.0, 1.0, 1.0), (1, 96, 96)), 30)] * 2, False),
        ("pooled", [(((2.0, 1.0, 1.0), (64, 96, 96)), 30)] * 2, False),
    ],
)
def test_only_several_centers_of_3d_images_have_grids(policy, drawn, expected):
    assert has_center_grids(cohort(drawn), load_preset(policy)) == expected


def test_two_names_that_give_one_slug_are_refused_before_planning():
    geometry = phantom()
    twins = [group(name, 9, (1.0, 1.0, 1.0), (64, 64, 64), None) for name in ("Site A", "site-a")]
    with pytest.raises(NnmtlError, match="'Site A' and 'site-a' are both 'site-a'"):
        balanced_fingerprint(CohortGeometry(overall=geometry.overall, centers=tuple(twins)))
