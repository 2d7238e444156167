"""The same seed gives the same bits, also over an interruption."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from nnmtl.errors import NnmtlError
from nnmtl.nnunet.interruption import Interruption
from nnmtl.nnunet.training_run import train

pytestmark = pytest.mark.e2e

STATE = ("raw_weights", "averaged_weights")


def checkpoint(fold):
    return torch.load(fold / "checkpoint_final.pth", map_location="cpu", weights_only=False)


def history(fold):
    rows = [json.loads(line) for line in (fold / "task_history.jsonl").read_text().splitlines()]
    # Compared as text: nan is not equal to itself.
    return [json.dumps({**row, "seconds": None}) for row in rows]


def differing(first, second):
    """Names of the tensors that are not equal bit by bit."""
    assert first.keys() == second.keys()
    return [name for name in first if not torch.equal(bits(first[name]), bits(second[name]))]


def bits(tensor):
    return tensor.contiguous().view(torch.uint8) if tensor.ndim else tensor[None].view(torch.uint8)


def assert_same_run(fold, reference):
    found, expected = checkpoint(fold), checkpoint(reference)
    assert differing(found["network_weights"], expected["network_weights"]) == []
    for part in STATE:
        assert differing(found["nnmtl_state"][part], expected["nnmtl_state"][part]) == []
    assert history(fold) == history(reference)


@pytest.fixture
def reference(trained):
    """The fold that was trained without disturbance, with seed 0."""
    (fold,) = trained.results.glob("*/fold_0")
    return fold


def test_two_runs_with_one_seed_are_equal_and_another_seed_differs(workspace, reference):
    assert_same_run(workspace.train(seed=0), reference)
    other = checkpoint(workspace.train(seed=1))["network_weights"]
    same = checkpoint(reference)["network_weights"]
    assert any("encoder" in name for name in differing(other, same))
    assert any("tower" in name for name in differing(other, same))


@pytest.mark.parametrize("iteration", [2, 6, 8], ids=["warm-up", "joint phase", "last"])
def test_a_run_interrupted_between_two_iterations_goes_on_as_if_nothing_was(
    workspace, reference, monkeypatch, iteration
):
    interrupt_after(iteration, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        workspace.train(seed=0)
    monkeypatch.undo()
    workspace.enter(monkeypatch)
    (fold,) = workspace.results.glob("*/fold_0")
    assert (fold / "checkpoint_latest.pth").is_file()
    assert not (fold / "checkpoint_final.pth").exists()
    assert len(history(fold)) == (iteration - 1) // 4
    torch.rand(7)  # the process that goes on has drawn other random numbers
    assert workspace.train(seed=0, continue_training=True) == fold
    assert_same_run(fold, reference)
    assert not (fold / "checkpoint_latest.pth").exists()


def test_a_pause_is_not_counted_as_time_of_an_epoch(workspace, monkeypatch):
    interrupt_after(2, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        workspace.train(seed=0)
    monkeypatch.undo()
    workspace.enter(monkeypatch)
    (latest,) = workspace.results.glob("*/fold_0/checkpoint_latest.pth")
    content = torch.load(latest, weights_only=False)
    days = 10 * 24 * 3600.0
    content["logging"]["epoch_start_timestamps"][-1] -= days
    torch.save(content, latest)
    fold = workspace.train(seed=0, continue_training=True)
    rows = [json.loads(line) for line in (fold / "task_history.jsonl").read_text().splitlines()]
    assert 0 < rows[0]["seconds"] < days / 2


def test_a_run_interrupted_twice_goes_on_as_well(workspace, reference, monkeypatch):
    for iteration, continues in ((3, False), (2, True)):
        interrupt_after(iteration, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            workspace.train(seed=0, continue_training=continues)
        monkeypatch.undo()
        workspace.enter(monkeypatch)
    assert_same_run(workspace.train(seed=0, continue_training=True), reference)


@pytest.mark.parametrize("weighting", ["dwa", "upgrad"])
def test_a_run_with_other_weighting_balanced_cases_and_dropped_regions_goes_on_as_well(
    workspace, monkeypatch, weighting
):
    if weighting == "upgrad":
        pytest.importorskip("torchjd", reason="pip install 'nnmtl[torchjd]'")

    def change(plans):
        configuration = plans["configurations"]["3d_fullres"]
        configuration["architecture"]["arch_kwargs"]["multitask"]["region_dropout"] = 0.3
        asked = {"task_weighting": weighting, "roi_sampling": "balanced", "warmup_fraction": 0.0}
        configuration["nnmtl"].update(asked, epochs=3, iterations_per_epoch=2)

    workspace.change_plans(change)
    whole = workspace.train()
    kept = whole.parent.rename(whole.parent.with_name("undisturbed")) / whole.name
    interrupt_after(5, monkeypatch)  # in the third epoch, which dwa weighs by the first two
    with pytest.raises(KeyboardInterrupt):
        workspace.train()
    monkeypatch.undo()
    workspace.enter(monkeypatch)
    assert_same_run(workspace.train(continue_training=True), kept)


def test_a_signal_stops_the_command_and_it_can_go_on(workspace, reference):
    command = [sys.executable, "-c", "from nnmtl.cli.train import entry; entry()", "901"]
    command += ["3d_fullres", "0", "-p", workspace.plans, "--seed", "0", "-device", "cpu"]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    history_file = workspace.results / reference.parent.name / "fold_0" / "task_history.jsonl"
    deadline = time.monotonic() + 120
    while not (history_file.is_file() and history_file.read_text()):
        assert run.poll() is None, run.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(run.pid, signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 130, errors
    assert errors.splitlines()[-1] == "interrupted"
    assert_same_run(workspace.train(seed=0, continue_training=True), reference)


def test_an_unfinished_run_is_not_overwritten_nor_continued_with_other_settings(
    workspace, monkeypatch
):
    interrupt_after(2, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        workspace.train(seed=0)
    with pytest.raises(NnmtlError, match=r"holds an unfinished run\. Continue it with --c"):
        workspace.train(seed=0)
    with pytest.raises(NnmtlError, match="holds a run with other plans, epochs or seed"):
        workspace.train(seed=0, epochs=5, continue_training=True)


def test_a_finished_run_is_not_overwritten(model, trained):
    for continues in (False, True):
        with pytest.raises(NnmtlError, match="this training has finished"):
            train(trained.settings(continue_training=continues))


def interrupt_after(iteration, monkeypatch):
    """As if a signal came in this iteration of the call."""
    asked = []

    class Signaled(Interruption):
        @property
        def requested(self):
            asked.append(0)
            return len(asked) >= 2 * iteration - 1  # asked twice in each iteration

        @requested.setter
        def requested(self, value):
            pass

    monkeypatch.setattr("nnmtl.nnunet.trainer.Interruption", Signaled)
