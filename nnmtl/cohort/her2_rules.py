"""What stain and gene copies say of HER2, by the guideline of ASCO and CAP.

- Status: Wolff et al., J Clin Oncol 2018;36:2105, affirmed by Wolff et al., J Clin Oncol
  2023;41:3867.
- Zero, low and positive: the guideline of 2023 finds it premature to report low as a category of
  its own; its lower border comes from the entry criteria of DESTINY-Breast04 (Modi et al., N Engl
  J Med 2022;387:9). It is a label for research, not a diagnosis. Ultralow counts as zero.
"""

from collections.abc import Mapping
from types import MappingProxyType

from nnmtl.cohort.clinical_text import NotObserved, NotUnderstood, says_nothing
from nnmtl.cohort.her2_text import ALL_SCORES, NEGATIVE_GROUP, possible_groups, possible_scores

HER2_CATEGORIES = ("zero", "low", "positive")

# By group of in-situ hybridization with two probes: from which IHC score on a tumor is positive.
# Group 1 is so at any score, and a score of 3+ in any group.
_POSITIVE_FROM: Mapping[int, int] = MappingProxyType({1: 0, 2: 3, 3: 2, 4: 3, 5: 3})
_WITHOUT_HYBRIDIZATION = (("zero",), ("low",), ("low", "positive"), ("positive",))


def her2_status(
    ihc: str = "", ish: str = "", *, ratio: str = "", copies: str = ""
) -> bool | NotObserved | NotUnderstood:
    """Whether a tumor is positive for HER2; see `her2_categories` for the arguments.

    IHC of 2+ without hybridization is not observed, never negative.
    """
    possible = her2_categories(ihc, ish, ratio=ratio, copies=copies)
    if isinstance(possible, NotObserved | NotUnderstood):
        return possible
    return "positive" in possible


def her2_categories(
    ihc: str = "", ish: str = "", *, ratio: str = "", copies: str = ""
) -> frozenset[str] | NotObserved | NotUnderstood:
    """Which of zero, low and positive a tumor may be: one, or zero and low if it is negative.

    Args:
        ihc: the score from `0` to `3+`, or a status in words; the result of hybridization may
            follow, as in `2+ (FISH negative)`. A number is a score: 1 is 1+.
        ish: the result of hybridization, in words or as `group 1` to `group 5`.
        ratio: of HER2 to chromosome 17.
        copies: of HER2 per cell; without `ratio` those of an assay with a single probe. Both
            numbers together overrule words, which may follow an older guideline.

    Returns:
        `NotObserved` where both positive and another category are possible.
    """
    scores = possible_scores(ihc)
    groups = possible_groups(ihc, ish, ratio=ratio, copies=copies)
    if isinstance(scores, NotUnderstood):
        return scores
    if isinstance(groups, NotUnderstood):
        return groups
    if scores is None and groups is None:
        is_said = not all(map(says_nothing, (ihc, ish, ratio, copies)))
        return NotObserved("no result that is decisive by itself" if is_said else "")
    found = _categories(scores, groups)
    if "positive" in found and len(found) > 1:
        return NotObserved(
            "IHC of 2+ without a decisive in-situ hybridization"
            if groups is None
            else "in-situ hybridization that is not decisive without IHC, ratio and copies"
        )
    return found


def _categories(scores: frozenset[int] | None, groups: frozenset[int] | None) -> frozenset[str]:
    """All categories that these scores and groups make possible; None is unknown."""
    if groups is None:
        return frozenset(name for score in scores or () for name in _WITHOUT_HYBRIDIZATION[score])
    if scores is None:
        # Hybridization of group 5 is negative by itself, where no stain contradicts it.
        scores = ALL_SCORES - {3} if groups == NEGATIVE_GROUP else ALL_SCORES
    return frozenset(_category(score, group) for score in scores for group in groups)


def _category(score: int, group: int) -> str:
    if score >= _POSITIVE_FROM[group]:
        return "positive"
    return "low" if score else "zero"
