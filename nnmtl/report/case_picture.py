"""One case as a picture: the slice through the tumor with both outlines, and the regions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke

from nnmtl.evaluation.label_maps import is_tumor, read_image
from nnmtl.evaluation.raw_dataset import RawDataset
from nnmtl.evaluation.results import Split
from nnmtl.report.style import GREEN, ORANGE, PURPLE, SKY, VERMILION, WATERMARK, YELLOW, figure

_REGIONS = (("core", VERMILION), ("rim", YELLOW), ("peritumoral", GREEN), ("distant", PURPLE))
_TRUTH, _PREDICTED = SKY, ORANGE
# Shows the 5 mm around the tumor that are a region, and some more to find one's way.
_MARGIN_MM = 14.0
_SCALE_BAR_MM = 10.0
# White writing stays readable on bright tissue.
_HALO = [withStroke(linewidth=2.5, foreground="#00000099")]


@dataclass(frozen=True, kw_only=True, eq=False)
class Slice:
    """One slice of a case: arrays of shape (Y, X).

    Attributes:
        image: intensities of the first channel.
        truth: true tumor mask.
        predicted: predicted tumor mask.
        regions: 0 outside, then 1 core, 2 rim, 3 peritumoral and further shells; None if unknown.
        spacing_mm: of the two axes.
    """

    image: npt.NDArray[Any]
    truth: npt.NDArray[np.bool_]
    predicted: npt.NDArray[np.bool_]
    regions: npt.NDArray[Any] | None
    spacing_mm: tuple[float, float]


def read_slice(folder: Path, raw: RawDataset, case_id: str, split: Split) -> Slice | None:
    """The slice with the largest true tumor area, or predicted area where there is no truth.

    Returns:
        None if the image is not there.
    """
    image_path = raw.image_path(case_id, split)
    if not image_path.is_file():
        return None
    image, spacing_mm = read_image(image_path)
    truth = _read_mask(raw.label_path(case_id, split), raw, image.shape)
    predicted = _read_mask(folder / f"{case_id}{raw.file_ending}", raw, image.shape)
    shown = truth if truth.any() else predicted
    z = int(shown.sum(axis=(1, 2)).argmax())
    regions_path = folder / "regions" / f"{case_id}{raw.file_ending}"
    regions = read_image(regions_path)[0][z] if regions_path.is_file() else None
    return Slice(
        image=image[z],
        truth=truth[z],
        predicted=predicted[z],
        regions=regions,
        spacing_mm=(spacing_mm[-2], spacing_mm[-1]),
    )


def draw_slice(shown: Slice, *, is_phantom: bool) -> Figure:
    """Three panels: the whole slice, the tumor with both outlines, the tumor with its regions."""
    box = _box(shown)
    # On dark images the page's watermark would not be seen, so each panel gets its own.
    with figure(9.6, 3.5, is_phantom=False) as drawn:
        whole, outlines, regions = drawn.subplots(1, 3)
        for axes, title in ((whole, "Slice"), (outlines, "Outlines"), (regions, "Regions")):
            _draw_image(axes, shown)
            axes.set_title(title)
            if is_phantom:
                mark_phantom(axes)
        _draw_frame(whole, box)
        _draw_outlines(outlines, shown)
        _zoom(outlines, box)
        if shown.regions is not None:
            _draw_regions(regions, shown.regions)
        _zoom(regions, box)
        _draw_scale_bar(outlines, box, shown.spacing_mm[1])
        handles: list[Artist] = [
            Line2D([], [], color=_TRUTH, label="reference"),
            Line2D([], [], color=_PREDICTED, label="predicted", linestyle="dashed"),
        ]
        if shown.regions is not None:
            present = int(shown.regions.max())
            handles += [Patch(color=color, label=name) for name, color in _REGIONS[:present]]
        drawn.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return drawn


def _read_mask(path: Path, raw: RawDataset, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    if not path.is_file():
        return np.zeros(shape, dtype=bool)
    return is_tumor(read_image(path)[0], raw.declaration.tumor_labels)


def _box(shown: Slice) -> tuple[float, float, float, float]:
    """Left, right, bottom and top in pixels: the tumor with a margin, as a square in mm."""
    rows, columns = np.nonzero(shown.truth | shown.predicted)
    if not len(rows):
        rows, columns = (np.array([0, length - 1]) for length in shown.image.shape)
    step_y, step_x = shown.spacing_mm
    half_mm = max(np.ptp(rows) * step_y, np.ptp(columns) * step_x) / 2 + _MARGIN_MM
    y, x = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    return (
        x - half_mm / step_x,
        x + half_mm / step_x,
        y + half_mm / step_y,
        y - half_mm / step_y,
    )


def _draw_image(axes: Axes, shown: Slice) -> None:
    dark, bright = np.percentile(shown.image, [1, 99.7])
    aspect = shown.spacing_mm[0] / shown.spacing_mm[1]
    axes.imshow(shown.image, cmap="gray", vmin=dark, vmax=bright, aspect=aspect)
    axes.set_facecolor("black")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _draw_frame(axes: Axes, box: tuple[float, float, float, float]) -> None:
    left, right, bottom, top = box
    size = right - left, bottom - top
    axes.add_patch(Rectangle((left, top), *size, fill=False, edgecolor="white", linewidth=1))


def _draw_outlines(axes: Axes, shown: Slice) -> None:
    for mask, color, style in (
        (shown.truth, _TRUTH, "solid"),
        (shown.predicted, _PREDICTED, "dashed"),
    ):
        if mask.any():
            levels = mask.astype(float)
            axes.contour(levels, [0.5], colors=[color], linewidths=1.8, linestyles=style)


def _draw_regions(axes: Axes, regions: npt.NDArray[Any]) -> None:
    colors = ListedColormap([color for _, color in _REGIONS])
    shown = np.ma.masked_equal(regions, 0)
    axes.imshow(
        shown,
        cmap=colors,
        vmin=0.5,
        vmax=len(_REGIONS) + 0.5,
        alpha=0.6,
        interpolation="nearest",
        aspect=axes.get_aspect(),
    )


def _zoom(axes: Axes, box: tuple[float, float, float, float]) -> None:
    left, right, bottom, top = box
    axes.set(xlim=(left, right), ylim=(bottom, top))


def mark_phantom(axes: Axes) -> None:
    """Writes the watermark on top of one dark panel."""
    axes.text(
        0.5,
        0.985,
        WATERMARK,
        transform=axes.transAxes,
        ha="center",
        va="top",
        color="white",
        fontsize=8,
        weight="bold",
        path_effects=_HALO,
    )


def _draw_scale_bar(axes: Axes, box: tuple[float, float, float, float], step_x_mm: float) -> None:
    left, right, bottom, top = box
    x, y = left + 0.06 * (right - left), bottom - 0.07 * (bottom - top)
    axes.plot(
        [x, x + _SCALE_BAR_MM / step_x_mm], [y, y], color="white", linewidth=2.5, path_effects=_HALO
    )
    axes.annotate(
        f"{_SCALE_BAR_MM:.0f} mm",
        (x, y),
        xytext=(0, 4),
        textcoords="offset points",
        color="white",
        fontsize=8,
        path_effects=_HALO,
    )
