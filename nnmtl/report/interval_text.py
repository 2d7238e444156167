"""A value with its interval, for a reader and for a table of numbers."""

import math

from nnmtl.evaluation.intervals import Interval


def told(interval: Interval | None, *, sign: str = "-") -> str:
    """`0.812 (0.700 to 0.901)`; empty where there is no value.

    Args:
        interval: None where nothing was compared.
        sign: `+` shows it of positive numbers, too, as a difference needs.
    """
    if interval is None or math.isnan(interval.value):
        return ""
    if math.isnan(interval.lower):
        return f"{interval.value:{sign}.3f}"
    limits = f"{interval.lower:{sign}.3f} to {interval.upper:{sign}.3f}"
    return f"{interval.value:{sign}.3f} ({limits})"


def digits(interval: Interval | None) -> tuple[str, str, str]:
    """Value, lower and upper limit; six digits are far below any interval's width."""
    if interval is None:
        return ("", "", "")
    return (f"{interval.value:.6g}", f"{interval.lower:.6g}", f"{interval.upper:.6g}")
