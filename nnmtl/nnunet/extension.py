"""How nnU-Net's own look-up finds our trainer: the folder that `nnUNet_extTrainer` must name."""

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

VARIABLE = "nnUNet_extTrainer"
_PRIMUS_TRAINERS = "nnunetv2.training.nnUNetTrainer.primus.primus_trainers"


def trainer_folder() -> Path:
    """The folder that holds one re-export of `nnMTLTrainer` and nothing else.

    nnU-Net imports every module under the folder it is given, by its bare file name, and forgets
    it afterwards: hence a folder of its own, without `__init__.py`.
    """
    return Path(__file__).parent / "ext_trainer"


def with_trainer_folder(value: str | None) -> str:
    """The value of `nnUNet_extTrainer` with our folder in front; what was there is kept.

    Args:
        value: the present value, folders joined by `os.pathsep`; `None` or empty if unset.
    """
    ours = str(trainer_folder())
    others = [folder for folder in (value or "").split(os.pathsep) if folder and folder != ours]
    return os.pathsep.join([ours, *others])


def make_trainer_findable() -> None:
    """Prepares this process, and those it starts, for nnU-Net's look-up of `nnMTLTrainer` by name.

    Call it before training or prediction starts. nnU-Net reads the variable at each look-up.
    """
    os.environ[VARIABLE] = with_trainer_folder(os.environ.get(VARIABLE))
    _skip_trainers_without_timm()


def _skip_trainers_without_timm() -> None:
    """Takes nnU-Net's Primus trainers out of the look-up where timm cannot be imported.

    The look-up imports all built-in trainers before it turns to ours, and ends with the first that
    fails. timm needs torchvision, which may not import beside a CPU-only torch (RuntimeError).
    """
    try:
        importlib.import_module("timm")
    except (ImportError, OSError, RuntimeError):
        sys.modules.setdefault(_PRIMUS_TRAINERS, ModuleType(_PRIMUS_TRAINERS))
