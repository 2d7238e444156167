"""An unobserved target teaches nothing: its value does not reach any gradient."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from nnmtl.cohort.declaration import parse_declaration
from nnmtl.cohort.targets import ClassTarget, read_targets
from nnmtl.losses.joint import joint_loss
from nnmtl.losses.targets import batch_targets, biomarker_losses
from nnmtl.nnunet.trainer import nnMTLTrainer

pytestmark = pytest.mark.e2e


@pytest.fixture
def trainer(workspace):
    """A trainer before its first iteration, heads prepared."""
    torch.manual_seed(0)
    plans, folder = workspace.read_plans(), workspace.preprocessed
    dataset_json = json.loads((folder / "dataset.json").read_text())
    trainer = nnMTLTrainer(plans, "3d_fullres", 0, dataset_json, torch.device("cpu"))
    trainer.initialize()
    trainer.on_train_start()
    # Heads start at zero, where no gradient reaches the encoder.
    for head in trainer.unwrapped.tower.heads.values():
        torch.nn.init.normal_(head.learned.weight, std=0.1)
    trainer.network.eval()
    return trainer


def gradients(trainer, batch, table):
    """Of the sum of all heads' losses, by name of the parameter."""
    training = trainer.head_training
    trainer.network.zero_grad(set_to_none=True)
    output = training.predict(batch, training.tumor_masks(batch), None)
    targets = batch_targets(table, batch["keys"], trainer.heads, device=trainer.device)
    losses = biomarker_losses(
        output.biomarkers, targets, trainer.heads, training.scaling(), smoothing=0.05
    )
    joint_loss(losses, trainer.plan.loss_weights).backward()
    return {
        name: torch.zeros_like(value) if value.grad is None else value.grad.clone()
        for name, value in trainer.unwrapped.named_parameters()
    }, losses


def with_targets(table, change):
    """The table with `change` applied to every target."""
    return replace(
        table, targets={name: change(name, target) for name, target in table.targets.items()}
    )


def unobserve(target, rows):
    observed = target.observed.copy()
    observed[rows] = False
    return replace(target, observed=observed)


def scramble_unobserved(_name, target):
    """Other values wherever `observed` is false."""
    hidden = ~target.observed
    if isinstance(target, ClassTarget):
        possible = target.possible.copy()
        possible[hidden] = np.eye(possible.shape[1], dtype=bool)[0]
        return replace(target, possible=possible)
    lower = target.lower.copy()
    lower[hidden] = 99.0
    return replace(target, lower=lower, upper=np.where(hidden, 99.5, target.upper))


def half_observed(_name, target):
    return unobserve(target, slice(None, None, 2))


def test_the_value_of_an_unobserved_target_changes_no_gradient(trainer):
    batch = next(trainer.head_training.batches)
    table = with_targets(trainer.head_training.table, half_observed)
    expected, _ = gradients(trainer, batch, table)
    found, _ = gradients(trainer, batch, with_targets(table, scramble_unobserved))
    assert any("encoder" in name and value.any() for name, value in expected.items())
    for name, value in found.items():
        assert torch.equal(value, expected[name]), name


def test_a_batch_without_any_observed_target_gives_exactly_zero_gradient(trainer):
    batch = next(trainer.head_training.batches)
    table = with_targets(
        trainer.head_training.table, lambda _, target: unobserve(target, slice(None))
    )
    found, losses = gradients(trainer, batch, table)
    assert all(loss == 0 for loss in losses.values())
    for name, value in found.items():
        assert not value.any(), name


def test_a_biomarker_unobserved_in_the_batch_leaves_its_head_and_the_others_alone(trainer):
    batch = next(trainer.head_training.batches)
    table = trainer.head_training.table
    without_er = with_targets(
        table, lambda name, target: unobserve(target, slice(None)) if name == "ER" else target
    )
    expected, _ = gradients(trainer, batch, table)
    found, losses = gradients(trainer, batch, without_er)
    assert losses["ER"] == 0
    for name, value in found.items():
        if name.startswith("tower.heads.ER."):
            assert not value.any(), name
        elif name.startswith("tower.heads."):
            assert torch.equal(value, expected[name]), name


def test_the_table_that_is_trained_on_has_empty_cells(workspace):
    """Else the shared training run would not cover them."""
    declaration = parse_declaration(json.loads((workspace.raw / "dataset.json").read_text()))
    table = read_targets(workspace.preprocessed / "targets.csv", declaration)
    assert 0.3 < table.targets["PR"].observed.mean() < 0.7
