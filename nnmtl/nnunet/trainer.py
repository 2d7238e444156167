"""The joint trainer: nnU-Net's trainer with biomarker heads. Hooks only; the work is below."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from time import time
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import Tensor

from nnmtl.cohort.declaration import Declaration, parse_declaration
from nnmtl.cohort.targets import read_targets
from nnmtl.errors import NnmtlError
from nnmtl.losses.conflict import backward_without_conflict, load_torchjd
from nnmtl.losses.joint import joint_loss
from nnmtl.network.averaging import AveragedWeights
from nnmtl.network.multitask_unet import MultiTaskUNet
from nnmtl.nnunet.checkpoint import read_checkpoint, set_random_state, write_checkpoint
from nnmtl.nnunet.cohort_files import TARGETS, targets_hash
from nnmtl.nnunet.grid_loaders import patch_loaders, roi_loaders
from nnmtl.nnunet.grids import read_grids
from nnmtl.nnunet.head_training import HeadTraining
from nnmtl.nnunet.history import History, epoch_record, epoch_seconds, mean_losses, resume_epoch
from nnmtl.nnunet.interruption import Interruption
from nnmtl.nnunet.monitor import HeadMonitor, refuse_divergence
from nnmtl.nnunet.optimizers import (
    CLIP_HEADS,
    CLIP_UNET,
    adamw_for_unet,
    clip_and_step,
    freeze_as_planned,
    head_optimizer,
    keep_linear_parts,
    parameters_of_unet,
    set_rate,
)
from nnmtl.nnunet.precision import autocast_for, is_two_slices_deep
from nnmtl.nnunet.roi_loader import SHIFT_VOXELS, plain_transforms, training_transforms
from nnmtl.nnunet.safe_loading import load_checkpoint_safely
from nnmtl.nnunet.target_statistics import set_target_statistics
from nnmtl.nnunet.validation import validate_fold
from nnmtl.planning.architecture import HeadPlan, parse_architecture
from nnmtl.planning.sampling import case_shares
from nnmtl.planning.schedule import head_rate, heads_are_on
from nnmtl.planning.training import TrainingPlan, parse_training

SAVE_EVERY_SECONDS = 240.0


class nnMTLTrainer(nnUNetTrainer):
    """Trains segmentation on nnU-Net's patches and the heads on tumor-centered regions.

    Without biomarkers in the plans every hook is nnU-Net's own.
    """

    network: Any  # a `MultiTaskUNet`, or what DDP and torch.compile make of it

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int | str,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008 nnU-Net's signature
    ) -> None:
        """Same signature as nnU-Net's, which records these arguments by name."""
        plans.setdefault("continue_training", False)
        super().__init__(plans, configuration, fold, dataset_json, device)
        if self.is_cascaded or configuration == "3d_lowres":
            raise NnmtlError(
                f"{configuration}: nnMTL trains 3d_fullres and 2d, no cascades. Choose one of them."
            )
        self.declaration: Declaration | None = (
            parse_declaration(dataset_json) if "nnmtl" in dataset_json else None
        )
        section = self.configuration_manager.configuration.get("nnmtl")
        multitask = self.configuration_manager.network_arch_init_kwargs.get("multitask")
        self.heads: tuple[HeadPlan, ...] = parse_architecture(multitask).heads if multitask else ()
        self.plan: TrainingPlan | None = parse_training(section) if section else None
        self.grids = read_grids(self.plans_manager, configuration) if self.heads else None
        self.iteration = 0
        self.average: AveragedWeights | None = None
        self.linear_started = False
        self.outputs: list[dict[str, Any]] = []  # of the running epoch
        self.restored: dict[str, Any] | None = None
        self.after_epoch: Callable[[], None] = lambda: None  # e.g. to draw the curves
        if self.heads:
            self.num_epochs = self.plan.epochs
            self.num_iterations_per_epoch = self.plan.iterations_per_epoch
            self.num_val_iterations_per_epoch = self.plan.validation_iterations
            self.initial_lr = self.plan.lr_unet

    # set-up -----------------------------------------------------------------------------------

    def initialize(self) -> None:
        """Adds the averaged weights to nnU-Net's network, optimizer and loss."""
        super().initialize()
        if not self.heads:
            return
        if self.plan.task_weighting == "upgrad":
            load_torchjd()  # missed now, not after the warm-up
        freeze_as_planned(self.unwrapped, self.plan)
        self.targets_sha256 = targets_hash(Path(self.preprocessed_dataset_folder_base))
        if self.plan.ema_decay > 0:
            self.average = AveragedWeights(self.unwrapped, self.plan.ema_decay)

    @property
    def unwrapped(self) -> MultiTaskUNet:
        """The network without DDP and torch.compile."""
        network = self.network.module if self.is_ddp else self.network
        return getattr(network, "_orig_mod", network)

    def _do_i_compile(self) -> bool:
        return not self.heads and super()._do_i_compile()

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, Any]:
        """nnU-Net's SGD (or AdamW) for encoder and decoder; as planned an AdamW for the heads."""
        if not self.heads:
            return super().configure_optimizers()
        tower = self.unwrapped.tower
        self.head_optimizer = head_optimizer(tower, self.plan)
        unet = parameters_of_unet(self.network, tower, self.plan)
        if self.plan.unet_optimizer == "adamw":
            return adamw_for_unet(unet, self.plan)
        whole = self.network
        self.network = torch.nn.ParameterList(unet)
        try:
            return super().configure_optimizers()
        finally:
            self.network = whole

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> Any:
        """Mirrors in training as nnU-Net does, in prediction as the plan says."""
        result = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        if self.heads and not self.plan.mirror_in_prediction:
            self.inference_allowed_mirroring_axes = None
        return result

    def get_dataloaders(self) -> Any:
        """nnU-Net's patch loaders, by policy one per grid; the heads get their own beside them."""
        if not self.heads:
            return super().get_dataloaders()
        path = Path(self.preprocessed_dataset_folder_base) / TARGETS
        self.table = read_targets(path, self.declaration)
        is_pooled = self.plan.spacing_policy == "pooled"
        loaders = super().get_dataloaders() if is_pooled else patch_loaders(self)
        self._prepare_heads()
        return loaders

    def _prepare_heads(self) -> None:
        train, validation = self.get_tr_and_val_datasets()
        known = self.table.select(train.identifiers)
        shares = case_shares(known, [head.name for head in self.heads], self.plan.roi_sampling)
        set_target_statistics(self.unwrapped.tower, known, self.heads, shares=shares)
        dimension = len(self.plan.roi_size)
        loader = roi_loaders(self, train, training_transforms(dimension), SHIFT_VOXELS)
        loader.draw_by(known.case_ids, shares)
        self.head_training = HeadTraining(
            self.network,
            self.unwrapped.tower,
            plan=self.plan,
            heads=self.heads,
            declaration=self.declaration,
            table=self.table,
            loader=loader,
            spacing_of=lambda center: self.grids.of_center(center).spacing_mm,
            device=self.device,
            precision=self._training_precision,
        )
        self.monitor = HeadMonitor(
            self.head_training, roi_loaders(self, validation, plain_transforms(), 0)
        )
        self.history = History(Path(self.output_folder))

    # one iteration ----------------------------------------------------------------------------

    @property
    def progress(self) -> float:
        """Share of the run that is done, from 0 to 1."""
        done = self.current_epoch * self.num_iterations_per_epoch + self.iteration
        return done / (self.num_epochs * self.num_iterations_per_epoch)

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A patch batch for the segmentation; after the warm-up a region batch for the heads."""
        if not self.heads:
            return super().train_step(batch)
        joint = heads_are_on(self.progress, self.plan)
        if joint and not self.linear_started:
            self._start_linear()
        self.network.zero_grad(set_to_none=True)
        losses = {"segmentation": self._segmentation_step(batch)}
        if joint:
            losses |= self._head_step()
        refuse_divergence(losses, self.current_epoch)
        self._update(joint=joint)
        return {"loss": losses["segmentation"], "losses": losses}

    def _start_linear(self) -> None:
        fitted = self.head_training.start_linear(*self.head_training.measured_cases())
        if self.head_optimizer is not None:
            keep_linear_parts(self.head_optimizer, fitted)
        self.linear_started = True
        if self.average is not None:
            self.average.restart(self.unwrapped, prefix="tower.")

    def _segmentation_step(self, batch: dict[str, Any]) -> float:
        self.head_training.blank_missing_channels(batch)
        target = batch["target"]
        levels = target if isinstance(target, list) else [target]
        levels = [level.to(self.device, non_blocking=True) for level in levels]
        with self._training_precision():
            output = self.network(batch["data"].to(self.device, non_blocking=True))
            loss = self.loss(output, levels if isinstance(target, list) else levels[0])
        self._backward(loss)
        return float(loss.detach())

    def _training_precision(self) -> AbstractContextManager[None]:
        strides = self.configuration_manager.network_arch_init_kwargs["strides"]
        sizes = [
            size for grid in self.grids.all for size in (grid.manager.patch_size, grid.roi_size)
        ]
        is_exact = self.device.type == "cpu" and is_two_slices_deep(sizes, strides)
        return nullcontext() if is_exact else autocast_for(self.device)

    def _head_step(self) -> dict[str, float]:
        past = [row["train"] for row in self.history.rows]
        weighted, losses, output, batch = self.head_training.losses(self.progress, past)
        weight = self.plan.roi_segmentation_weight
        region = weight * self._region_segmentation(output.segmentation, batch) if weight else None
        if self.plan.task_weighting == "upgrad":
            self._backward_without_conflict(list(weighted.values()), region)
        else:
            total = joint_loss(weighted, dict.fromkeys(weighted, 1.0))
            self._backward(total if region is None else total + region)
        self.monitor.add(output.biomarkers)
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def _backward_without_conflict(self, tasks: list[Tensor], region: Tensor | None) -> None:
        if region is not None:  # one task with the segmentation of patches
            self._scaled(region).backward(retain_graph=True)
        network = self.unwrapped
        backward_without_conflict(
            [self._scaled(task) for task in tasks],
            shared=network.shared_parameters(),
            own=list(network.tower.parameters()),
        )

    def _region_segmentation(self, segmentation: Any, batch: dict[str, Any]) -> Tensor:
        if not isinstance(segmentation, list | tuple):
            return self.loss(segmentation, batch["target"].to(self.device))
        return self.loss.loss(segmentation[0], batch["target"].to(self.device))

    def _backward(self, loss: Tensor) -> None:
        if loss.requires_grad:  # else of a U-Net that stays as it is
            self._scaled(loss).backward()

    def _scaled(self, loss: Tensor) -> Tensor:
        return loss if self.grad_scaler is None else self.grad_scaler.scale(loss)

    def _update(self, *, joint: bool) -> None:
        limits = [(self.optimizer, CLIP_UNET)]
        if self.head_optimizer is not None:
            set_rate(self.head_optimizer, head_rate(self.progress, self.plan))
        if self.head_optimizer is not None and joint:
            limits.append((self.head_optimizer, CLIP_HEADS))
        clip_and_step(limits, self.grad_scaler)
        if self.average is not None:
            self.average.update(self.unwrapped)

    # one epoch --------------------------------------------------------------------------------

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        """Keeps each task's mean loss for the history."""
        if self.heads:
            self.train_losses = mean_losses([output.pop("losses") for output in train_outputs])
        super().on_train_epoch_end(train_outputs)

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """nnU-Net's, in the precision of the training."""
        if not self.heads:
            return super().validation_step(batch)
        self.head_training.blank_missing_channels(batch)
        with autocast_for(self.device):
            return super().validation_step(batch)

    def on_validation_epoch_end(self, val_outputs: list[dict[str, Any]]) -> None:
        """Adds the heads' curves and the collapse alarm."""
        super().on_validation_epoch_end(val_outputs)
        if not self.heads:
            return
        joint = len(self.train_losses) > 1  # the heads were trained in this epoch
        validation = self.monitor.validate() if joint else {}
        alarms = self.monitor.alarms(self.progress, self.plan) if joint else []
        for alarm in alarms:
            self.print_to_log_file(f"ALARM: {alarm}")
        self.record = epoch_record(self, validation, alarms)

    def on_epoch_end(self) -> None:
        """Writes the history, tells the time left; nnU-Net's own end of an epoch comes first."""
        if not self.heads:
            super().on_epoch_end()
            return
        seconds = epoch_seconds(self)
        self.logger.log("epoch_end_timestamps", time(), self.current_epoch)
        self.history.append({**self.record, "seconds": round(seconds, 2)})
        self.print_to_log_file(self.history.line(self.num_epochs))
        self.after_epoch()
        self.current_epoch += 1
        self.iteration = 0

    def run_training(self) -> None:
        """nnU-Net's loop, which can also stop and go on within an epoch."""
        if not self.heads:
            super().run_training()
            return
        self.on_train_start()
        resumed = self.restored is not None
        self._restore_position()
        with Interruption() as interruption:
            self.last_saved = time()
            while self.current_epoch < self.num_epochs:
                if not resumed:
                    self.on_epoch_start()
                    self.outputs = []
                self._run_epoch(interruption, resumed=resumed)
                resumed = False
        self.on_train_end()

    def _restore_position(self) -> None:
        """After the loaders have drawn their first batches, the random streams go back as well."""
        self.history.restore(self.current_epoch)
        if self.restored is not None:
            self.outputs = self.restored["outputs"]
            self.monitor.outputs = self.restored["monitor"]
            set_random_state(self.restored["random"])
            resume_epoch(self, self.restored["epoch_seconds"])
            self.restored = None

    def _run_epoch(self, interruption: Interruption, *, resumed: bool) -> None:
        if resumed:
            self.network.train()
        else:
            self.on_train_epoch_start()
        while self.iteration < self.num_iterations_per_epoch:
            self.outputs.append(self.train_step(next(self.dataloader_train)))
            self.iteration += 1
            if interruption.requested or time() - self.last_saved > SAVE_EVERY_SECONDS:
                self.save_checkpoint(str(Path(self.output_folder) / "checkpoint_latest.pth"))
                self.last_saved = time()
            interruption.stop_if_requested()
        self.on_train_epoch_end([dict(output) for output in self.outputs])
        with torch.no_grad(), self.averaged():
            self.on_validation_epoch_start()
            batches = range(self.num_val_iterations_per_epoch)
            self.on_validation_epoch_end(
                [self.validation_step(next(self.dataloader_val)) for _ in batches]
            )
        self.on_epoch_end()

    # state ------------------------------------------------------------------------------------

    def averaged(self) -> AbstractContextManager[None]:
        """Within it the network has the averaged weights, which are the ones that count."""
        return self.average.lent_to(self.unwrapped) if self.average else nullcontext()

    def save_checkpoint(self, filename: str) -> None:
        """nnU-Net's checkpoint with averaged weights, plus `nnmtl_state` to go on from."""
        if not self.heads:
            super().save_checkpoint(filename)
        elif self.local_rank == 0 and not self.disable_checkpointing:
            write_checkpoint(self, Path(filename))

    def load_checkpoint(self, filename_or_checkpoint: str) -> None:
        """Reads a checkpoint without running anything in it."""
        if not self.was_initialized:
            self.initialize()
        path = Path(filename_or_checkpoint)
        if self.heads:
            self.restored = read_checkpoint(self, path)
        else:
            load_checkpoint_safely(path)  # nnU-Net then opens the same file its own way
            super().load_checkpoint(str(path))

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Predicts the fold's validation cases as new ones: `fold_k/validation/`."""
        if not self.heads:
            super().perform_actual_validation(save_probabilities)
            return
        validate_fold(self)

    def on_train_end(self) -> None:
        """nnU-Net's end; the history and its picture stay."""
        super().on_train_end()
        if self.heads:
            self.after_epoch()
