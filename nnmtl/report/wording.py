"""Plain words for metrics, and numbers as a reader wants them."""

import math

from nnmtl.evaluation.results import Evaluation, Metric

_NAMES = {
    "auc": "AUC",
    "auc_bayes": "AUC of the phantom's exact posterior (upper bound)",
    "auc_macro": "AUC, mean over classes",
    "auc_micro": "AUC, all classes pooled",
    "balanced_accuracy": "Balanced accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "brier": "Brier score (lower is better)",
    "mae": "Mean absolute error",
    "mae_bayes": "Mean absolute error of the phantom's exact posterior (lower bound)",
    "skill": "Skill against the training median",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
    "dice": "Dice, mean",
    "dice_median": "Dice, median",
    "hd95_mm": "95 % Hausdorff distance, mean",
    "hd95_mm_median": "95 % Hausdorff distance, median",
}
_PRIMARY = {
    "segmentation": "dice",
    "binary": "auc",
    "categorical": "auc_macro",
    "continuous": "mae",
}
# These have units or fall below 0; all others are shown on a scale of 0 to 1.
_OFF_SCALE = ("mae", "mae_bayes", "hd95_mm", "hd95_mm_median", "skill", "pearson", "spearman")


def metric_name(metric: Metric) -> str:
    """The metric in words; a class's AUC is against the rest."""
    if metric.name in _NAMES:
        return _NAMES[metric.name]
    if metric.name.startswith("auc_at_"):
        return f"AUC of being at least {metric.name.removeprefix('auc_at_')}"
    if metric.name.startswith("brier_at_"):
        cutoff = metric.name.removeprefix("brier_at_")
        return f"Brier score of being at least {cutoff} (lower is better)"
    return f"AUC, {metric.name.removeprefix('auc_')} against the rest"


def primary_metric(kind: str) -> str:
    """The one metric by which a kind of task is summed up."""
    return _PRIMARY[kind]


def is_fraction(metric: Metric) -> bool:
    """Whether the metric lies between 0 and 1."""
    return metric.name not in _OFF_SCALE


def number(value: float, *, metric_name: str = "") -> str:
    """Two decimals, one for millimeters and units; a dash where undefined."""
    if math.isnan(value):
        return "–"
    has_unit = metric_name in ("mae", "mae_bayes", "hd95_mm", "hd95_mm_median")
    return f"{value:.1f}" if has_unit else f"{value:.2f}"


def value_text(metric: Metric, *, unit: str) -> str:
    """The value with its unit."""
    return f"{number(metric.value, metric_name=metric.name)}{unit_suffix(metric, unit=unit)}"


def interval_text(metric: Metric) -> str:
    """`lower to upper`, empty where there is no interval."""
    if math.isnan(metric.lower):
        return ""
    lower = number(metric.lower, metric_name=metric.name)
    return f"{lower} to {number(metric.upper, metric_name=metric.name)}"


def unit_suffix(metric: Metric, *, unit: str) -> str:
    """The unit of a metric that has one; `unit` is the biomarker's."""
    if math.isnan(metric.value):
        return ""
    if metric.name.startswith("hd95_mm"):
        return " mm"
    return f" {unit}" if metric.name in ("mae", "mae_bayes") else ""


def summary_lines(evaluation: Evaluation) -> list[str]:
    """One line per task: its one metric on all cases."""
    lines = []
    for task in evaluation.tasks:
        if task.center is None:
            metric = task.metric(primary_metric(task.kind))
            told = metric.reason if math.isnan(metric.value) else interval_text(metric)
            value = number(metric.value, metric_name=metric.name)
            lines.append(f"{task.task}: {metric_name(metric)} {value} ({told}), n = {metric.n}")
    return lines
