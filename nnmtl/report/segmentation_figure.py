"""The figure of Dice: how it is distributed, and how it differs between centers."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nnmtl.evaluation.join import Joined
from nnmtl.evaluation.results import CaseSegmentation
from nnmtl.report.style import BLUE, MUTED, SKY, VERMILION, figure


def draw_dice(
    joined: Joined, segmentations: tuple[CaseSegmentation, ...], *, is_phantom: bool
) -> Figure:
    """A histogram over all cases beside one box per center, on which every case is a point."""
    center_of = dict(zip(joined.case_ids, joined.centers, strict=True))
    dice = np.array([case.dice for case in segmentations])
    centers = np.array([center_of[case.case_id] for case in segmentations], dtype=str)
    with figure(8.2, 3.3, is_phantom=is_phantom) as drawn:
        left, right = drawn.subplots(1, 2)
        _draw_histogram(left, dice)
        names = sorted(set(centers))
        _draw_boxes(right, [dice[centers == name] for name in names], names)
    return drawn


def _draw_histogram(axes: Axes, dice: np.ndarray) -> None:
    axes.hist(dice, bins=np.linspace(0, 1, 21).tolist(), color=SKY, edgecolor="white")
    middle = float(np.median(dice))
    axes.axvline(middle, color=VERMILION, linewidth=1.4)
    axes.annotate(
        f"median {middle:.2f}",
        (middle, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-5, -10),
        textcoords="offset points",
        ha="right",
        color=VERMILION,
    )
    axes.set(title="All cases", xlabel="Dice", ylabel="Cases", xlim=(0, 1))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_boxes(axes: Axes, groups: list[np.ndarray], names: list[str]) -> None:
    positions = np.arange(len(groups))
    axes.boxplot(
        groups,
        positions=positions.tolist(),
        orientation="horizontal",
        widths=0.55,
        showfliers=False,
        medianprops={"color": VERMILION, "linewidth": 1.6},
        boxprops={"color": MUTED},
        whiskerprops={"color": MUTED},
        capprops={"color": MUTED},
    )
    generator = np.random.default_rng(0)
    for position, group in zip(positions, groups, strict=True):
        height = position + generator.uniform(-0.17, 0.17, len(group))
        axes.scatter(
            group, height, s=12, color=BLUE, alpha=0.55, linewidth=0, zorder=3, clip_on=False
        )
    labels = [f"{name} (n = {len(group)})" for name, group in zip(names, groups, strict=True)]
    axes.set_yticks(positions.tolist(), labels)
    axes.set(title="By center", xlabel="Dice", xlim=(-0.02, 1.02), ylim=(len(groups) - 0.4, -0.6))
