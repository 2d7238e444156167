"""A training that starts with the encoder of a checkpoint."""

import json
import os
import signal

import pytest
import torch

from nnmtl.errors import NnmtlError
from nnmtl.nnunet.trainer import nnMTLTrainer
from nnmtl.nnunet.training_run import SETTINGS
from nnmtl.nnunet.warm_start import WARM_START, weights_hash

pytestmark = pytest.mark.e2e


@pytest.fixture
def pretrained(trained, tmp_path):
    """A checkpoint of another dataset that fits the tiny plans."""
    (path,) = trained.results.glob("*/fold_0/checkpoint_final.pth")
    checkpoint = torch.load(path, weights_only=False)
    checkpoint["init_args"]["plans"]["dataset_name"] = "Dataset001_Other"
    torch.save(checkpoint, tmp_path / "pretrained.pth")
    return tmp_path / "pretrained.pth"


@pytest.fixture
def starts(monkeypatch):
    """Raw and averaged weights with which each run went into its training."""
    found = []
    run_training = nnMTLTrainer.run_training

    def spy(trainer):
        raw = {name: value.clone() for name, value in trainer.network.named_parameters()}
        averaged = {name: value.clone() for name, value in trainer.average.values.items()}
        found.append((raw, averaged))
        run_training(trainer)

    monkeypatch.setattr(nnMTLTrainer, "run_training", spy)
    return found


def interrupt_in(iteration, monkeypatch):
    """A signal comes in this iteration, counted from 1."""
    train_step, calls = nnMTLTrainer.train_step, []

    def interrupted(trainer, batch):
        calls.append(0)
        if len(calls) == iteration:
            os.kill(os.getpid(), signal.SIGINT)
        return train_step(trainer, batch)

    monkeypatch.setattr(nnMTLTrainer, "train_step", interrupted)


def weights(path):
    return torch.load(path, map_location="cpu", weights_only=False)["network_weights"]


def differing(first, second):
    assert first.keys() == second.keys()
    return [
        name
        for name in first
        if not torch.equal(first[name].nan_to_num(), second[name].nan_to_num())
    ]


def test_training_starts_from_the_loaded_encoder_and_can_be_repeated(
    workspace, pretrained, starts, monkeypatch
):
    fold = workspace.train(seed=0, pretrained_weights=pretrained)
    raw, averaged = starts[0]
    source = weights(pretrained)
    encoder = [name for name in raw if name.startswith("encoder.")]
    assert all(torch.equal(raw[name], source[name]) for name in encoder)
    assert differing(raw, averaged) == []
    assert set(json.loads((fold / WARM_START).read_text())["loaded"]) == set(encoder)
    first = weights(fold / "checkpoint_final.pth")
    fold.rename(fold.with_name("undisturbed"))

    interrupt_in(3, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        workspace.train(seed=0, pretrained_weights=pretrained)
    again = workspace.train(seed=0, pretrained_weights=pretrained, continue_training=True)
    assert differing(starts[0][0], starts[1][0]) == []
    assert differing(starts[0][0], starts[2][0]) != []  # went on: loaded nothing once more
    assert differing(weights(again / "checkpoint_final.pth"), first) == []


def test_a_run_with_other_pretrained_weights_is_refused(workspace, pretrained, monkeypatch):
    interrupt_in(1, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        workspace.train(seed=0, pretrained_weights=pretrained)
    (fold,) = workspace.results.glob("*/fold_0")
    record = json.loads((fold / SETTINGS).read_text())
    assert record["pretrained_weights_sha256"] == weights_hash(pretrained)
    other = pretrained.with_name("other.pth")
    other.write_bytes(b"other")
    for changed in (other, None):
        with pytest.raises(NnmtlError, match="or other pretrained weights, than asked for now"):
            workspace.train(seed=0, pretrained_weights=changed, continue_training=True)


def test_a_refused_warm_start_leaves_no_run_behind(workspace, pretrained, monkeypatch):
    checkpoint = torch.load(pretrained, weights_only=False)
    name = "encoder.stages.1.0.convs.0.conv.weight"
    checkpoint["network_weights"][name] = checkpoint["network_weights"][name][:1]
    torch.save(checkpoint, pretrained.with_name("narrow.pth"))
    with pytest.raises(
        NnmtlError, match=r"encoder\.stages\.1\.0\.convs\.0\.conv\.weight: expected"
    ):
        workspace.train(seed=0, pretrained_weights=pretrained.with_name("narrow.pth"))
    interrupt_in(1, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        workspace.train(seed=0)
