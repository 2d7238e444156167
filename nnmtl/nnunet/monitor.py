"""Watches the heads while they train: validation curves and the collapse alarm."""

import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnmtl.cohort.targets import ClassTarget, Target
from nnmtl.errors import NnmtlError
from nnmtl.evaluation.discrimination import auc
from nnmtl.inference.beta import beta_median
from nnmtl.losses.beta import bounded_parameters
from nnmtl.losses.targets import from_head_scale
from nnmtl.network.answers import head_answers
from nnmtl.network.heads import BiomarkerHead
from nnmtl.nnunet.center_mix import CenterMix
from nnmtl.nnunet.head_training import HeadTraining
from nnmtl.nnunet.precision import autocast_for
from nnmtl.nnunet.roi_loader import RoiLoader, batch_of
from nnmtl.planning.architecture import HeadPlan
from nnmtl.planning.training import TrainingPlan

CASES = 48  # validation cases per epoch: curves for a person to look at, not a result
SMALLEST_SPREAD = 0.02  # of probabilities; of standardized values
QUIET = 0.25  # share of the joint phase before the alarm may ring


class HeadMonitor:
    """Validation curves of the heads and an alarm when their predictions stop varying."""

    def __init__(self, training: HeadTraining, mix: CenterMix) -> None:
        self.training = training
        self.loaders: list[RoiLoader] = mix.loaders
        cases = sorted(str(case) for loader in self.loaders for case in loader.indices)
        # Spread over the sorted names, in which a center's cases often stand together.
        chosen = np.linspace(0, len(cases) - 1, min(len(cases), CASES)).round().astype(int)
        self.cases = [cases[number] for number in chosen]
        self.outputs: dict[str, list[Tensor]] = {}

    def add(self, biomarkers: dict[str, Tensor]) -> None:
        """Notes a training batch's outputs."""
        for name, output in biomarkers.items():
            self.outputs.setdefault(name, []).append(output.detach().float().cpu())

    def alarms(self, progress: float, plan: TrainingPlan) -> list[str]:
        """One sentence per head whose outputs hardly varied over the epoch; forgets the epoch."""
        outputs, self.outputs = self.outputs, {}
        joint = (progress - plan.warmup_fraction) / max(1e-9, 1 - plan.warmup_fraction)
        if joint < QUIET:
            return []
        found = []
        for head in self.training.heads:
            spread = _spread(outputs[head.name], head) if head.name in outputs else 1.0
            if spread < SMALLEST_SPREAD:
                found.append(
                    f"{head.name}: predictions hardly vary (standard deviation {spread:.4f}): the "
                    "head has collapsed to one answer. Check its targets, its number of events and "
                    "its learning rate."
                )
        return found

    @torch.no_grad()
    def validate(self) -> dict[str, dict[str, float]]:
        """AUC or mean absolute error per head on validation cases, with predicted masks."""
        outputs: dict[str, dict[str, Tensor]] = {head.name: {} for head in self.training.heads}
        for loader, cases in self._batches():
            batch = batch_of(loader, cases)
            self.training.blank_missing_channels(batch)
            with autocast_for(self.training.device):
                output = self.training.predict(batch, None, None)
            for name, values in output.biomarkers.items():
                outputs[name] |= dict(zip(cases, values.float().cpu(), strict=True))
        table = self.training.table.select(self.cases)
        return {
            head.name: _score(
                torch.stack([outputs[head.name][case] for case in self.cases]).numpy(),
                table.targets[head.name],
                head,
                self.training.tower.head(head.name),
            )
            for head in self.training.heads
        }

    def _batches(self) -> Iterator[tuple[RoiLoader, list[str]]]:
        """The cases by grid, as many at a time as a batch holds."""
        for loader in self.loaders:
            own = {str(case) for case in loader.indices}
            cases = [case for case in self.cases if case in own]
            for start in range(0, len(cases), loader.batch_size):
                yield loader, cases[start : start + loader.batch_size]


def refuse_divergence(losses: Mapping[str, float], epoch: int) -> None:
    """A run that has diverged must not end in a model that looks finished.

    Raises:
        NnmtlError: if a loss is not finite; `epoch` counts from 0.
    """
    broken = [name for name, loss in losses.items() if not math.isfinite(loss)]
    if broken:
        raise NnmtlError(
            f"Epoch {epoch + 1}: the loss of {', '.join(broken)} is no longer a number; the "
            "training has diverged. Lower lr_unet or lr_heads in the plans, and look at the "
            "images with nnMTL_check_dataset."
        )


def _spread(outputs: list[Tensor], head: HeadPlan) -> float:
    """Standard deviation between the cases of a batch, over all batches; of the widest answer.

    Not between batches: there the answer to every case may drift while it is the same for all.
    """
    answers = [head_answers(output, head.kind) for output in outputs]
    if head.kind == "beta":
        answers = [each[:, :1] for each in answers]  # a precision that varies is no answer
    if all(len(each) == 1 for each in answers):
        return float(torch.cat(answers).std(0).max()) if len(answers) > 1 else 1.0
    squares = torch.cat([(each - each.mean(0)).square() for each in answers])
    degrees = sum(len(each) - 1 for each in answers)
    return float((squares.sum(0) / degrees).sqrt().max())


def _score(
    output: NDArray[np.float32], target: Target, head: HeadPlan, module: BiomarkerHead
) -> dict[str, float]:
    known = target.observed
    if isinstance(target, ClassTarget):
        known = known & (target.possible.sum(1) == 1)
        classes = target.possible.argmax(1)[known]
        if head.kind == "binary":
            return {"auc": float(auc(output[known, 0], classes == 1)), "n": int(known.sum())}
        answers = head_answers(torch.from_numpy(output), head.kind).numpy()
        areas = [auc(answers[known, k], classes == k) for k in range(head.num_answers)]
        return {"auc": float(np.nanmean(areas)), "n": int(known.sum())}
    scaled = torch.from_numpy(output).double() * module.scale.cpu() + module.center.cpu()
    if head.kind == "beta":
        value = beta_median(bounded_parameters(scaled).numpy(), head)
    else:
        value = from_head_scale(scaled[:, 0].numpy(), head)
    error = np.abs(value - (target.lower + target.upper) / 2)[known]
    return {"mae": float(error.mean()), "n": int(known.sum())}
