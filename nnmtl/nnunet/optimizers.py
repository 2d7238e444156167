"""The two optimizers of a joint training: one for the U-Net, one for the heads."""

from collections.abc import Collection, Iterable
from typing import Any

import torch
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from torch import nn

from nnmtl.network.multitask_unet import MultiTaskUNet
from nnmtl.network.tower import BiomarkerTower
from nnmtl.planning.training import TrainingPlan

CLIP_HEADS = 1.0
CLIP_UNET = 12.0  # nnU-Net's
LINEAR_RATE = 0.1  # of the heads' rate, where it should have been fitted and could not be
WEIGHT_DECAY_ADAMW = 0.01


def parameters_without(network: nn.Module, part: nn.Module) -> list[nn.Parameter]:
    """The network's parameters that are not the part's, in the network's order."""
    in_part = {id(parameter) for parameter in part.parameters()}
    return [parameter for parameter in network.parameters() if id(parameter) not in in_part]


def head_optimizer(tower: BiomarkerTower, plan: TrainingPlan) -> torch.optim.AdamW | None:
    """AdamW for everything behind the encoder, with a group for each head's linear part.

    None where the plan leaves the heads to the U-Net's optimizer.
    """
    if plan.heads_optimizer == "unet":
        return None
    factor = LINEAR_RATE if plan.linear_start else 1.0
    linear: list[dict[str, Any]] = [
        {"params": list(tower.head(name).linear.parameters()), "factor": factor, "linear_of": name}
        for name in tower.heads
    ]
    of_linear = torch.nn.ParameterList(each for group in linear for each in group["params"])
    learned = {"params": parameters_without(tower, of_linear), "factor": 1.0, "linear_of": None}
    return torch.optim.AdamW(
        [learned, *linear], lr=plan.lr_heads, weight_decay=plan.weight_decay_heads
    )


def keep_linear_parts(optimizer: torch.optim.Optimizer, heads: Collection[str]) -> None:
    """Trains the linear parts of these heads no more; a checkpoint of the optimizer knows it.

    They were fitted with penalties that were chosen on patients left out. A hundred steps on the
    same patients without such a penalty undo part of that.
    """
    for group in optimizer.param_groups:
        if group["linear_of"] in heads:
            group["factor"] = 0.0


def freeze_as_planned(network: MultiTaskUNet, plan: TrainingPlan) -> None:
    """Takes what the plan leaves as it is out of the training: at a rate of 0 the whole U-Net."""
    network.encoder.requires_grad_(not plan.freeze_encoder)
    if plan.lr_unet == 0:
        for parameter in parameters_without(network, network.tower):
            parameter.requires_grad_(False)


def parameters_of_unet(
    network: nn.Module, tower: BiomarkerTower, plan: TrainingPlan
) -> list[nn.Parameter]:
    """What the U-Net's optimizer trains: all but the tower, unless it has no optimizer."""
    if plan.heads_optimizer == "unet":
        return list(network.parameters())
    return parameters_without(network, tower)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The same schedule for all groups of `head_optimizer`, each by its factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def adamw_for_unet(
    parameters: Iterable[nn.Parameter], plan: TrainingPlan
) -> tuple[torch.optim.AdamW, Any]:
    """AdamW for a short schedule, with nnU-Net's polynomial decay."""
    optimizer = torch.optim.AdamW(parameters, lr=plan.lr_unet, weight_decay=WEIGHT_DECAY_ADAMW)
    return optimizer, PolyLRScheduler(optimizer, plan.lr_unet, plan.epochs)


def clip_and_step(
    limits: list[tuple[torch.optim.Optimizer, float]], scaler: torch.amp.GradScaler | None
) -> None:
    """Steps each optimizer after clipping its gradients to its limit of the global norm."""
    for optimizer, limit in limits:
        groups = optimizer.param_groups
        if all(each.grad is None for group in groups for each in group["params"]):
            continue  # all of it is frozen
        if scaler is not None:
            scaler.unscale_(optimizer)
        moving = [group for group in groups if group["lr"] > 0]
        parameters = [each for group in moving for each in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, limit)
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
    if scaler is not None:
        scaler.update()
