"""Published rules for the molecular subtype of a breast cancer of which everything is known.

Immunohistochemistry stands in for gene expression here. The rules and their sources:

- `st_gallen_2013`: Goldhirsch et al., Ann Oncol 2013;24:2206, with Ki-67 high from 20 % on, the
  vote of the panel's majority, and PR low below 20 %.
- `st_gallen_2011`: Goldhirsch et al., Ann Oncol 2011;22:1736.
- `maisonneuve`: Maisonneuve et al., Breast Cancer Res 2014;16:R65, about ER-positive,
  HER2-negative tumors; the others as in 2013.
- `ihc4`: the four groups by hormone receptors and HER2 of Howlader et al., J Natl Cancer Inst
  2014;106:dju055. They need no Ki-67; they are not the IHC4 score.
"""

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Rule = Literal["st_gallen_2013", "st_gallen_2011", "maisonneuve", "ihc4"]

_OF_2011 = (
    "luminal_a",
    "luminal_b_her2_negative",
    "luminal_b_her2_positive",
    "her2_positive_non_luminal",
    "triple_negative",
)
# ER-negative and PR-positive: luminal in 2011, nothing at all in 2013.
_OF_2013 = (*_OF_2011, "unclassified")
_OF_IHC4 = (
    "hr_positive_her2_negative",
    "hr_positive_her2_positive",
    "hr_negative_her2_positive",
    "triple_negative",
)
SUBTYPES: Mapping[Rule, tuple[str, ...]] = MappingProxyType(
    {
        "st_gallen_2013": _OF_2013,
        "st_gallen_2011": _OF_2011,
        "maisonneuve": _OF_2013,
        "ihc4": _OF_IHC4,
    }
)

# Elementary intervals in %, start included and end not: no rule tells two values of one apart.
KI67_BINS = ((0, 14), (14, 20), (20, np.inf))
# The same of PR that is negative, low or high. Laboratories call PR positive from 1 % on (Allison
# et al., J Clin Oncol 2020;38:1346) or from 10 % on; in between it may be negative or low.
PR_BINS = ((0, 10), (1, 20), (20, np.inf))


@cache
def complete_cases(rule: Rule) -> npt.NDArray[np.float64]:
    """Every case of which all is known, and its subtype.

    Returns:
        (2, 3, 2, 3, K): ER negative or positive, PR_BINS, HER2 negative or positive, KI67_BINS;
        1 at the subtype, in the order of SUBTYPES, and 0 at the others. Not writeable.
    """
    cases = np.zeros((2, len(PR_BINS), 2, len(KI67_BINS), len(SUBTYPES[rule])))
    for er, pr, her2, ki67 in np.ndindex(cases.shape[:-1]):
        tumor = _Tumor(
            er=bool(er),
            pr=pr > 0,
            her2=bool(her2),
            ki67_percent=KI67_BINS[ki67][0],
            pr_percent=PR_BINS[pr][0],
        )
        cases[er, pr, her2, ki67, SUBTYPES[rule].index(_RULES[rule](tumor))] = 1
    cases.setflags(write=False)
    return cases


class _Tumor(NamedTuple):
    er: bool
    pr: bool
    her2: bool
    ki67_percent: float
    pr_percent: float


def _st_gallen_2013(tumor: _Tumor) -> str:
    is_a = tumor.ki67_percent < 20 and tumor.pr_percent >= 20
    return _intrinsic(tumor, is_luminal=tumor.er, is_a=is_a)


def _st_gallen_2011(tumor: _Tumor) -> str:
    return _intrinsic(tumor, is_luminal=tumor.er or tumor.pr, is_a=tumor.ki67_percent < 14)


def _maisonneuve(tumor: _Tumor) -> str:
    is_a = tumor.ki67_percent < 14 or (tumor.ki67_percent < 20 and tumor.pr_percent >= 20)
    return _intrinsic(tumor, is_luminal=tumor.er, is_a=is_a)


def _ihc4(tumor: _Tumor) -> str:
    if tumor.er or tumor.pr:
        return "hr_positive_her2_positive" if tumor.her2 else "hr_positive_her2_negative"
    return "hr_negative_her2_positive" if tumor.her2 else "triple_negative"


def _intrinsic(tumor: _Tumor, *, is_luminal: bool, is_a: bool) -> str:
    if is_luminal and tumor.her2:
        return "luminal_b_her2_positive"
    if is_luminal:
        return "luminal_a" if is_a else "luminal_b_her2_negative"
    if tumor.pr:
        return "unclassified"
    return "her2_positive_non_luminal" if tumor.her2 else "triple_negative"


_RULES: Mapping[Rule, Callable[[_Tumor], str]] = MappingProxyType(
    {
        "st_gallen_2013": _st_gallen_2013,
        "st_gallen_2011": _st_gallen_2011,
        "maisonneuve": _maisonneuve,
        "ihc4": _ihc4,
    }
)
