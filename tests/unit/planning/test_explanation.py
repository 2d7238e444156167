"""The plan in words."""

import pytest

from nnmtl.cohort.group_geometry import CohortGeometry
from nnmtl.planning.center_plan import RoiNeed
from nnmtl.planning.centers import plan_centers
from nnmtl.planning.explanation import PooledPlan, explain
from nnmtl.planning.topology import Topology

TOPOLOGY = Topology(
    spacing_mm=(1.0, 0.7, 0.7),
    strides=((1, 1, 1), (2, 2, 2), (2, 2, 2)),
    patch_size=(64, 96, 96),
    batch_size=4,
    max_patch_voxels=1_000_000,
    budget="of which two take 8 GB",
)


@pytest.fixture
def text(make_center):
    centers = (
        make_center("Few", 2, (3.0, 0.7, 0.7), (40, 256, 256)),
        make_center("Thick", 30, (2.0, 0.7, 0.8), (80, 256, 256), extent=(30.0, 30.0, 30.0)),
    )
    geometry = CohortGeometry(overall=make_center("overall", 32, (2.0, 0.7, 0.7)), centers=centers)
    need = RoiNeed(extent_mm=(30.0, 30.0, 30.0), margin_mm=10, max_voxels=500_000)
    plan = plan_centers(centers, TOPOLOGY, roi_need=need)
    return explain(
        plan, geometry, PooledPlan(spacing_mm=(2.1, 0.7, 0.7), patch_size=(32, 128, 128))
    )


def test_each_axis_tells_native_planned_band_and_pooled(text):
    assert (
        "z  native 2.00 -> planned 1.40 mm (1.43 times finer than native; allowed 0.71 to 1.40), "
        "1.50 times finer than nnU-Net's pooled 2.10 mm"
    ) in text
    assert (
        "x  native 0.80 -> planned 0.80 mm (as native; allowed 0.50 to 0.98), "
        "1.14 times coarser than nnU-Net's pooled 0.70 mm"
    ) in text


def test_sizes_are_told_in_voxels_and_mm(text):
    assert "patch 44 x 96 x 84 voxels = 62 x 67 x 67 mm, 4 per batch" in text
    assert "ROI 40 x 80 x 72 voxels = 56 x 56 x 58 mm" in text


def test_every_decision_has_a_reason_and_an_alternative(text):
    decisions = [line for line in text.splitlines() if line.startswith("  * ")]
    assert len(decisions) == 3 + 1 + 3
    assert all(". Otherwise: " in line and ": " in line for line in decisions)


def test_a_center_that_joins_is_said_to(text):
    assert "Few: 2 cases, joins 3d_fullres" in text
    assert "2 cases are fewer than 5" in text


def test_the_table_has_a_row_per_center(text):
    table = text.split("\n\n")[1].splitlines()
    assert [line.split()[0] for line in table] == ["center", "Few", "Thick"]
    assert "0.70 x 1.00 x 1.00" in table[2]  # planned / native


def test_without_tumors_it_says_why_there_is_no_region(make_center):
    center = make_center()
    plan = plan_centers([center], TOPOLOGY, roi_need=None)
    geometry = CohortGeometry(overall=center, centers=(center,))
    pooled = PooledPlan(spacing_mm=(1, 1, 1), patch_size=(64, 64, 64))
    text = explain(plan, geometry, pooled)
    assert "no region of interest: no extent of a tumor is known" in text
    assert text.startswith("Plan for 1 center with 20 cases")
