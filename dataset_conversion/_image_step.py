"""What was done to one image of a case on its way into the dataset: a row and a picture of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnmtl.cohort.csv_file import write_csv

STEPS_CSV = "image_steps.csv"
PICTURES = "image_steps"

_SQUARES = 8  # of the checkerboard, along the longer side

Voxels = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Views:
    """The middle slices of an image: one in plane, and one across all slices.

    Attributes:
        slices: (Y, X) and (Z, X).
        aspects: height of a pixel over its width, of each.
    """

    slices: tuple[Voxels, Voxels]
    aspects: tuple[float, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageStep:
    """A step that changed an image, or was tried and not applied.

    Attributes:
        image: such as `phase 0`, or a sequence's name.
        step: `motion`, `registration`, `resampling` or `n4`.
        reference: the image that stays, or that a bias field was estimated from.
        measure: what `before` and `after` are.
        before: without the step.
        after: with it.
        translation_mm: of the middle of the reference; nan if nothing moves.
        rotation_degrees: likewise.
        outside_fraction: of the grid where the image has no voxels, which became 0; nan if the
            step does not resample.
        refusal: why it was not applied; empty if it was.
        shown: views to compare, by title; none for no picture.
        is_checked: whether the picture also shows each of the later views as a checkerboard with
            the first.
    """

    image: str
    step: str
    reference: str
    measure: str
    before: float
    after: float
    translation_mm: float
    rotation_degrees: float
    outside_fraction: float
    refusal: str
    shown: dict[str, Views]
    is_checked: bool


def middle_views(voxels: Voxels, spacing_mm: Sequence[float]) -> Views:
    """The views of an image (Z, Y, X); the spacing is that of X, Y and Z."""
    z, y = voxels.shape[0] // 2, voxels.shape[1] // 2
    step_x, step_y, step_z = spacing_mm
    return Views(
        slices=(np.array(voxels[z]), np.array(voxels[:, y])),
        aspects=(step_y / step_x, step_z / step_x),
    )


def write_steps(folder: Path, steps_of_case: dict[str, Sequence[ImageStep]]) -> None:
    """Writes image_steps.csv, a row per step of each case; nothing if there is no step."""
    rows = [
        {"case_id": case_id, **_cells(step)}
        for case_id, steps in sorted(steps_of_case.items())
        for step in steps
    ]
    if rows:
        write_csv(folder / STEPS_CSV, {name: [row[name] for row in rows] for name in rows[0]})


def draw_steps(folder: Path, case_id: str, steps: Sequence[ImageStep]) -> None:
    """Draws a picture per step into the folder image_steps."""
    for step in steps:
        if step.shown:
            path = folder / PICTURES / f"{case_id}_{step.image.replace(' ', '-')}_{step.step}.png"
            path.parent.mkdir(exist_ok=True)
            _drawn(step).savefig(path, dpi=110, metadata={"Software": None})


def _cells(step: ImageStep) -> dict[str, str]:
    return {
        "image": step.image,
        "step": step.step,
        "reference": step.reference,
        "applied": "no" if step.refusal else "yes",
        "reason": step.refusal,
        "measure": step.measure,
        "before": _shown(step.before),
        "after": _shown(step.after),
        "translation_mm": _shown(step.translation_mm),
        "rotation_degrees": _shown(step.rotation_degrees),
        "outside_fraction": _shown(step.outside_fraction),
    }


def _shown(number: float) -> str:
    """Empty where it is not defined."""
    return "" if np.isnan(number) else f"{number:.4f}"


def _drawn(step: ImageStep) -> Figure:
    panels = dict(step.shown)
    if step.is_checked:
        first, *others = step.shown.items()
        panels |= {f"{first[0]} / {name}": _checkered(first[1], view) for name, view in others}
    figure = Figure(figsize=(3 * len(panels), 6.4), layout="constrained")
    axes = figure.subplots(2, len(panels), squeeze=False)
    for column, (title, views) in enumerate(panels.items()):
        for row, (pixels, aspect) in enumerate(zip(views.slices, views.aspects, strict=True)):
            _draw(axes[row, column], pixels, aspect)
        axes[0, column].set_title(title, fontsize=9, loc="left", weight="bold")
    figure.suptitle(_title(step), fontsize=9, x=0.01, ha="left")
    return figure


def _title(step: ImageStep) -> str:
    moved = "" if np.isnan(step.translation_mm) else f", {step.translation_mm:.2f} mm"
    turned = "" if np.isnan(step.rotation_degrees) else f", {step.rotation_degrees:.2f} degrees"
    applied = f"not applied: {step.refusal}" if step.refusal else "applied"
    numbers = f": {step.measure} {_shown(step.before)} to {_shown(step.after)}"
    numbers = numbers if step.measure else ""
    return f"{step.image}, {step.step}{numbers}{moved}{turned} ({applied})"


def _draw(axes: Axes, pixels: Voxels, aspect: float) -> None:
    dark, bright = np.percentile(pixels, [1, 99.5])
    axes.imshow(pixels, cmap="gray", vmin=dark, vmax=max(bright, dark + 1e-6), aspect=aspect)
    axes.set_axis_off()


def _checkered(one: Views, other: Views) -> Views:
    """Squares of one and the other, each in its own window."""
    pairs = zip(one.slices, other.slices, one.aspects, strict=True)
    first, second = (_checkerboard(_windowed(a), _windowed(b), aspect) for a, b, aspect in pairs)
    return Views(slices=(first, second), aspects=one.aspects)


def _windowed(pixels: Voxels) -> Voxels:
    dark, bright = np.percentile(pixels, [1, 99.5])
    windowed: Voxels = ((pixels - dark) / max(bright - dark, 1e-6)).clip(0, 1)
    return windowed


def _checkerboard(one: Voxels, other: Voxels, aspect: float) -> Voxels:
    height, width = one.shape
    side = max(height * aspect, width) / _SQUARES
    rows, columns = np.indices(one.shape)
    is_one = (rows * aspect // side + columns // side) % 2 == 0
    return np.where(is_one, one, other)
