"""Bootstrap over patients: all cases of a patient are drawn together or not at all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nnmtl.evaluation.weighted import FloatArray

NUM_RESAMPLES = 2000
SEED = 20250101
CONFIDENCE = 0.95
# Below this share of resamples with a value, the percentiles describe a special selection.
_MIN_DEFINED_FRACTION = 0.5

Statistic = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value with its percentile interval; all nan where undefined."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Resamples:
    """How often each of N cases counts in each of B resamples: `weights` (B, N)."""

    weights: FloatArray


def resample_patients(
    patient_ids: Sequence[str],
    *,
    strata: Sequence[object] | None = None,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = SEED,
) -> Resamples:
    """Draws patients with replacement, as many as there are.

    Args:
        patient_ids: the patient of each of N cases.
        strata: the class of each case; every resample then has as many patients of each class
            as the sample, where a patient's class is the set of its cases' classes.
        num_resamples: B.
        seed: equal seeds and patients give equal resamples.
    """
    patients, patient_of_case = np.unique(np.asarray(patient_ids, dtype=str), return_inverse=True)
    stratum_of_patient = _patient_strata(patient_of_case, strata, len(patients))
    generator = np.random.default_rng(seed)
    counts = np.zeros((num_resamples, len(patients)))
    for stratum in range(stratum_of_patient.max(initial=-1) + 1):
        members = np.flatnonzero(stratum_of_patient == stratum)
        equal = np.full(len(members), 1 / len(members))
        counts[:, members] = generator.multinomial(len(members), equal, size=num_resamples)
    return Resamples(weights=counts[:, patient_of_case])


def bootstrap(statistic: Statistic, resamples: Resamples) -> Interval:
    """The statistic of all cases, with the percentile interval of its resamples.

    Args:
        statistic: from weights (..., N) to values (...), nan where undefined; metrics of this
            package with their data bound, such as `partial(auc, scores, positive)`.
        resamples: whose patients the cases belong to. With one case no interval is given.

    Returns:
        Undefined resamples are left out; where they are the majority the interval is nan.
    """
    num_cases = resamples.weights.shape[1]
    value = float(statistic(np.ones(num_cases))) if num_cases else np.nan
    if np.isnan(value) or not _varies(resamples):
        return Interval(value=value, lower=np.nan, upper=np.nan)
    values = statistic(resamples.weights)
    defined = values[~np.isnan(values)]
    if len(defined) < _MIN_DEFINED_FRACTION * len(values):
        return Interval(value=value, lower=np.nan, upper=np.nan)
    tail = (1 - CONFIDENCE) / 2
    lower, upper = np.quantile(defined, [tail, 1 - tail])
    return Interval(value=value, lower=float(lower), upper=float(upper))


def paired_difference(first: Statistic, second: Statistic, resamples: Resamples) -> Interval:
    """`first - second`, both on the same resamples, so that what they share cancels."""
    return bootstrap(lambda weights: first(weights) - second(weights), resamples)


def _patient_strata(
    patient_of_case: np.ndarray, strata: Sequence[object] | None, num_patients: int
) -> np.ndarray:
    """The number of each patient's stratum."""
    if strata is None:
        return np.zeros(num_patients, dtype=np.intp)
    classes: list[set[str]] = [set() for _ in range(num_patients)]
    for patient, stratum in zip(patient_of_case, strata, strict=True):
        classes[patient].add(str(stratum))
    names = [" ".join(sorted(members)) for members in classes]
    return np.unique(np.asarray(names, dtype=str), return_inverse=True)[1]


def _varies(resamples: Resamples) -> bool:
    """Whether resamples differ at all, which those of a single patient do not."""
    return bool((resamples.weights != resamples.weights[:1]).any())
