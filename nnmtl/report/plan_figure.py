"""The plan as a picture: what a patch and the region of interest show of a case of each center."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from nnmtl.planning.center_plan import Window
from nnmtl.planning.center_reasons import by
from nnmtl.report.case_picture import mark_phantom
from nnmtl.report.style import MUTED, ORANGE, SKY, YELLOW, figure

MAX_CENTERS = 6  # in one row; more are too small to see
_PANEL_IN = 2.3


@dataclass(frozen=True, kw_only=True)
class CenterView:
    """What is planned for a center, in the array's axis order.

    Attributes:
        center: its name.
        spacing_mm: planned voxel size.
        patch: that segmentation trains on.
        roi: that the heads see.
    """

    center: str
    spacing_mm: tuple[float, float, float]
    patch: Window
    roi: Window


@dataclass(frozen=True, kw_only=True, eq=False)
class CenterImage:
    """A case of a center, with what is planned for the center.

    Attributes:
        view: of its center.
        image: (Z, Y, X) first channel.
        mask: (Z, Y, X) tumor; may be empty.
        spacing_mm: of the three axes.
    """

    view: CenterView
    image: npt.NDArray[Any]
    mask: npt.NDArray[np.bool_]
    spacing_mm: tuple[float, float, float]


def draw_plan(images: Sequence[CenterImage], *, is_phantom: bool) -> Figure:
    """Two panels per center: the slice with most tumor, and the plane across the slices there.

    The region of interest lies around the tumor, as in training and prediction; the patch, which
    nnU-Net puts anywhere, is drawn around it as well, moved into the image where it fits.

    Args:
        images: at least one; of more than six the first are drawn.
        is_phantom: whether the cases are synthetic.
    """
    shown = images[:MAX_CENTERS]
    with figure(max(4.6, _PANEL_IN * len(shown)), 5.4, is_phantom=False) as drawn:
        drawn.set_layout_engine("compressed")  # images of fixed aspect would else lie far apart
        panels = drawn.subplots(2, len(shown), squeeze=False)
        for column, case in enumerate(shown):
            middle = _middle(case.mask)
            for row, across in enumerate((0, 1)):
                _draw_plane(panels[row, column], case, middle, across=across)
                if is_phantom:
                    mark_phantom(panels[row, column])
            panels[0, column].set_title(
                f"{case.view.center}: {by(case.view.spacing_mm)} mm", fontsize=8.5
            )
        handles = [
            Line2D([], [], color=SKY, label="patch (segmentation)"),
            Line2D(
                [], [], color=ORANGE, linestyle="dashed", label="region of interest (biomarkers)"
            ),
            Line2D([], [], color=YELLOW, label="tumor"),
        ]
        drawn.legend(handles=handles, loc="outside lower center", ncols=3)
        if len(images) > len(shown):
            drawn.suptitle(f"{len(shown)} of {len(images)} centers", color=MUTED, fontsize=9)
    return drawn


def _middle(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int]:
    """The slice with most tumor and the tumor's middle in it; without one the image's middle."""
    if not mask.any():
        depth, height, width = mask.shape
        return depth // 2, height // 2, width // 2
    z = int(mask.sum(axis=(1, 2)).argmax())
    rows, columns = np.nonzero(mask[z])
    return z, int(rows.min() + rows.max()) // 2, int(columns.min() + columns.max()) // 2


def _draw_plane(
    axes: Axes, case: CenterImage, middle: tuple[int, int, int], *, across: int
) -> None:
    """The plane through the tumor's middle in which the axis `across` does not lie."""
    image = case.image.take(middle[across], axis=across)
    mask = case.mask.take(middle[across], axis=across)
    down, right = (axis for axis in range(3) if axis != across)
    dark, bright = np.percentile(image, [1, 99.7])
    aspect = case.spacing_mm[down] / case.spacing_mm[right]
    axes.imshow(image, cmap="gray", vmin=dark, vmax=bright, aspect=aspect)
    axes.set(xticks=[], yticks=[], facecolor="black")
    axes.spines[:].set_visible(False)
    if mask.any():
        axes.contour(mask.astype(float), [0.5], colors=[YELLOW], linewidths=1.2)
    frames = []
    windows = [(case.view.patch, SKY, "solid"), (case.view.roi, ORANGE, "dashed")]
    for window, color, style in windows:
        (top, height), (left, width) = (
            _edge(
                middle[axis],
                window.size_mm[axis] / case.spacing_mm[axis],
                image.shape[position] if window is case.view.patch else None,
            )
            for position, axis in enumerate((down, right))
        )
        frame = Rectangle((left, top), width, height, fill=False)
        frame.set(edgecolor=color, linestyle=style, linewidth=1.6)
        axes.add_patch(frame)
        frames.append((left, left + width, top, top + height))
    _show_all(axes, image.shape, frames)


def _edge(middle: int, size: float, length: int | None) -> tuple[float, float]:
    """First voxel edge and size along an axis; moved into an image of a length if it fits."""
    start = middle + 0.5 - size / 2
    if length is not None:
        start = min(max(start, 0.0), length - size) if size <= length else (length - size) / 2
    return start - 0.5, size  # imshow puts the middle of the first pixel at 0


def _show_all(
    axes: Axes, shape: Sequence[int], frames: Sequence[tuple[float, float, float, float]]
) -> None:
    """Windows that reach beyond the image stay in view: what is outside is padded with air."""
    lefts, rights, tops, bottoms = zip(*frames, strict=True)
    axes.set_xlim(min(-0.5, *lefts), max(shape[1] - 0.5, *rights))
    axes.set_ylim(max(shape[0] - 0.5, *bottoms), min(-0.5, *tops))
