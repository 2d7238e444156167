"""Clinical rules by name: from the columns of a source to a cell of targets.csv."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

from nnmtl.cohort.biomarker import Biomarker, CategoricalBiomarker, ContinuousBiomarker
from nnmtl.cohort.cell import format_interval, format_number
from nnmtl.cohort.clinical_rules import ki67_interval, receptor_status
from nnmtl.cohort.clinical_text import NotObserved, NotUnderstood
from nnmtl.cohort.her2_rules import HER2_CATEGORIES, her2_categories, her2_status
from nnmtl.cohort.survival_rule import survival_time
from nnmtl.errors import NnmtlError

Reading = str | NotObserved | NotUnderstood


@dataclass(frozen=True, kw_only=True)
class ClinicalRule:
    """One rule.

    Attributes:
        roles: what its columns are, the first being the one of a rule with a single column.
        biomarker: what it can fill, in words.
        fits: whether it can fill a biomarker.
        read: from the text by role to the cell.
        codes: if a column has no other texts than these in its first role, they are taken for codes
            that the rule would misread.
        harmless: those of them that alone mean what the rule makes of them.
    """

    roles: tuple[str, ...]
    biomarker: str
    fits: Callable[[Biomarker], bool]
    read: Callable[[Mapping[str, str]], Reading]
    codes: frozenset[str]
    harmless: frozenset[str] = frozenset()


def check_rule(name: str, roles: Iterable[str], biomarker: Biomarker, *, where: str) -> None:
    """Whether there is such a rule, with these roles, for such a biomarker.

    Raises:
        NnmtlError: if not.
    """
    if name not in RULES:
        raise NnmtlError(f"{where}: expected a rule among {', '.join(RULES)}, got {name!r}.")
    for role in roles:
        if role not in RULES[name].roles:
            raise NnmtlError(
                f"{where}: the rule {name!r} expects columns among "
                f"{', '.join(RULES[name].roles)}, got {role!r}."
            )
    if not RULES[name].fits(biomarker):
        raise NnmtlError(
            f"{where}: expected a {RULES[name].biomarker} biomarker for the rule {name!r}; declare "
            "it so."
        )


def _receptor(texts: Mapping[str, str], *, cutoff_percent: float) -> Reading:
    status = receptor_status(
        texts.get("status", ""),
        hormone_receptor=texts.get("hr", ""),
        cutoff_percent=cutoff_percent,
    )
    return str(int(status)) if isinstance(status, bool) else status


def _her2(texts: Mapping[str, str]) -> Reading:
    status = her2_status(**texts)
    return str(int(status)) if isinstance(status, bool) else status


def _her2_category(texts: Mapping[str, str]) -> Reading:
    possible = her2_categories(**texts)
    if isinstance(possible, NotObserved | NotUnderstood):
        return possible
    return "|".join(name for name in HER2_CATEGORIES if name in possible)


def _ki67(texts: Mapping[str, str]) -> Reading:
    interval = ki67_interval(texts["percent"])
    return format_interval(*interval) if isinstance(interval, tuple) else interval


def _survival(texts: Mapping[str, str]) -> Reading:
    time = survival_time(texts["time"], status=texts.get("status"))
    return format_number(time) if isinstance(time, float) else time


def _is_binary(biomarker: Biomarker) -> bool:
    return biomarker.kind == "binary"


def _is_her2_category(biomarker: Biomarker) -> bool:
    return isinstance(biomarker, CategoricalBiomarker) and biomarker.categories == HER2_CATEGORIES


def _is_continuous(biomarker: Biomarker) -> bool:
    return biomarker.kind == "continuous"


def _is_percentage(biomarker: Biomarker) -> bool:
    return isinstance(biomarker, ContinuousBiomarker) and biomarker.range == (0, 100)


_CODES = frozenset({"0", "1", "2", "3", "9"})
_RECEPTOR = ClinicalRule(
    roles=("status", "hr"),
    biomarker="binary",
    fits=_is_binary,
    read=partial(_receptor, cutoff_percent=1),
    codes=_CODES,
    harmless=frozenset({"0", "1"}),
)
_HER2 = ClinicalRule(
    roles=("ihc", "ish", "ratio", "copies"),
    biomarker="binary",
    fits=_is_binary,
    read=_her2,
    codes=_CODES - {"3"},  # scores without any 3 are rather a status
)

RULES: Mapping[str, ClinicalRule] = MappingProxyType(
    {
        "er_pr": _RECEPTOR,
        "er_pr_10": replace(
            _RECEPTOR, read=partial(_receptor, cutoff_percent=10), harmless=frozenset()
        ),
        "her2": _HER2,
        "her2_zero_low_positive": replace(
            _HER2,
            biomarker="categorical (zero, low, positive)",
            fits=_is_her2_category,
            read=_her2_category,
        ),
        "ki67": ClinicalRule(
            roles=("percent",),
            biomarker="continuous (range 0 to 100)",
            fits=_is_percentage,
            read=_ki67,
            codes=_CODES,
        ),
        "survival": ClinicalRule(
            roles=("time", "status"),
            biomarker="continuous",
            fits=_is_continuous,
            read=_survival,
            codes=frozenset(),
        ),
    }
)
