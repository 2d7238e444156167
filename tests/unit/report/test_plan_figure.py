"""The plan over a case of each center: rectangles of the planned millimeters at the right place."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from nnmtl.planning.center_plan import Window
from nnmtl.report.plan_figure import MAX_CENTERS, CenterImage, CenterView, draw_plan
from nnmtl.report.style import png_bytes

SPACING = (2.0, 0.5, 1.0)


def center_image(name="A", roi_mm=(20.0, 10.0, 12.0), patch_mm=(32.0, 20.0, 24.0), tumor=True):
    shape = (30, 80, 60)
    view = CenterView(
        center=name,
        spacing_mm=SPACING,
        patch=Window(size=(16, 40, 24), size_mm=patch_mm),
        roi=Window(size=(10, 20, 12), size_mm=roi_mm),
    )
    mask = np.zeros(shape, bool)
    mask[10:14, 40:50, 50:56] = tumor
    image = np.random.default_rng(0).normal(size=shape)
    return CenterImage(view=view, image=image, mask=mask, spacing_mm=SPACING)


def frames(drawn):
    """Per panel the (left, top, width, height) of its rectangles, in pixels."""
    return [
        [(*patch.get_xy(), patch.get_width(), patch.get_height())
         for patch in axes.patches if isinstance(patch, Rectangle)]
        for axes in drawn.axes
    ]  # fmt: skip


def test_windows_have_their_millimeters_and_the_region_lies_on_the_tumor():
    in_slice, across = frames(draw_plan([center_image()], is_phantom=True))
    patch, roi = in_slice
    assert patch[2:] == (24.0, 40.0)
    assert roi[2:] == (12.0, 20.0)
    assert roi[0] + roi[2] / 2 == pytest.approx(52)
    assert roi[1] + roi[3] / 2 == pytest.approx(44)
    assert across[1][2:] == (12.0, 10.0)


def test_a_patch_is_moved_into_the_image_and_a_larger_one_stays_in_view():
    drawn = draw_plan([center_image()], is_phantom=False)
    patch = frames(drawn)[0][0]
    assert patch[0] + patch[2] <= 60 - 0.5
    large = draw_plan([center_image(patch_mm=(32.0, 60.0, 90.0))], is_phantom=False)
    left, right = large.axes[0].get_xlim()
    assert right - left >= 90


def test_a_case_without_tumor_is_drawn_as_well():
    assert png_bytes(draw_plan([center_image(tumor=False)], is_phantom=False), dpi=30)


def test_more_centers_than_can_be_seen_are_counted():
    many = [center_image(f"c{at}") for at in range(MAX_CENTERS + 2)]
    drawn = draw_plan(many, is_phantom=True)
    assert len(drawn.axes) == 2 * MAX_CENTERS
    assert drawn.get_suptitle() == f"{MAX_CENTERS} of {MAX_CENTERS + 2} centers"
    assert all("PHANTOM" in axes.texts[0].get_text() for axes in drawn.axes)
