"""A new center in the terminal: a table of differences, its configuration, a verdict."""

import textwrap
from collections.abc import Sequence

from nnmtl.planning.center_plan import CenterPlan
from nnmtl.planning.center_reasons import by, by_voxels
from nnmtl.planning.new_center import Difference
from nnmtl.text_table import aligned

_HEADER = ("", "here", "in training", "verdict")
_WIDTH = 100


def tell_new_center(
    plan: CenterPlan, found: Sequence[Difference], conclusion: str, *, center: str
) -> str:
    """The whole text, ending in a line feed.

    Args:
        plan: the center's configuration.
        found: how its images differ from training.
        conclusion: on all differences together.
        center: its name.
    """
    images = "1 image" if plan.geometry.num_cases == 1 else f"{plan.geometry.num_cases} images"
    rows = [(each.item, each.here, each.training, each.level) for each in found]
    blocks = [
        f"{center}: {images}, axes in the order z, y, x of the image arrays",
        "\n".join(aligned([_HEADER, *rows])),
        "\n".join(f"  * {each.item}: {each.sentence}" for each in found),
        _configuration(plan),
        textwrap.fill(conclusion, _WIDTH),
    ]
    return "\n\n".join(blocks) + "\n"


def _configuration(plan: CenterPlan) -> str:
    lines = [
        f"Configuration {plan.configuration}: voxels of {by(plan.spacing_mm)} mm, patch of "
        f"{by_voxels(plan.patch.size)} voxels"
    ]
    if plan.roi is not None:
        lines[0] += f", region of interest of {by_voxels(plan.roi.size)} voxels"
    lines += [
        f"  * {each.subject}: {each.reason}. Otherwise: {each.otherwise}."
        for each in plan.decisions
    ]
    return "\n".join(lines)
