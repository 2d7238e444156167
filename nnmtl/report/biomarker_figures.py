"""Figures of biomarkers: ROC curves, calibration, agreement of numbers."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnmtl.cohort.biomarker import CategoricalBiomarker
from nnmtl.evaluation.discrimination import reliability, roc_points
from nnmtl.evaluation.join import JoinedClass, JoinedNumber
from nnmtl.evaluation.results import TaskResult
from nnmtl.report.style import BLUE, CYCLE, FAINT, INK, MUTED, VERMILION, figure, unit_square
from nnmtl.report.wording import interval_text, number

# About 20 cases a bin, as fewer make every model look miscalibrated.
_CASES_PER_BIN = 20
_MAX_BINS = 10


def draw_classes(joined: JoinedClass, result: TaskResult, *, is_phantom: bool) -> Figure:
    """ROC curves and calibration of a binary or categorical biomarker, side by side.

    Args:
        joined: cases with truth and answer only.
        result: the same cases judged, for the legend.
        is_phantom: whether to mark the figure.
    """
    with figure(8.2, 3.9, is_phantom=is_phantom) as drawn:
        left, right = drawn.subplots(1, 2)
        for column, name, color in _columns(joined):
            positive = joined.classes == column
            label = _legend(result, joined, name)
            if positive.any() and not positive.all():
                false, true = roc_points(joined.scores[:, column], positive)
                left.plot(false, true, color=color, label=label, solid_joinstyle="round")
                _draw_reliability(
                    right,
                    joined.scores[:, column],
                    positive,
                    color,
                    # Those of several classes would cover each other.
                    with_counts=joined.biomarker.kind == "binary",
                )
        if joined.biomarker.kind == "binary":
            _mark_threshold(left, joined)
        unit_square(left)
        left.set(title="ROC curve", xlabel="1 - specificity", ylabel="Sensitivity")
        if left.get_legend_handles_labels()[0]:
            left.legend(loc="lower right", handlelength=1.4)
        unit_square(right)
        right.set(title="Calibration", xlabel="Predicted probability", ylabel="Observed share")
    return drawn


def draw_numbers(joined: JoinedNumber, result: TaskResult, *, is_phantom: bool) -> Figure:
    """Predicted against measured, and their difference against their mean (Bland-Altman).

    Args:
        joined: cases with truth and answer only; measured intervals are drawn as bars.
        result: the same cases judged, for the title.
        is_phantom: whether to mark the figure.
    """
    unit = joined.biomarker.unit
    with figure(8.2, 3.9, is_phantom=is_phantom) as drawn:
        left, right = drawn.subplots(1, 2)
        _draw_scatter(left, joined)
        mae = result.metric("mae")
        left.set(
            title=f"Mean absolute error {number(mae.value, metric_name='mae')} {unit}",
            xlabel=f"Measured ({unit})",
            ylabel=f"Predicted ({unit})",
        )
        _draw_bland_altman(right, joined)
        right.set(
            title="Difference (Bland-Altman)",
            xlabel=f"Mean of predicted and measured ({unit})",
            ylabel=f"Predicted - measured ({unit})",
        )
    return drawn


def _columns(joined: JoinedClass) -> list[tuple[int, str, str]]:
    """Column, name and color of the classes that get a curve; of a binary one the positive."""
    if isinstance(joined.biomarker, CategoricalBiomarker):
        names = joined.biomarker.categories
        return [(k, name, CYCLE[k % len(CYCLE)]) for k, name in enumerate(names)]
    return [(1, joined.biomarker.name, BLUE)]


def _legend(result: TaskResult, joined: JoinedClass, name: str) -> str:
    if joined.biomarker.kind == "binary":
        metric = result.metric("auc")
        return f"AUC {number(metric.value)} ({interval_text(metric)})"
    return f"{name}: {number(result.metric(f'auc_{name}').value)}"


def _mark_threshold(axes: Axes, joined: JoinedClass) -> None:
    """The point of the curve at which the model calls a case positive."""
    positive = joined.classes == 1
    if np.isnan(joined.threshold) or positive.all() or not positive.any():
        return
    called = joined.scores[:, 1] >= joined.threshold
    point = called[~positive].mean(), called[positive].mean()
    label = f"threshold {number(joined.threshold)}"
    axes.plot(*point, "o", color=VERMILION, markersize=7, label=label, zorder=5)


def _draw_reliability(
    axes: Axes, probabilities: np.ndarray, positive: np.ndarray, color: str, *, with_counts: bool
) -> None:
    num_bins = int(np.clip(len(positive) // _CASES_PER_BIN, 2, _MAX_BINS))
    predicted, observed, counts = reliability(probabilities, positive, num_bins=num_bins)
    # The binomial standard error shows how little a small bin says.
    error = np.sqrt(observed * (1 - observed) / counts)
    axes.errorbar(
        predicted, observed, yerr=error, color=color, marker="o", markersize=5, elinewidth=1
    )
    for x, y, count in zip(predicted, observed, counts, strict=True) if with_counts else ():
        axes.annotate(
            f"{count}", (x, y), xytext=(6, -9), textcoords="offset points", fontsize=7, color=MUTED
        )


def _draw_scatter(axes: Axes, joined: JoinedNumber) -> None:
    low, high = joined.biomarker.range
    for cutoff in joined.biomarker.cutoffs:
        axes.axvline(cutoff, color=FAINT, linewidth=0.8, linestyle=":", zorder=0)
        axes.axhline(cutoff, color=FAINT, linewidth=0.8, linestyle=":", zorder=0)
    axes.plot([low, high], [low, high], color=FAINT, linewidth=1.2, zorder=0)
    predicted = joined.scores[:, 0]
    axes.hlines(predicted, joined.lower, joined.upper, color=BLUE, alpha=0.4, linewidth=1.5)
    axes.scatter(_middle(joined), predicted, s=16, color=BLUE, alpha=0.65, linewidth=0)
    if not np.isnan(joined.training_median):
        axes.axhline(joined.training_median, color=MUTED, linewidth=1, linestyle="--")
        axes.annotate(
            "training median",
            (high, joined.training_median),
            xytext=(0, 3),
            textcoords="offset points",
            ha="right",
            fontsize=7.5,
            color=MUTED,
        )
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")


def _draw_bland_altman(axes: Axes, joined: JoinedNumber) -> None:
    measured, predicted = _middle(joined), joined.scores[:, 0]
    difference = predicted - measured
    bias = difference.mean()
    # Where 95 % of differences would lie if they were normal (Bland and Altman 1986).
    spread = 1.96 * difference.std(ddof=1) if len(difference) > 1 else 0.0
    axes.scatter((predicted + measured) / 2, difference, s=16, color=BLUE, alpha=0.65, linewidth=0)
    axes.axhline(0, color=FAINT, linewidth=1.2, zorder=0)
    for height, name, style in (
        (bias, "bias", "-"),
        (bias + spread, "+1.96 SD", "--"),
        (bias - spread, "-1.96 SD", "--"),
    ):
        axes.axhline(height, color=VERMILION, linewidth=1.1, linestyle=style)
        axes.annotate(
            f"{name} {height:.1f}",
            (1, height),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 3),
            textcoords="offset points",
            ha="right",
            fontsize=7.5,
            color=INK,
        )
    axes.set_xlim(*joined.biomarker.range)


def _middle(joined: JoinedNumber) -> np.ndarray:
    return (joined.lower + joined.upper) / 2
