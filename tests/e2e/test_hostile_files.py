"""No file of a model, a run or a plan runs code: every door refuses it before anything runs."""

import json
import os
import shutil

import pytest
import torch

from nnmtl.cli import predict, train
from nnmtl.errors import NnmtlError

pytestmark = pytest.mark.e2e


class Payload:
    """Unpickling it makes a folder, which tells that code ran."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


@pytest.fixture
def marker(tmp_path):
    """A folder that exists as soon as hostile code has run."""
    return tmp_path / "code_ran"


@pytest.fixture
def own_model(workspace, trained):
    """A copy of the model that a test may spoil."""
    (folder,) = trained.results.iterdir()
    return shutil.copytree(folder, workspace.results / folder.name)


@pytest.fixture
def predict_with(workspace, tmp_path):
    """Runs nnMTL_predict with a model folder; it must write nothing."""

    def run(folder):
        output = tmp_path / "out"
        images = ["-i", str(workspace.raw / "imagesTs"), "-o", str(output)]
        try:
            predict.main([*images, "-m", str(folder), "-device", "cpu"])
        finally:
            assert not list(output.rglob("*.nii.gz"))

    return run


def poison(path, marker, *, key="logging"):
    checkpoint = torch.load(path, weights_only=False)
    checkpoint[key] = Payload(marker)
    torch.save(checkpoint, path)


def test_the_payload_runs_where_nothing_guards(tmp_path, marker):
    """Else the tests below would prove nothing."""
    torch.save({"logging": Payload(marker)}, tmp_path / "hostile.pth")
    torch.load(tmp_path / "hostile.pth", weights_only=False)
    assert marker.is_dir()


@pytest.mark.parametrize("key", ["logging", "network_weights", "nnmtl_state", "new"])
def test_predict_refuses_a_checkpoint_that_would_run_code(own_model, predict_with, marker, key):
    poison(own_model / "fold_0" / "checkpoint_final.pth", marker, key=key)
    with pytest.raises(NnmtlError, match=r"checkpoint_final\.pth"):
        predict_with(own_model)
    assert not marker.exists()


def name_system(configuration):
    configuration["architecture"]["network_class_name"] = "os.system"


def name_system_as_unet(configuration):
    configuration["architecture"]["arch_kwargs"]["unet_class_name"] = "os.system"


def name_system_as_import(configuration):
    architecture = configuration["architecture"]
    architecture["arch_kwargs"]["new"] = "os.system"
    architecture["_kw_requires_import"].append("new")


def name_system_as_preprocessor(configuration):
    configuration["preprocessor_name"] = "os.system"


def name_system_as_resampling(configuration):
    configuration["resampling_fn_data"] = "os.system"


CHANGES = pytest.mark.parametrize(
    "change",
    [
        name_system,
        name_system_as_unet,
        name_system_as_import,
        name_system_as_preprocessor,
        name_system_as_resampling,
    ],
)


@pytest.fixture
def no_system(monkeypatch):
    """Whoever calls os.system fails at once."""

    def refuse(*_):
        pytest.fail("os.system was called")

    monkeypatch.setattr(os, "system", refuse)


@CHANGES
@pytest.mark.usefixtures("no_system")
def test_predict_refuses_plans_that_name_other_code(own_model, predict_with, change):
    plans = json.loads((own_model / "plans.json").read_text())
    change(plans["configurations"]["3d_fullres"])
    (own_model / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(NnmtlError, match=r"os\.system"):
        predict_with(own_model)


@CHANGES
@pytest.mark.usefixtures("no_system")
def test_predict_refuses_such_plans_within_a_checkpoint(own_model, predict_with, change):
    path = own_model / "fold_0" / "checkpoint_final.pth"
    checkpoint = torch.load(path, weights_only=False)
    change(checkpoint["init_args"]["plans"]["configurations"]["3d_fullres"])
    torch.save(checkpoint, path)
    with pytest.raises(NnmtlError, match=r"os\.system"):
        predict_with(own_model)


@CHANGES
@pytest.mark.usefixtures("no_system")
def test_preprocessing_and_training_refuse_such_plans(workspace, change):
    workspace.change_plans(lambda plans: change(plans["configurations"]["3d_fullres"]))
    with pytest.raises(NnmtlError, match=r"os\.system"):
        workspace.preprocess()
    with pytest.raises(NnmtlError, match=r"os\.system"):
        workspace.train()
    assert not list(workspace.results.rglob("*.pth"))


def test_continuing_refuses_a_checkpoint_that_would_run_code(workspace, own_model, marker):
    fold = own_model / "fold_0"
    (fold / "checkpoint_final.pth").rename(fold / "checkpoint_latest.pth")
    poison(fold / "checkpoint_latest.pth", marker)
    command = ["901", "3d_fullres", "0", "-p", workspace.plans, "--seed", "0", "--c"]
    with pytest.raises(NnmtlError, match=r"checkpoint_latest\.pth"):
        train.main([*command, "-device", "cpu"])
    assert not marker.exists()
    assert not (fold / "checkpoint_final.pth").exists()
