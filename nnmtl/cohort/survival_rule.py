"""What cells about survival mean: the time to an observed death.

Where a patient was alive when last seen, the time of death is only known to be later. A continuous
biomarker has a closed range, so that such an interval would end at the arbitrary end of the range,
and what is learned from the middle of intervals would follow it. These cases are not observed: a
model of the rest is one of the patients whose death was seen, and tells too short a survival.
"""

import re

from nnmtl.cohort.clinical_text import NotObserved, NotUnderstood, normalized, says_nothing

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?")
_DEAD = frozenset({"dead", "deceased", "died"})
# BraTS writes `ALIVE (400 days later)` in the column of the days.
_ALIVE = re.compile(r"(?:alive|living|lost to follow[ -]up|censored)\b.*")
_CENSORED = "alive when last seen, so that survival is only known to be longer"


def survival_time(time: str, *, status: str | None = None) -> float | NotObserved | NotUnderstood:
    """The time to death.

    Args:
        time: a number in the biomarker's unit, or words of a patient who lives.
        status: words, dead or alive; None where the source has numbers for the dead only.

    Returns:
        `NotObserved` where the patient was alive when last seen, or nothing is said.
    """
    text = normalized(time)
    if _ALIVE.fullmatch(text):
        return NotObserved(_CENSORED)
    state = "dead" if status is None else normalized(status)
    if _ALIVE.fullmatch(state):
        return NotObserved(_CENSORED)
    if says_nothing(state):
        return NotObserved()
    if state not in _DEAD:
        return NotUnderstood("a status that is neither dead nor alive")
    if says_nothing(time):
        return NotObserved()
    if not _NUMBER.fullmatch(text):
        return NotUnderstood("a time that is not a number")
    return float(text)
