"""Which centers have targets unlike those of the others."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.stats import fisher_exact

from nnmtl.cohort.targets import ClassTarget, ContinuousTarget, Target, TargetTable
from nnmtl.cohort.validation import Finding

_FEWEST = 5  # observed cases, here and elsewhere, below which nothing is compared
# A center's patients may differ, but not all of them by chance: one in 1000, and by much.
_CHANCE = 0.001
_DIFFERENCE = 0.3
_UNIT_FACTOR = 10.0  # fraction against percent is 100, ng/ml against ug/l nothing


def check_center_targets(table: TargetTable) -> list[Finding]:
    """Prevalence, unit and missingness of each biomarker, each center against all others.

    Where a center has other targets, a network may learn to tell the center instead.

    Args:
        table: of the training cases.
    """
    centers = np.array(table.centers)
    findings = []
    for center in sorted(set(table.centers)):
        is_here = centers == center
        if is_here.all() or is_here.sum() < _FEWEST:
            continue
        for name, target in table.targets.items():
            findings += _check_missing(name, center, target, is_here)
            if isinstance(target, ContinuousTarget):
                findings += _check_unit(name, center, target, is_here)
            else:
                findings += list(_check_prevalence(name, center, target, is_here))
    return findings


def _check_missing(
    name: str, center: str, target: Target, is_here: npt.NDArray[np.bool_]
) -> list[Finding]:
    if target.observed[is_here].any() or not target.observed.any():
        return []
    return [
        Finding(
            level="note",
            message=f"{name}: no case of center {center!r} ({is_here.sum()}) has it, so nothing is "
            "learned of it there; check that its column was read.",
        )
    ]


def _check_prevalence(
    name: str, center: str, target: ClassTarget, is_here: npt.NDArray[np.bool_]
) -> Iterator[Finding]:
    is_known = target.possible.sum(axis=1) == 1
    here, elsewhere = target.possible[is_known & is_here], target.possible[is_known & ~is_here]
    if min(len(here), len(elsewhere)) < _FEWEST:
        return
    categories = list(enumerate(target.categories))
    # The second class of two says what the first does.
    for column, category in categories[1:] if len(categories) == 2 else categories:
        with_it, with_it_elsewhere = int(here[:, column].sum()), int(elsewhere[:, column].sum())
        counts = [
            [with_it, len(here) - with_it],
            [with_it_elsewhere, len(elsewhere) - with_it_elsewhere],
        ]
        share, share_elsewhere = with_it / len(here), with_it_elsewhere / len(elsewhere)
        chance = float(fisher_exact(counts).pvalue)
        if chance < _CHANCE and abs(share - share_elsewhere) > _DIFFERENCE:
            yield Finding(
                level="warning" if share in (0, 1) else "note",
                message=f"{name}: in center {center!r} {share:.0%} of {len(here)} cases are "
                f"{category!r}, elsewhere {share_elsewhere:.0%} of {len(elsewhere)}; check that "
                "the center codes it alike, and report results by center.",
            )


def _check_unit(
    name: str, center: str, target: ContinuousTarget, is_here: npt.NDArray[np.bool_]
) -> list[Finding]:
    middles = (target.lower + target.upper) / 2
    here, elsewhere = middles[target.observed & is_here], middles[target.observed & ~is_here]
    if min(len(here), len(elsewhere)) < _FEWEST:
        return []
    median, median_elsewhere = float(np.median(here)), float(np.median(elsewhere))
    if min(median, median_elsewhere) <= 0:
        return []
    ratio = median / median_elsewhere
    if max(ratio, 1 / ratio) < _UNIT_FACTOR:
        return []
    return [
        Finding(
            level="warning",
            message=f"{name}: its median is {median:.3g} in center {center!r}, elsewhere "
            f"{median_elsewhere:.3g}; check that the center has the same unit.",
        )
    ]
