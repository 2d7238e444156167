"""The molecular subtypes of breast cancer that what is known of a case leaves possible."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from nnmtl.cohort.cell import BINARY_CATEGORIES
from nnmtl.cohort.near_miss import did_you_mean
from nnmtl.cohort.subtype_rules import KI67_BINS, PR_BINS, SUBTYPES, Rule, complete_cases
from nnmtl.cohort.targets import ClassTarget, ContinuousTarget, Target, TargetTable
from nnmtl.errors import NnmtlError

Interval = tuple[float, float]

# Whether a receptor may be negative, and whether it may be positive.
_POSSIBLE: Mapping[bool | None, tuple[bool, bool]] = MappingProxyType(
    {False: (True, False), True: (False, True), None: (True, True)}
)
_STATUS = MappingProxyType({possible: status for status, possible in _POSSIBLE.items()})


@dataclass(frozen=True, kw_only=True)
class TumorFacts:
    """What is known of the tumor of one case; None is unknown.

    Attributes:
        er: whether it is positive for estrogen receptors.
        pr: the same of progesterone receptors.
        her2: the same of HER2, after in-situ hybridization where staining was equivocal.
        ki67_percent: stained nuclei as an interval that has both its ends; they are equal for a
            number.
        pr_percent: the same of progesterone receptors.

    Raises:
        NnmtlError: if an interval leaves 0 to 100, is upside down or contradicts `pr`.
    """

    er: bool | None = None
    pr: bool | None = None
    her2: bool | None = None
    ki67_percent: Interval | None = None
    pr_percent: Interval | None = None

    def __post_init__(self) -> None:
        _check_interval("Ki-67", self.ki67_percent)
        _check_interval("PR", self.pr_percent)
        if not any(_possible_pr(self)):
            status = "positive" if self.pr else "negative"
            raise NnmtlError(
                f"subtype: expected a percentage of PR that is {status}, got {self.pr_percent}; "
                "correct the status or the percentage."
            )


def possible_subtypes(facts: TumorFacts, *, rule: Rule = "st_gallen_2013") -> frozenset[str]:
    """The subtypes that some completion of the unknown facts has; if it is one, it is known.

    This is Kleene's three-valued logic: to learn a fact never adds a subtype.
    """
    possible = (
        _POSSIBLE[facts.er],
        _possible_pr(facts),
        _POSSIBLE[facts.her2],
        _possible_bins(facts.ki67_percent, KI67_BINS),
    )
    completions = complete_cases(rule)[np.ix_(*(np.flatnonzero(states) for states in possible))]
    *_, found = np.nonzero(completions)
    return frozenset(SUBTYPES[rule][index] for index in found)


def subtype_target(table: TargetTable, *, rule: Rule = "st_gallen_2013") -> ClassTarget:
    """The possible subtypes of each case as a categorical target, several where unknown.

    A table tells PR as positive or negative only. So `st_gallen_2013` is never sure of luminal A,
    and `maisonneuve` only where Ki-67 is below 14 %.

    Args:
        table: with the binary columns ER, PR and HER2 and the continuous column Ki67 in %, which
            `ihc4` does not read.
        rule: whose SUBTYPES are the categories.

    Raises:
        NnmtlError: if a column is missing or of another kind, or Ki67 leaves 0 to 100.
    """
    receptors = [_statuses(table, name) for name in ("ER", "PR", "HER2")]
    ki67 = [None] * len(table.case_ids) if rule == "ihc4" else _intervals(table, "Ki67")
    subtypes = [
        possible_subtypes(TumorFacts(er=er, pr=pr, her2=her2, ki67_percent=percent), rule=rule)
        for er, pr, her2, percent in zip(*receptors, ki67, strict=True)
    ]
    possible = np.array([[name in case for name in SUBTYPES[rule]] for case in subtypes], bool)
    return ClassTarget(
        possible=possible.reshape(-1, len(SUBTYPES[rule])),
        observed=np.array([len(case) < len(SUBTYPES[rule]) for case in subtypes], bool),
        categories=SUBTYPES[rule],
    )


def _possible_pr(facts: TumorFacts) -> list[bool]:
    """Whether PR may be negative, low and high."""
    is_negative, is_positive = _POSSIBLE[facts.pr]
    by_percent = _possible_bins(facts.pr_percent, PR_BINS)
    by_status = (is_negative, is_positive, is_positive)
    return [a and b for a, b in zip(by_status, by_percent, strict=True)]


def _possible_bins(interval: Interval | None, bins: Sequence[Interval]) -> list[bool]:
    if interval is None:
        return [True] * len(bins)
    lower, upper = interval
    return [lower < end and start <= upper for start, end in bins]


def _check_interval(name: str, interval: Interval | None) -> None:
    if interval is not None and not 0 <= interval[0] <= interval[1] <= 100:
        raise NnmtlError(
            f"subtype: expected {name} as an interval within 0 to 100 %, the lower end first, got "
            f"{interval}; correct it."
        )


def _statuses(table: TargetTable, name: str) -> list[bool | None]:
    target = _column(table, name)
    if not isinstance(target, ClassTarget) or target.categories != BINARY_CATEGORIES:
        raise NnmtlError(f"targets: the subtype needs a binary {name!r}; declare it as binary.")
    return [_STATUS[bool(negative), bool(positive)] for negative, positive in target.possible]


def _intervals(table: TargetTable, name: str) -> list[Interval | None]:
    target = _column(table, name)
    if not isinstance(target, ContinuousTarget):
        raise NnmtlError(f"targets: the subtype needs a number {name!r}; declare it as continuous.")
    return [
        (float(lower), float(upper)) if observed else None
        for lower, upper, observed in zip(target.lower, target.upper, target.observed, strict=True)
    ]


def _column(table: TargetTable, name: str) -> Target:
    if name not in table.targets:
        hint = did_you_mean(name, table.targets)
        raise NnmtlError(
            f"targets: the subtype needs the column {name!r}, got {list(table.targets)}; add it, "
            f"with empty cells where it is unknown{hint}."
        )
    return table.targets[name]
