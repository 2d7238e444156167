"""Takes apart what laboratories write in a cell: percentages, stain grades and words."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from nnmtl.cohort.near_miss import did_you_mean


@dataclass(frozen=True)
class NotUnderstood:
    """A text that no rule can read.

    The reason never repeats the text: a cell of free text may hold a name.
    """

    reason: str


@dataclass(frozen=True)
class NotObserved:
    """A text that was understood but decides nothing; the reason is empty where nothing is said."""

    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Percent:
    """A percentage or an interval of percentages within 0 to 100.

    Attributes:
        lower: the lower end, which belongs to it unless the text says `>`.
        upper: the upper end.
        excludes_upper: whether the text says `<`.
        has_unit: whether the text says `%`.
    """

    lower: float
    upper: float
    excludes_upper: bool = False
    has_unit: bool = False


@dataclass(frozen=True, kw_only=True)
class ClinicalText:
    """The parts of a text.

    Attributes:
        percents: in the order of the text; a number without `%` is among them.
        grades: 0 to 3, of grades such as `2+` or `++`.
        words: in lower case.
    """

    percents: tuple[Percent, ...] = ()
    grades: tuple[int, ...] = ()
    words: tuple[str, ...] = ()


_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
# Spellings of one meaning, replaced in this order.
_SPELLINGS = tuple(
    (re.compile(pattern), plain)
    for pattern, plain in (
        (r"[‐-―−]", "-"),
        (r"[≥⩾]|=>|\b(?:at least|minimum)\b", ">="),
        (r"[≤⩽]|=<|\b(?:at most|up to|maximum)\b", "<="),
        (r"[≈∼]|\b(?:ca|circa|about|around|approx|approximately|roughly)\b\.?", "~"),
        (r"\b(?:less|fewer|lower) than\b|\b(?:below|under)\b", "<"),
        (r"\b(?:more|greater|higher) than\b|\b(?:above|over)\b", ">"),
        (r"\bper ?cent\b|\bpct\b", "%"),
        (r"(?<=[0-9]),(?=[0-9]{1,2}(?![0-9]))", "."),
        (rf"\bbetween\s+({_NUMBER}\s*%?)\s+and\s+(?=[.0-9])", r"\1-"),
        (rf"({_NUMBER}\s*%?)\s*\bto\b\s*(?=[.0-9])", r"\1-"),
        (r"(?<=[a-z])-(?=[a-z])", " "),
        (r"\b([a-z]+[0-9]?)\s*-$", r"\1 negative"),  # such as ER-
    )
)
_TOKEN = re.compile(
    rf"(?P<grade>[0-3]\s?\+|\+{{1,3}})(?![0-9+])"
    rf"|(?:(?P<sign>[<>]=?|~)\s*)?(?P<first>{_NUMBER})\s*(?P<unit>%?)"
    rf"(?:\s*-\s*(?P<second>{_NUMBER})\s*(?P<second_unit>%?))?"
    r"|(?P<word>[^\W\d_]+)|(?P<between>[\s,;:()\[\]=]+|\.(?![0-9]))"
)
_NOTHING_SAID = re.compile(
    r"(?:na|n/a|n\.a\.|nan|nd|n\.d\.|\?|unknown|unk|missing"
    r"|not (?:known|done|available|tested|performed|reported))?"
)
_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}.*" rf"|[0-9]{{1,2}}[- ]{_MONTH}|{_MONTH}[- ][0-9]{{1,2}}"
)


def says_nothing(text: str) -> bool:
    """Whether a cell is empty or says in words that the value is not known."""
    return _NOTHING_SAID.fullmatch(normalized(text)) is not None


def normalized(text: str) -> str:
    """The text in lower case with one spelling of dashes, signs, decimal points and intervals."""
    text = unicodedata.normalize("NFKC", text).casefold().strip()
    for pattern, plain in _SPELLINGS:
        text = pattern.sub(plain, text)
    return text.strip()


def read_clinical_text(text: str, *, known_words: Iterable[str]) -> ClinicalText | NotUnderstood:
    """The parts of a text, if it has no others than percentages, grades and known words."""
    text = normalized(text)
    known_words = frozenset(known_words)
    if text == "-":
        return NotUnderstood("a dash, which may mean negative or not done")
    if _DATE.fullmatch(text):
        return NotUnderstood("a date, into which spreadsheets turn intervals such as 1-10")
    percents, grades, words = [], [], []
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            return NotUnderstood("a sign that is not known here")
        position = token.end()
        if token["grade"]:
            grades.append(_grade(token["grade"]))
        elif token["first"]:
            percent = _percent(token)
            if isinstance(percent, NotUnderstood):
                return percent
            percents.append(percent)
        elif token["word"]:
            if token["word"] not in known_words:
                return _unknown_word(token["word"], known_words)
            words.append(token["word"])
    return ClinicalText(percents=tuple(percents), grades=tuple(grades), words=tuple(words))


def _grade(text: str) -> int:
    return int(text[0]) if text[0] in "0123" else len(text)


def _percent(token: re.Match[str]) -> Percent | NotUnderstood:
    sign = token["sign"] or ""
    first = float(token["first"])
    second = float(token["second"]) if token["second"] else first
    has_unit = bool(token["unit"] or token["second_unit"])
    if max(first, second) > 100:
        return NotUnderstood("a number above 100")
    if not has_unit and (0 < first < 1 or 0 < second < 1):
        return NotUnderstood("a number between 0 and 1 without %, which may be a fraction")
    if first > second:
        return NotUnderstood("an interval whose lower end does not come first")
    if sign in ("<", ">", "<=", ">=") and token["second"]:
        return NotUnderstood("an interval with a sign before it")
    if (sign, first) in (("<", 0), (">", 100)):
        return NotUnderstood("an interval that is empty")
    return Percent(
        lower=0 if sign in ("<", "<=") else first,
        upper=100 if sign in (">", ">=") else second,
        excludes_upper=sign == "<",
        has_unit=has_unit,
    )


def _unknown_word(word: str, known_words: Iterable[str]) -> NotUnderstood:
    return NotUnderstood(f"a word that is not known{did_you_mean(word, sorted(known_words))}")
