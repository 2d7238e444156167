"""What the trainer does for the heads: batches of regions of interest, losses, monitoring."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnmtl.cohort.declaration import Declaration
from nnmtl.cohort.targets import ClassTarget, TargetTable
from nnmtl.losses.joint import dynamic_weights, joint_loss, learned_weight
from nnmtl.losses.targets import (
    BatchTarget,
    batch_targets,
    biomarker_losses,
    to_head_scale,
)
from nnmtl.network.linear_start import start_linear_heads
from nnmtl.network.output import MultiTaskOutput
from nnmtl.network.tower import BiomarkerTower
from nnmtl.nnunet.center_mix import CenterMix
from nnmtl.nnunet.precision import autocast_for
from nnmtl.nnunet.roi_loader import batch_of, roi_batches
from nnmtl.planning.architecture import HeadPlan
from nnmtl.planning.schedule import true_mask_share
from nnmtl.planning.training import TrainingPlan


class HeadLosses(NamedTuple):
    """What a batch of regions of interest gives.

    Attributes:
        weighted: name → the loss that is minimized.
        losses: name → the loss, for people.
        output: of the network.
        batch: the batch itself.
    """

    weighted: dict[str, Tensor]
    losses: dict[str, Tensor]
    output: MultiTaskOutput
    batch: dict[str, Any]


class HeadTraining:
    """Trains the heads of one network on regions of interest.

    The targets of the training cases are all that is learned from; validation targets are used
    for the curves that a person looks at.
    """

    def __init__(  # noqa: PLR0913
        self,
        network: Callable[..., MultiTaskOutput],
        tower: BiomarkerTower,
        *,
        plan: TrainingPlan,
        heads: Sequence[HeadPlan],
        declaration: Declaration,
        table: TargetTable,
        loader: CenterMix,
        spacing_of: Callable[[str], tuple[float, ...]],
        device: torch.device,
        precision: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Keeps what it is given.

        Args:
            network: the network as the trainer calls it.
            tower: its biomarker tower.
            plan: rates, weights and schedule.
            heads: the heads of the tower.
            declaration: tumor labels and missing channels.
            table: targets of training and validation cases.
            loader: regions of interest of the training cases, a batch of one grid.
            spacing_of: center → voxel size in mm of its cases.
            device: where the network is.
            precision: gives the context that training steps run in.
        """
        self.network, self.tower = network, tower
        self.plan, self.heads, self.declaration = plan, heads, declaration
        self.table, self.loader, self.device = table, loader, device
        self.precision, self.spacing_of = precision, spacing_of
        self.row_of = {case_id: row for row, case_id in enumerate(table.case_ids)}
        self.batches = roi_batches(loader)

    def losses(self, progress: float, past: Sequence[Mapping[str, float]]) -> HeadLosses:
        """The next batch.

        Args:
            progress: share of the run that is done.
            past: each finished epoch's mean losses by name.
        """
        batch = next(self.batches)
        self.blank_missing_channels(batch)
        masks = self.tumor_masks(batch)
        use_true = torch.rand(len(masks)) < true_mask_share(progress, self.plan)
        with self.precision():
            output = self.predict(batch, masks, use_true.to(self.device))
        targets = batch_targets(self.table, batch["keys"], self.heads, device=self.device)
        losses = biomarker_losses(
            output.biomarkers,
            targets,
            self.heads,
            self.scaling(),
            smoothing=self.plan.label_smoothing,
        )
        weights = self._loss_weights(past)
        weighted = {
            name: joint_loss({name: self._weighted(loss, name, targets)}, weights)
            for name, loss in losses.items()
        }
        return HeadLosses(weighted, losses, output, batch)

    def _loss_weights(self, past: Sequence[Mapping[str, float]]) -> dict[str, float]:
        """The planned ones, by the last two epochs that trained the heads if the plan says so."""
        names = [head.name for head in self.heads]
        joint = [{name: row[name] for name in names} for row in past if names[0] in row]
        if self.plan.task_weighting != "dwa" or len(joint) < 2:
            return self.plan.loss_weights
        before, last = joint[-2:]
        factors = dynamic_weights(last, before)
        return {name: self.plan.loss_weights[name] * factor for name, factor in factors.items()}

    def _weighted(self, loss: Tensor, name: str, targets: Mapping[str, BatchTarget]) -> Tensor:
        # Of a batch that tells nothing the uncertainty's own term would still be learned from; a
        # likelihood with a precision of its own needs no second one.
        has_precision = any(head.name == name and head.kind == "beta" for head in self.heads)
        is_learned = self.plan.task_weighting == "uncertainty" and not has_precision
        if not is_learned or not targets[name].observed.any():
            return loss
        return learned_weight(loss, self.tower.head(name).log_variance)

    def predict(
        self, batch: dict[str, Any], masks: Tensor | None, use_mask: Tensor | None
    ) -> MultiTaskOutput:
        """The network's outputs for a batch of regions of interest."""
        return self.network(
            batch["data"].to(self.device),
            with_biomarkers=True,
            mask=masks,
            mask_given=use_mask,
            covariates=self._covariates(batch["keys"]),
            spacing_mm=self._spacing_mm(batch["keys"]),
            encoder_gradient=self.plan.encoder_gradient,
            train_decoder=self.plan.roi_segmentation_weight > 0,
        )

    def scaling(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Head name → center and scale of its targets."""
        modules = {head.name: self.tower.head(head.name) for head in self.heads}
        return {name: (module.center, module.scale) for name, module in modules.items()}

    def tumor_masks(self, batch: dict[str, Any]) -> Tensor:
        """True tumor masks (B, *spatial); empty where a case has no mask."""
        label_map = batch["target"][:, 0].to(self.device)
        labels = torch.tensor(self.declaration.tumor_labels, device=self.device)
        return torch.isin(label_map, labels.to(label_map.dtype))

    def blank_missing_channels(self, batch: dict[str, Any]) -> None:
        """Noise augmentation must not make an image of a channel that was never acquired."""
        for row, case_id in enumerate(batch["keys"]):
            channels = self.declaration.missing_channels.get(str(case_id), ())
            batch["data"][row, list(channels)] = 0

    def start_linear(self, measured: Tensor, rows: Sequence[int]) -> tuple[str, ...]:
        """Fits the heads' linear part, and returns the names of the heads that were fitted.

        Where the plan has no linear start, what feeds the heads is standardized all the same: an
        age is no number around 0.

        Args:
            measured: (N, F) as `measured_cases` gives it.
            rows: (N,) of the target table.
        """
        centers = [self.table.centers[row] for row in rows]
        patients = [self.table.patient_ids[row] for row in rows]
        if not self.plan.linear_start:
            self.tower.fit_scale(measured, centers, patients)
            return ()
        values = {head.name: self._known_values(head)[list(rows)] for head in self.heads}
        return start_linear_heads(
            self.tower, measured, values, self.heads, centers=centers, patients=patients
        )

    @torch.no_grad()
    def measured_cases(self) -> tuple[Tensor, list[int]]:
        """What the linear part sees of the training cases (N, F), and their rows in the table.

        Each case is seen twice, with its true mask and with the network's own.
        """
        measured: list[Tensor] = []
        rows: list[int] = []
        for batch, has_true_masks in self._every_case():
            self.blank_missing_channels(batch)
            masks = self.tumor_masks(batch)
            use_true = torch.full((len(masks),), has_true_masks, device=self.device)
            with autocast_for(self.device):
                output = self.predict(batch, masks, use_true)
            measured.append(output.measured)
            rows.extend(self.row_of[str(case)] for case in batch["keys"])
        return torch.cat(measured), rows

    def _every_case(self) -> Iterator[tuple[dict[str, Any], bool]]:
        """Two views of each training case, and whether its true mask is used: first it is."""
        for has_true_masks in (True, False):
            for loader in self.loader.loaders:
                cases = sorted(str(case) for case in loader.indices)
                for start in range(0, len(cases), self.plan.roi_batch_size):
                    batch = batch_of(loader, cases[start : start + self.plan.roi_batch_size])
                    yield batch, has_true_masks

    def _known_values(self, head: HeadPlan) -> NDArray[np.float64]:
        """Class number or standardized value per row of the table; nan where it is not known."""
        target = self.table.targets[head.name]
        if isinstance(target, ClassTarget):
            return np.where(target.possible.sum(1) == 1, target.possible.argmax(1), np.nan)
        middle = to_head_scale((target.lower + target.upper) / 2, head)
        module = self.tower.head(head.name)
        # Of a beta head's two numbers the first is the mean's.
        return (middle - float(module.center.ravel()[0])) / float(module.scale.ravel()[0])

    def _spacing_mm(self, keys: Sequence[str]) -> tuple[float, ...]:
        """Of a batch, whose cases share a grid."""
        return self.spacing_of(self.table.centers[self.row_of[str(keys[0])]])

    def _covariates(self, keys: Sequence[str]) -> Tensor | None:
        if not self.table.covariates:
            return None
        rows = [self.row_of[str(case)] for case in keys]
        columns = [values[rows] for values in self.table.covariates.values()]
        return torch.from_numpy(np.stack(columns, axis=1)).float().to(self.device)
