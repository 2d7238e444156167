"""What a cell about ER, PR or Ki-67 means, by published rules.

- ER and PR: Allison et al., J Clin Oncol 2020;38:1346 (ASCO/CAP): positive from 1 % of the tumor
  nuclei on. 1 to 10 % of ER is called low positive, and is positive.
- Ki-67: a percentage. What is high depends on the laboratory (Nielsen et al., J Natl Cancer Inst
  2021;113:808), so `high` and `low` alone are not turned into numbers.
"""

import re

from nnmtl.cohort.clinical_text import (
    ClinicalText,
    NotObserved,
    NotUnderstood,
    normalized,
    read_clinical_text,
    says_nothing,
)

_POSITIVE = frozenset({"positive", "pos"})
_NEGATIVE = frozenset({"negative", "neg"})
_OPEN = frozenset({"equivocal", "borderline", "indeterminate"})
_RECEPTOR = frozenset({"er", "pr", "pgr", "hr", "estrogen", "progesterone", "hormone", "receptor"})
_STAIN = frozenset({"strong", "moderate", "weak", "intensity", "staining", "low", "status"})
_OF_CELLS = frozenset({"of", "in", "nuclei", "nuclear", "tumor", "cells"})
_LEVELS = frozenset({"low", "intermediate", "high"})
_INDEX = frozenset({"ki", "mib", "index", "labeling", "proliferation"})
_NAME_OF_KI67 = re.compile(r"^(?:ki|mib)[\s-]*(?:67|1)(?![0-9.%])")


def receptor_status(
    text: str, *, hormone_receptor: str = "", cutoff_percent: float = 1
) -> bool | NotObserved | NotUnderstood:
    """Whether a tumor is positive for estrogen or progesterone receptors.

    Args:
        text: a percentage of nuclei, an interval of them, a status or both; a number without `%`
            is a percentage, so that 0 and 1 as codes mean negative and positive, too.
        hormone_receptor: the same of both receptors together, where a source has that. Negative
            means that both are; positive leaves open which one is.
        cutoff_percent: positive from here on.

    Returns:
        `NotObserved` where it is empty or lies on both sides of the cutoff.
    """
    own = _own_status(text, cutoff_percent=cutoff_percent)
    of_both = _own_status(hormone_receptor, cutoff_percent=cutoff_percent)
    if isinstance(own, NotUnderstood) or isinstance(of_both, NotObserved):
        return own
    if isinstance(of_both, NotUnderstood):
        return of_both
    if own is True and of_both is False:
        return NotUnderstood("positive, although the hormone receptors together are negative")
    if isinstance(own, NotObserved) and not of_both:
        return False
    if isinstance(own, NotObserved) and not own.reason:
        return NotObserved("hormone receptors are positive, but not said which")
    return own


def ki67_interval(text: str) -> tuple[float, float] | NotObserved | NotUnderstood:
    """The percentage of stained nuclei as an interval within 0 to 100, its ends equal for a number.

    `<5 %` is 0 to 5, `>=30` is 30 to 100, and `~15` is taken as 15.
    """
    if says_nothing(text):
        return NotObserved()
    known_words = _INDEX | _LEVELS | _POSITIVE | _OF_CELLS
    parts = read_clinical_text(_NAME_OF_KI67.sub("", normalized(text)), known_words=known_words)
    if isinstance(parts, NotUnderstood):
        return parts
    if len(parts.percents) > 1 or parts.grades:
        return NotUnderstood("more than one percentage, or a grade of staining")
    if not parts.percents and _LEVELS & set(parts.words):
        return NotUnderstood("a level without percentage, whose cutoff is the laboratory's")
    if not parts.percents:
        return NotUnderstood("no percentage")
    return parts.percents[0].lower, parts.percents[0].upper


def _own_status(text: str, *, cutoff_percent: float) -> bool | NotObserved | NotUnderstood:
    if says_nothing(text):
        return NotObserved()
    known_words = _POSITIVE | _NEGATIVE | _OPEN | _RECEPTOR | _STAIN | _OF_CELLS
    parts = read_clinical_text(text, known_words=known_words)
    if isinstance(parts, NotUnderstood):
        return parts
    if len(parts.percents) > 1:
        return NotUnderstood("more than one percentage")
    said = _said(parts) | _measured(parts, cutoff_percent)
    if len(said) > 1:
        return NotUnderstood("positive and negative at once, by its words and numbers")
    if said:
        return said.pop()
    if parts.percents:
        return NotObserved(f"an interval on both sides of the cutoff of {cutoff_percent:g} %")
    if _OPEN & set(parts.words):
        return NotObserved("equivocal")
    return NotUnderstood("neither a status nor a percentage")


def _said(parts: ClinicalText) -> set[bool]:
    """What words and grades of staining (1+ to 3+) say."""
    words = set(parts.words)
    said = {grade > 0 for grade in parts.grades}
    return (
        said | ({True} if words & _POSITIVE else set()) | ({False} if words & _NEGATIVE else set())
    )


def _measured(parts: ClinicalText, cutoff_percent: float) -> set[bool]:
    """What a percentage says; nothing where it lies on both sides of the cutoff."""
    for percent in parts.percents:
        if percent.lower >= cutoff_percent:
            return {True}
        if percent.upper < cutoff_percent or (
            percent.upper == cutoff_percent and percent.excludes_upper
        ):
            return {False}
    return set()
