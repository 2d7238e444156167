"""A case against the others of its center."""

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from nnmtl.cohort.case_content import CaseContent

FEWEST_PEERS = 5  # fewer do not tell what is usual
_SPREADS = 4.0  # robust standard deviations: of 15,000 normal values one lies beyond
_TO_STANDARD_DEVIATION = 1.4826  # of the median absolute deviation, for normal values


def by_center(cases: Sequence[CaseContent]) -> dict[str, list[CaseContent]]:
    """The cases of each center, sorted by its name."""
    groups = defaultdict(list)
    for case in cases:
        groups[case.center].append(case)
    return dict(sorted(groups.items()))


def unusual(values: Sequence[float], *, factor: float) -> list[bool]:
    """Which values are unlike the others by more than a factor.

    Also by more than the others differ among themselves, so that a center of several protocols,
    or of patients of any kind, is not reported case by case. Nothing is unusual among few.

    Args:
        values: one per case; those not above 0 are never unusual, and tell nothing of the others.
        factor: away from the median, either way.
    """
    is_known = [value > 0 and math.isfinite(value) for value in values]
    if sum(is_known) < FEWEST_PEERS:
        return [False] * len(values)
    logs = [math.log(value) if known else 0 for value, known in zip(values, is_known, strict=True)]
    known_logs = [log for log, known in zip(logs, is_known, strict=True) if known]
    median = float(np.median(known_logs))
    spread = _TO_STANDARD_DEVIATION * float(np.median(np.abs(np.subtract(known_logs, median))))
    limit = max(math.log(factor), _SPREADS * spread)
    return [known and abs(log - median) > limit for log, known in zip(logs, is_known, strict=True)]


def span(values: Sequence[float]) -> str:
    """The lowest and the highest value, once where they look the same."""
    ends = f"{min(values):.3g}", f"{max(values):.3g}"
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)
