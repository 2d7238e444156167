import ast
import os
import subprocess
import sys

import pytest

from nnmtl.nnunet.extension import (
    VARIABLE,
    make_trainer_findable,
    trainer_folder,
    with_trainer_folder,
)

OURS = str(trainer_folder())
LOOK_UP = """
import sys
sys.modules["timm"] = None
from nnmtl.nnunet.extension import make_trainer_findable
make_trainer_findable()
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name as find
print(find("nnMTLTrainer").__module__)
"""
PRIMUS = "nnunetv2.training.nnUNetTrainer.primus.primus_trainers"


def test_the_folder_holds_one_reexport_and_is_no_package():
    files = [path.name for path in trainer_folder().glob("*.py")]
    assert files == ["nnmtl_trainers.py"]
    tree = ast.parse((trainer_folder() / files[0]).read_text())
    assert [ast.unparse(node) for node in tree.body] == [
        "from nnmtl.nnunet.trainer import nnMTLTrainer as nnMTLTrainer"
    ]


def test_our_folder_stands_alone_where_nothing_is_set():
    assert with_trainer_folder(None) == with_trainer_folder("") == OURS


def test_folders_that_are_set_already_are_kept_behind_ours():
    assert with_trainer_folder(os.pathsep.join(["/a", "/b"])) == os.pathsep.join([OURS, "/a", "/b"])


def test_our_folder_is_never_named_twice():
    value = os.pathsep.join(["/a", OURS])
    assert with_trainer_folder(with_trainer_folder(value)) == os.pathsep.join([OURS, "/a"])


def test_registering_changes_the_environment_for_later_lookups(monkeypatch):
    monkeypatch.setenv(VARIABLE, "/a")
    make_trainer_findable()
    assert os.environ[VARIABLE] == os.pathsep.join([OURS, "/a"])


def test_primus_trainers_are_skipped_where_timm_fails(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)  # importing it raises ImportError
    monkeypatch.delitem(sys.modules, PRIMUS, raising=False)
    monkeypatch.setenv(VARIABLE, "/a")
    make_trainer_findable()
    assert not hasattr(sys.modules.pop(PRIMUS), "__file__")


@pytest.mark.e2e
def test_nnunet_finds_the_trainer_even_where_timm_fails():
    """In a process of its own: nnU-Net's look-up imports all its trainers, and ours."""
    run = subprocess.run(
        [sys.executable, "-c", LOOK_UP], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "nnmtl.nnunet.trainer"
