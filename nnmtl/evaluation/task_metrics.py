"""The metrics of each kind of task, with their intervals."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from nnmtl.cohort.biomarker import CategoricalBiomarker
from nnmtl.evaluation.discrimination import (
    auc,
    balanced_accuracy,
    brier,
    macro_auc,
    micro_auc,
    recall,
)
from nnmtl.evaluation.intervals import Resamples, Statistic, bootstrap, resample_patients
from nnmtl.evaluation.join import JoinedClass, JoinedNumber
from nnmtl.evaluation.regression import mean_absolute_error, pearson, skill, spearman
from nnmtl.evaluation.results import CaseSegmentation, Metric
from nnmtl.evaluation.weighted import FloatArray, mean, median

_ONE_CLASS = "the cases do not have both classes"
_NO_POSTERIOR = "not every case has a posterior"
_CONSTANT = "predictions or targets do not vary"


def binary_metrics(joined: JoinedClass, patient_ids: Sequence[str]) -> tuple[Metric, ...]:
    """AUC, recalls at the model's threshold, and Brier score of N answered cases."""
    positive = joined.classes == 1
    probability = joined.scores[:, 1]
    resamples = resample_patients(patient_ids, strata=joined.classes.tolist())
    events = int(positive.sum())

    def metric(name: str, statistic: Statistic, *, undefined: str = _ONE_CLASS) -> Metric:
        return measure(name, statistic, resamples, n_events=events, undefined=undefined)

    metrics = [metric("auc", partial(auc, probability, positive))]
    if not np.isnan(joined.bayes).all():
        undefined = _NO_POSTERIOR if np.isnan(joined.bayes).any() else _ONE_CLASS
        metrics.append(metric("auc_bayes", _bayes_auc(joined), undefined=undefined))
    called = probability >= joined.threshold
    rates = {
        "balanced_accuracy": partial(balanced_accuracy, called.astype(int), joined.classes, 2),
        "sensitivity": partial(recall, called, positive),
        "specificity": partial(recall, ~called, ~positive),
    }
    for name, statistic in rates.items():
        if np.isnan(joined.threshold):
            metrics.append(metric(name, _undefined, undefined="the model has no threshold"))
        else:
            metrics.append(metric(name, statistic))
    positive_is_class_0 = np.where(positive, 0, 1)
    metrics.append(metric("brier", partial(brier, probability[:, None], positive_is_class_0)))
    return tuple(metrics)


def categorical_metrics(joined: JoinedClass, patient_ids: Sequence[str]) -> tuple[Metric, ...]:
    """AUC per class against the rest, their macro and micro forms, accuracy, Brier score."""
    assert isinstance(joined.biomarker, CategoricalBiomarker)
    scores, classes = joined.scores, joined.classes
    names = joined.biomarker.categories
    resamples = resample_patients(patient_ids, strata=classes.tolist())
    counts = np.bincount(classes, minlength=len(names))
    absent = [name for name, count in zip(names, counts, strict=True) if count == 0]
    no_macro = f"no case has the class {absent[0]!r}" if absent else _ONE_CLASS
    predicted = scores.argmax(axis=1)
    accuracy = partial(balanced_accuracy, predicted, classes, len(names))
    return (
        measure("auc_macro", partial(macro_auc, scores, classes), resamples, undefined=no_macro),
        measure("auc_micro", partial(micro_auc, scores, classes), resamples),
        *(
            measure(
                f"auc_{name}",
                partial(auc, scores[:, k], classes == k),
                resamples,
                n_events=int(counts[k]),
            )
            for k, name in enumerate(names)
        ),
        measure("balanced_accuracy", accuracy, resamples),
        measure("brier", partial(brier, scores, classes), resamples),
    )


def continuous_metrics(joined: JoinedNumber, patient_ids: Sequence[str]) -> tuple[Metric, ...]:
    """Absolute error, skill against the training median, correlations, AUC at each cutoff.

    Where the model tells the probability of reaching a cutoff, its AUC and Brier score.
    """
    values, lower, upper = joined.scores[:, 0], joined.lower, joined.upper
    resamples = resample_patients(patient_ids)
    # Of an interval the distance is known, but no value to correlate with.
    exact = lower == upper
    exact_patients = [
        patient for patient, is_exact in zip(patient_ids, exact, strict=True) if is_exact
    ]
    exact_resamples = resample_patients(exact_patients)
    no_skill = (
        "the model has no training median"
        if np.isnan(joined.training_median)
        else "the training median makes no error"
    )
    no_fill = "the model has no training median to stand for a missing answer"
    mae_bayes = partial(mean_absolute_error, joined.bayes, lower, upper)
    return (
        measure(
            "mae",
            partial(mean_absolute_error, values, lower, upper),
            resamples,
            undefined=no_fill,
        ),
        *(
            [measure("mae_bayes", mae_bayes, resamples, undefined=_NO_POSTERIOR)]
            if not np.isnan(joined.bayes).all()
            else []
        ),
        measure(
            "skill",
            partial(skill, values, lower, upper, joined.training_median),
            resamples,
            undefined=no_skill,
        ),
        *(
            measure(
                name,
                partial(correlation, values[exact], lower[exact]),
                exact_resamples,
                undefined=_CONSTANT,
            )
            for name, correlation in (("pearson", pearson), ("spearman", spearman))
        ),
        *(
            metric
            for cutoff in joined.biomarker.cutoffs
            for metric in _metrics_at(cutoff, joined, patient_ids)
        ),
    )


def _metrics_at(
    cutoff: float, joined: JoinedNumber, patient_ids: Sequence[str]
) -> tuple[Metric, ...]:
    """How well cases at or above a cutoff are told from those below.

    By the probability of reaching it, else by the value, which has no Brier score.
    """
    probability = joined.at_least.get(cutoff)
    scores = joined.scores[:, 0] if probability is None else probability
    known = ((joined.lower >= cutoff) | (joined.upper < cutoff)) & ~np.isnan(scores)
    scores, positive = scores[known], joined.lower[known] >= cutoff
    patients = [patient for patient, is_known in zip(patient_ids, known, strict=True) if is_known]
    resamples = resample_patients(patients, strata=positive.tolist())
    events = int(positive.sum())
    discrimination = partial(auc, scores, positive)
    metrics = [measure(f"auc_at_{cutoff:g}", discrimination, resamples, n_events=events)]
    if probability is not None:
        error = partial(brier, scores[:, None], np.where(positive, 0, 1))
        metrics.append(measure(f"brier_at_{cutoff:g}", error, resamples, n_events=events))
    return tuple(metrics)


def segmentation_metrics(
    cases: Sequence[CaseSegmentation], patient_ids: Sequence[str]
) -> tuple[Metric, ...]:
    """Mean and median over cases of Dice and of the 95th percentile Hausdorff distance."""
    resamples = resample_patients(patient_ids)
    dice = np.array([case.dice for case in cases])
    hd95_mm = np.array([case.hd95_mm for case in cases])
    return (
        measure("dice", partial(mean, dice), resamples),
        measure("dice_median", partial(median, dice), resamples),
        measure("hd95_mm", partial(mean, hd95_mm), resamples),
        measure("hd95_mm_median", partial(median, hd95_mm), resamples),
    )


def measure(
    name: str,
    statistic: Statistic,
    resamples: Resamples,
    *,
    n_events: int | None = None,
    undefined: str = _ONE_CLASS,
) -> Metric:
    """One metric; `undefined` is the reason given where its value is nan."""
    num_cases = resamples.weights.shape[1]
    interval = bootstrap(statistic, resamples)
    reason = None
    if num_cases == 0:
        reason = "no case has both a target and an answer"
    elif np.isnan(interval.value):
        reason = undefined
    elif np.isnan(interval.lower):
        reason = "too few patients for an interval"
    return Metric(
        name=name,
        value=interval.value,
        lower=interval.lower,
        upper=interval.upper,
        n=num_cases,
        n_events=n_events,
        reason=reason,
    )


def _bayes_auc(joined: JoinedClass) -> Statistic:
    """The AUC of the phantom's own posterior, which no image model exceeds in expectation."""
    if np.isnan(joined.bayes).any():
        return _undefined
    return partial(auc, joined.bayes, joined.classes == 1)


def _undefined(weights: FloatArray) -> FloatArray:
    return np.full(weights.shape[:-1], np.nan)
