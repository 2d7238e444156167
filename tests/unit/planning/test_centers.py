"""Each center's configuration around the shared one, on constructed cohorts."""

import math
from dataclasses import replace

import pytest

from nnmtl.cohort.targets import UNKNOWN_CENTER
from nnmtl.errors import NnmtlError
from nnmtl.planning.center_plan import RoiNeed
from nnmtl.planning.centers import plan_centers
from nnmtl.planning.topology import Topology

SHARED = Topology(
    spacing_mm=(1.0, 1.0, 1.0),
    strides=((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2)),
    patch_size=(96, 128, 128),
    batch_size=2,
    max_patch_voxels=2_000_000,
    budget="of which two take 8 GB",
)
NEED = RoiNeed(extent_mm=(30.0, 40.0, 40.0), margin_mm=10.0, max_voxels=500_000)


def planned(*centers, roi_need=NEED, topology=SHARED, **options):
    return plan_centers(centers, topology, roi_need=roi_need, **options)


def only(*centers, **options):
    (center,) = planned(*centers, **options).centers
    return center


def test_a_center_on_the_shared_grid_has_no_configuration_of_its_own(make_center):
    center = only(make_center(shape=(64, 64, 64)))
    assert center.configuration == "3d_fullres"
    assert center.patch.size == SHARED.patch_size
    assert "the shared voxels" in center.decisions[0].reason


def test_a_center_within_the_band_keeps_its_voxels(make_center):
    center = only(make_center("St Mary", spacing=(1.3, 0.9, 0.9)))
    assert center.configuration == "3d_fullres_st-mary"
    assert center.spacing_mm == (1.3, 0.9, 0.9)
    assert "as for this center alone" in center.decisions[0].reason


def test_a_center_outside_is_set_to_the_end_of_the_band_and_the_reason_says_so(make_center):
    center = only(make_center(spacing=(3.0, 0.5, 1.0)))
    assert center.spacing_mm == (1.4, 1.0 / 1.4, 1.0)
    reason = center.decisions[0].reason
    assert "z 3.00 mm is 3.00 times coarser than the shared grid, allowed is 1.4" in reason
    assert "y 0.50 mm is 2.00 times finer" in reason
    assert center.decisions[0].otherwise.startswith("alone 3.00 x 0.50 x 1.00 mm")


@pytest.mark.parametrize(("num_cases", "joins"), [(1, True), (4, True), (5, False)])
def test_few_cases_join_the_shared_grid_and_it_is_said(num_cases, joins, make_center):
    center = only(make_center(num_cases=num_cases, spacing=(3.0, 1.0, 1.0)))
    assert (center.configuration == "3d_fullres") == joins
    assert (center.spacing_mm == SHARED.spacing_mm) == joins
    if joins:
        assert f"{num_cases} cases are fewer than 5" in center.decisions[0].reason
        assert center.decisions[0].otherwise == "voxels of 1.40 x 1.00 x 1.00 mm"


def test_cases_of_an_unknown_center_join_the_shared_grid(make_center):
    center = only(make_center(UNKNOWN_CENTER, 50, (3.0, 1.0, 1.0)))
    assert center.configuration == "3d_fullres"


def test_one_grid_for_all_is_a_band_of_one(make_center):
    plan = planned(make_center("A", spacing=(3, 1, 1)), make_center("B", spacing=(1, 2, 1)), band=1)
    assert {center.configuration for center in plan.centers} == {"3d_fullres"}


def test_patch_and_region_of_interest_show_the_same_millimeters(make_center):
    need = replace(NEED, max_voxels=10**6)
    plan = planned(make_center(spacing=(1.25, 0.8, 1.0), shape=(200, 400, 400)), roi_need=need)
    (center,) = plan.centers
    assert center.patch.size == (80, 160, 128)
    assert center.patch.size_mm == pytest.approx((100, 128, 128))
    assert center.patch.limited_by == ()
    views = zip(plan.roi.size_mm, center.roi.size_mm, center.spacing_mm, strict=True)
    for shared, own, mm in views:
        assert 0 <= own - shared + 1e-9 < 16 * mm


def test_the_region_of_interest_holds_the_tumors_with_their_margin(make_center):
    roi = planned(make_center()).roi
    needed = [extent + 2 * NEED.margin_mm for extent in NEED.extent_mm]
    assert all(view >= need for view, need in zip(roi.size_mm, needed, strict=True))


def test_memory_goes_before_the_field_of_view_and_the_reason_says_so(make_center):
    fine = make_center(spacing=(0.75, 0.75, 0.75), shape=(400, 400, 400))
    center = only(fine)
    assert math.prod(center.patch.size) <= SHARED.max_patch_voxels
    assert center.patch.limited_by == ("memory",)
    assert "more voxels would exceed the memory budget" in center.decisions[1].reason
    assert center.decisions[1].otherwise == "128 x 176 x 176 voxels for the whole view"


def test_strides_go_before_memory(make_center):
    topology = replace(SHARED, max_patch_voxels=1000)
    center = only(make_center(spacing=(0.9, 0.9, 0.9)), topology=topology)
    assert center.patch.size == (32, 32, 32)  # two steps of 16 are the least


def test_a_patch_is_no_larger_than_the_centers_images_and_the_reason_says_so(make_center):
    center = only(make_center(spacing=(1.25, 1.0, 1.0), shape=(30, 400, 400)))
    assert center.patch.size == (32, 128, 128)
    assert center.patch.limited_by == ("images",)
    assert "half of the center's images are no larger" in center.decisions[1].reason


def test_tumors_that_do_not_fit_are_told(make_center):
    big = make_center("Big", spacing=(1.2, 1, 1), extent=(90.0, 40.0, 40.0))
    small = make_center("Small", spacing=(1.2, 1, 1), extent=(20.0, 20.0, 20.0))
    reasons = [center.decisions[-1].reason for center in planned(big, small).centers]
    assert "up to 90 x 40 x 40 mm, do not fit with 10 mm around" in reasons[0]
    assert "up to 20 x 20 x 20 mm, fit with 10 mm around" in reasons[1]


def test_a_region_of_interest_over_its_budget_is_cut(make_center):
    need = RoiNeed(extent_mm=(150.0, 150.0, 150.0), margin_mm=10.0, max_voxels=100_000)
    plan = planned(make_center(spacing=(0.8, 0.8, 0.8)), roi_need=need)
    for roi in (plan.roi, plan.centers[0].roi):
        assert math.prod(roi.size) <= 100_000
        assert roi.limited_by == ("memory",)


def test_without_tumors_there_is_no_region_of_interest(make_center):
    plan = planned(make_center(spacing=(1.2, 1, 1)), roi_need=None)
    assert plan.roi is None
    assert plan.centers[0].roi is None


def test_a_finer_center_has_a_smaller_batch(make_center):
    topology = replace(SHARED, batch_size=12, max_patch_voxels=10**7)
    center = only(make_center(spacing=(0.75, 0.75, 0.75), shape=(400,) * 3), topology=topology)
    assert center.batch_size == 12 * math.prod(SHARED.patch_size) // math.prod(center.patch.size)


def test_two_names_that_give_one_slug_are_refused(make_center):
    with pytest.raises(NnmtlError, match="'Site A' and 'site-a' are both 'site-a'"):
        planned(make_center("Site A"), make_center("site-a"))


def test_the_order_of_the_centers_does_not_matter(make_center):
    centers = [make_center(name, spacing=(1 + at / 3, 1, 1)) for at, name in enumerate("ABCDE")]
    assert planned(*centers) == planned(*reversed(centers))
