"""What happens around the network: kept in the plans as `configurations[c]["nnmtl"]`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from nnmtl.errors import NnmtlError
from nnmtl.planning.architecture import refuse_other_keys
from nnmtl.planning.spacing import POLICIES, SpacingPolicy

TaskWeighting = Literal["fixed", "uncertainty", "dwa", "upgrad"]


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """The schedule, the region of interest and the optimization of one configuration.

    Attributes:
        preset: name of the preset that this was planned with.
        spacing_policy: which voxels the centers have: "pooled" nnU-Net's one grid, "strict" one
            grid that no large center dominates, "per_center" their own within a band around it,
            "native" their own.
        roi_size: voxels per axis of the region of interest that the heads see.
        roi_batch_size: regions of interest per joint iteration.
        roi_sampling: which cases they are of: "uniform" draws all alike, "balanced" evens out
            centers and classes by half.
        epochs: number of epochs.
        iterations_per_epoch: training iterations per epoch.
        validation_iterations: validation iterations (segmentation) per epoch.
        warmup_fraction: share of the iterations that train segmentation only.
        true_mask_until: share of the iterations by which true masks have faded out for the heads.
        unet_optimizer: "sgd" is nnU-Net's; "adamw" learns more in a few hundred iterations.
        heads_optimizer: "adamw" of their own, or "unet", the U-Net's, at its rate.
        lr_unet: peak learning rate of encoder and decoder; 0 leaves both as they are.
        freeze_encoder: whether a pretrained encoder stays as it is.
        lr_heads: peak learning rate of the biomarker tower.
        weight_decay_heads: weight decay of the biomarker tower.
        roi_segmentation_weight: weight of the segmentation loss on regions of interest.
        encoder_gradient: factor on the heads' gradient into the encoder.
        loss_weights: task → weight of its loss; segmentation is 1.
        task_weighting: "fixed" keeps these weights; "uncertainty" also learns a factor per task;
            "dwa" derives one from how fast each loss falls; "upgrad" keeps tasks from undoing each
            other in the shared encoder.
        label_smoothing: of binary and categorical targets.
        ema_decay: decay of the averaged weights per iteration; 0 switches averaging off.
        linear_start: whether the heads' linear part starts from a fit to the training fold.
        mirror_in_prediction: whether predictions are averaged over mirrored images.
        reasons: decision → why.
    """

    preset: str
    spacing_policy: SpacingPolicy
    roi_size: tuple[int, ...]
    roi_batch_size: int
    roi_sampling: Literal["uniform", "balanced"]
    epochs: int
    iterations_per_epoch: int
    validation_iterations: int
    warmup_fraction: float
    true_mask_until: float
    unet_optimizer: Literal["sgd", "adamw"]
    heads_optimizer: Literal["adamw", "unet"]
    lr_unet: float
    freeze_encoder: bool
    lr_heads: float
    weight_decay_heads: float
    roi_segmentation_weight: float
    encoder_gradient: float
    loss_weights: dict[str, float]
    task_weighting: TaskWeighting
    label_smoothing: float
    ema_decay: float
    linear_start: bool
    mirror_in_prediction: bool
    reasons: dict[str, str]


def training_to_json(plan: TrainingPlan) -> dict[str, Any]:
    """The plan as JSON-ready values."""
    return {**asdict(plan), "roi_size": list(plan.roi_size)}


def parse_training(value: Mapping[str, Any]) -> TrainingPlan:
    """Reads `configurations[c]["nnmtl"]`; raises `NnmtlError` on an unknown or a missing key."""
    refuse_other_keys(value, TrainingPlan, where='plans: configurations[...]["nnmtl"]')
    if value["spacing_policy"] not in POLICIES:
        raise NnmtlError(
            f"plans: expected a spacing_policy out of {', '.join(POLICIES)}, got "
            f"{value['spacing_policy']!r}; correct it, or plan the experiment again."
        )
    return TrainingPlan(**{**value, "roi_size": tuple(value["roi_size"])})
