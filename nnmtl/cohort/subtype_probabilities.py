"""The probability of each molecular subtype of breast cancer from those of its biomarkers."""

from collections.abc import Iterator, Mapping
from itertools import product

import numpy as np
import numpy.typing as npt

from nnmtl.cohort.subtype_rules import Rule, complete_cases
from nnmtl.errors import NnmtlError

FloatArray = npt.NDArray[np.float64]

_ROUNDING = 1e-6  # of probabilities that were 32-bit numbers


def subtype_probabilities(
    *,
    p_er: npt.ArrayLike,
    p_pr: npt.ArrayLike,
    p_her2: npt.ArrayLike,
    p_ki67_14: npt.ArrayLike,
    p_ki67_20: npt.ArrayLike,
    p_pr_20: npt.ArrayLike | None = None,
    rule: Rule = "st_gallen_2013",
) -> FloatArray:
    """The probability of each subtype of N cases.

    ER, PR, HER2 and Ki-67 count as independent given the image. That is an assumption: whatever
    the image does not show may still connect them, as it connects ER with PR.

    Args:
        p_er: (N,) probability of being positive, nan where unknown; one number is for all cases.
        p_pr: the same of PR.
        p_her2: the same of HER2.
        p_ki67_14: the same of Ki-67 of at least 14 %.
        p_ki67_20: the same of Ki-67 of at least 20 %.
        p_pr_20: the same of PR of at least 20 %. Without it every positive PR counts as high, an
            approximation in favor of luminal A, since a PR that is positive may be low.
        rule: how the subtypes are defined; what it does not ask for may be nan.

    Returns:
        (N, K) in the order of SUBTYPES, with a sum of 1 per row. An unknown probability makes nan
        of the subtypes that depend on it, and of no other.

    Raises:
        NnmtlError: if a number is no probability, or the higher of two cutoffs has the higher one.
    """
    given = {"ER": p_er, "PR": p_pr, "HER2": p_her2}
    given |= {"Ki-67 >= 14 %": p_ki67_14, "Ki-67 >= 20 %": p_ki67_20}
    given |= {"PR >= 20 %": p_pr if p_pr_20 is None else p_pr_20}
    columns = np.broadcast_arrays(*(np.atleast_1d(np.asarray(p, float)) for p in given.values()))
    p = dict(zip(given, columns, strict=True))
    for name in p:
        _check_probabilities(name, p[name])
    weights = (
        np.stack([1 - p["ER"], p["ER"]], axis=1),
        _weights_of_bins(p, "PR", "PR >= 20 %"),
        np.stack([1 - p["HER2"], p["HER2"]], axis=1),
        _weights_of_bins(p, "Ki-67 >= 14 %", "Ki-67 >= 20 %"),
    )
    # The sum is linear in each of the four, so where all ways to put unknown weight into one state
    # agree, any other way to spread it agrees too.
    sums = [
        np.einsum("ne,np,nh,nk,ephks->ns", *filled, complete_cases(rule))
        for filled in product(*map(_fillings, weights))
    ]
    lowest, highest = np.min(sums, axis=0), np.max(sums, axis=0)
    return np.where(highest - lowest <= _ROUNDING, lowest, np.nan)


def _check_probabilities(name: str, values: FloatArray) -> None:
    wrong = values[(values < 0) | (values > 1)]
    if wrong.size:
        raise NnmtlError(
            f"subtype: expected probabilities of {name} from 0 to 1, or nan, got {wrong[0]:g}; "
            "convert them."
        )


def _weights_of_bins(p: Mapping[str, FloatArray], first: str, second: str) -> FloatArray:
    """(N, 3) probabilities to be below both cutoffs, between them, and above."""
    rows = np.flatnonzero(p[second] > p[first] + _ROUNDING)
    if rows.size:
        raise NnmtlError(
            f"subtype: expected {second} to be at most as probable as {first}, got "
            f"{p[second][rows[0]]:g} and {p[first][rows[0]]:g} in row {rows[0]}; derive both from "
            "one distribution."
        )
    return np.stack([1 - p[first], p[first] - p[second], p[second]], axis=1)


def _fillings(weights: FloatArray) -> Iterator[FloatArray]:
    """(N, S) weights, once per unknown state: it gets what the known ones leave of 1."""
    is_unknown = np.isnan(weights)
    known = np.where(is_unknown, 0, weights)
    left = np.where(is_unknown.any(axis=1), np.maximum(1 - known.sum(axis=1), 0), 0)
    for state in np.flatnonzero(is_unknown.any(axis=0)).tolist() or [0]:
        filled = known.copy()
        # A row that knows this state gives to its first unknown one, and so repeats an answer.
        receiver = np.where(is_unknown[:, state], state, is_unknown.argmax(axis=1))
        filled[np.arange(len(weights)), receiver] += left
        yield filled
