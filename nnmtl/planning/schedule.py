"""How rates, tasks and masks change over a training run: functions of its progress, 0 to 1."""

import math

from nnmtl.planning.training import TrainingPlan

HEAD_RAMP = 0.05  # share of the run over which the heads' rate rises


def heads_are_on(progress: float, plan: TrainingPlan) -> bool:
    """Segmentation trains alone first: regions of a random mask would teach the heads nothing."""
    return progress >= plan.warmup_fraction


def head_rate(progress: float, plan: TrainingPlan) -> float:
    """A short linear rise after the warm-up, then half a cosine to 0."""
    joint = (progress - plan.warmup_fraction) / max(1e-9, 1 - plan.warmup_fraction)
    if joint < 0:
        return 0.0
    rise = min(1.0, (joint + 1e-3) / HEAD_RAMP)
    return plan.lr_heads * rise * 0.5 * (1 + math.cos(math.pi * min(1.0, joint)))


def true_mask_share(progress: float, plan: TrainingPlan) -> float:
    """Share of cases whose regions come from the true mask: 1, falling to 0.

    Heads trained on true masks only lose accuracy on predicted ones.
    """
    start, end = plan.warmup_fraction, plan.true_mask_until
    if progress >= end:
        return 0.0
    return 1.0 if progress <= start else (end - progress) / (end - start)
