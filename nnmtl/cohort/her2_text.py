"""Which IHC scores and groups of in-situ hybridization a cell about HER2 leaves possible.

The groups are those of Wolff et al., J Clin Oncol 2018;36:2105.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from nnmtl.cohort.clinical_text import (
    NotUnderstood,
    Percent,
    normalized,
    read_clinical_text,
    says_nothing,
)

ALL_SCORES = frozenset({0, 1, 2, 3})
NEGATIVE_GROUP = frozenset({5})

_IHC_WORDS: Mapping[str, frozenset[int]] = MappingProxyType(
    {
        **dict.fromkeys(("negative", "neg"), frozenset({0, 1})),
        **dict.fromkeys(("equivocal", "borderline"), frozenset({2})),
        **dict.fromkeys(("positive", "pos"), frozenset({3})),
        **dict.fromkeys(("zero", "ultralow"), frozenset({0})),
        "low": frozenset({1, 2}),  # 2+ only with negative hybridization
    }
)
_ISH_WORDS: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(("positive", "pos", "amplified"), 1),
        **dict.fromkeys(("negative", "neg", "nonamplified"), 5),
    }
)
_OPEN_ISH_WORDS = frozenset({"equivocal", "borderline", "indeterminate", "failed"})
_AROUND = frozenset({"ihc", "score", "neu", "staining", "group", "result", "status"})
_SPELLINGS = tuple(
    (re.compile(pattern), plain)
    for pattern, plain in (
        (r"\bher-?2(?:/neu)?\s*\+$", "positive"),
        (r"\b(?:her|(?:c\s)?erbb?)[\s-]*2(?:[\s/]*neu)?(?:-(?=[a-z]))?", " "),
        (r"\bultra\s+low\b", "ultralow"),
        (r"\b(?:non|not|un)\s*amplified\b", "nonamplified"),
        (r"\b([0-3])\s*\+?\s*[/-]\s*([0-3])\s*\+", r"\1-\2"),
    )
)
_ISH = re.compile(r"\b(?:f|c|s|dd?)?ish\b")
_DECIMAL = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def possible_scores(ihc: str) -> frozenset[int] | NotUnderstood | None:
    """The scores that a stain may have; None if nothing is said.

    A status in words stands for its scores: negative for 0 and 1, equivocal for 2, positive for 3.
    """
    stain, _ = _parts(ihc)
    return _scores(_spelled(stain))


def possible_groups(
    ihc: str, ish: str, *, ratio: str, copies: str
) -> frozenset[int] | NotUnderstood | None:
    """The groups that agree with all that is said of hybridization; None if nothing is decisive.

    Ratio and copies together overrule words, which may follow an older guideline.
    """
    stain, within = _parts(ihc)
    counted = _counted_groups(ratio, copies)
    if isinstance(counted, frozenset) and not (says_nothing(ratio) or says_nothing(copies)):
        return counted
    common = None
    for groups in (counted, _group_of_low(stain), _groups_in_words(within), _groups_in_words(ish)):
        if isinstance(groups, NotUnderstood):
            return groups
        if groups is not None:
            common = groups if common is None else common & groups
    if common is not None and not common:
        return NotUnderstood("results of in-situ hybridization that exclude each other")
    return common


def ish_group(ratio: float, copies: float) -> int:
    """The group, 1 to 5, of in-situ hybridization with two probes.

    Args:
        ratio: of HER2 to chromosome 17.
        copies: of HER2 per cell on average.
    """
    if ratio >= 2:
        return 1 if copies >= 4 else 2
    if copies >= 6:
        return 3
    return 4 if copies >= 4 else 5


def _parts(ihc: str) -> tuple[str, str]:
    """A cell such as `2+ (FISH -)` before and after the name of the hybridization."""
    stain, _, within = _ISH.sub("\0", normalized(ihc), count=1).partition("\0")
    within = within.strip(" ():;,.=")
    return stain.rstrip(" (:;,.="), "negative" if within == "-" else within


def _scores(text: str) -> frozenset[int] | NotUnderstood | None:
    """The possible scores of a stain."""
    if says_nothing(text):
        return None
    if text == "+":
        return NotUnderstood("a single +, which may mean 1+ or positive")
    parts = read_clinical_text(text, known_words=_AROUND | _IHC_WORDS.keys())
    if isinstance(parts, NotUnderstood):
        return parts
    said = [_IHC_WORDS[word] for word in parts.words if word in _IHC_WORDS]
    said += [frozenset({grade}) for grade in parts.grades]
    # What has a % is the share of stained cells beside the score.
    said += [_scores_within(number) for number in parts.percents if not number.has_unit]
    if not said or frozenset() in said:
        return NotUnderstood("neither a score from 0 to 3+ nor a status")
    return frozenset.intersection(*said) or NotUnderstood("scores or words that exclude each other")


def _scores_within(number: Percent) -> frozenset[int]:
    ends = {number.lower, number.upper}
    if not ends <= ALL_SCORES:
        return frozenset()
    return frozenset(score for score in ALL_SCORES if number.lower <= score <= number.upper) - (
        {int(number.upper)} if number.excludes_upper else set()
    )


def _group_of_low(text: str) -> frozenset[int] | None:
    """A stain that is called low was not amplified, if hybridization was needed."""
    return NEGATIVE_GROUP if re.search(r"\blow\b", _spelled(text)) else None


def _groups_in_words(text: str) -> frozenset[int] | NotUnderstood | None:
    """The groups that a result of hybridization stands for; None if it decides nothing."""
    text = _ISH.sub(" ", _spelled(text)).strip(" ():;,.=")
    text = {"+": "positive"}.get(text, text)
    if says_nothing(text):
        return None
    parts = read_clinical_text(text, known_words=_AROUND | _ISH_WORDS.keys() | _OPEN_ISH_WORDS)
    if isinstance(parts, NotUnderstood):
        return parts
    said = {_ISH_WORDS[word] for word in parts.words if word in _ISH_WORDS}
    numbers = {number.lower for number in parts.percents if number.lower == number.upper}
    if "group" in parts.words and len(parts.percents) == 1 and numbers <= {1, 2, 3, 4, 5}:
        said |= {int(number) for number in numbers}
    elif parts.percents or parts.grades:
        return NotUnderstood("a number beside ISH; name its column under 'ratio' or 'copies'")
    if len(said) > 1:
        return NotUnderstood("results of in-situ hybridization that exclude each other")
    if not said and not _OPEN_ISH_WORDS & set(parts.words):
        return NotUnderstood("no result of in-situ hybridization")
    return frozenset(said) or None


def _counted_groups(ratio: str, copies: str) -> frozenset[int] | NotUnderstood | None:
    """The groups that numbers leave possible."""
    r, c = _count(ratio), _count(copies)
    if isinstance(r, NotUnderstood):
        return r
    if isinstance(c, NotUnderstood):
        return c
    if r is not None and c is not None:
        return frozenset({ish_group(r, c)})
    if r is not None:
        return frozenset({1, 2} if r >= 2 else {3, 4, 5})
    # A single probe: from 6 copies on positive, below 4 negative, in between as if not done.
    if c is None or 4 <= c < 6:
        return None
    return frozenset({1}) if c >= 6 else NEGATIVE_GROUP


def _count(text: str) -> float | NotUnderstood | None:
    if says_nothing(text):
        return None
    text = normalized(text)
    if not _DECIMAL.fullmatch(text):
        return NotUnderstood("a ratio or number of copies that is no plain number")
    return float(text)


def _spelled(text: str) -> str:
    text = normalized(text)
    for pattern, plain in _SPELLINGS:
        text = pattern.sub(plain, text)
    return text.strip()
