"""Checks a model folder before nnU-Net sees it, so that loading a model runs no code of the model.

nnU-Net loads checkpoints with `weights_only=False` and imports whatever dotted name the plans give.
Call `check_model_folder` before handing a folder to nnU-Net, and `load_checkpoint_safely` wherever
we open a checkpoint ourselves.
"""

import json
import pickle
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nnmtl.errors import NnmtlError
from nnmtl.nnunet.allowed_names import LAYER_ARGUMENTS, LAYERS, NAMES_OF_KEY, TRAINERS


def check_model_folder(folder: Path, folds: Iterable[int | str], checkpoint_name: str) -> None:
    """Refuses a model folder whose plans or checkpoints could run code, or have lost something.

    Args:
        folder: the trained model: `plans.json` and one `fold_<f>` per fold.
        folds: folds about to be used, numbers or `all`.
        checkpoint_name: file inside each fold's folder, e.g. `checkpoint_final.pth`.

    Raises:
        NnmtlError: a file is missing or damaged, names something outside the closed lists, or lacks
            what nnU-Net saves or the checkpoint was trained with.
    """
    plans = _read_json(folder / "plans.json")
    check_plans(plans, folder / "plans.json")
    for fold in folds:
        path = folder / f"fold_{fold}" / checkpoint_name
        checkpoint = load_checkpoint_safely(path)
        _check_trainer(checkpoint.get("trainer_name"), path)
        init_args = checkpoint.get("init_args", {})
        check_plans(init_args.get("plans", {}), path)
        _refuse_loss(_CHECKPOINT_KEYS, checkpoint, path)
        _refuse_lost_plans(init_args, plans, folder / "plans.json")


def check_plans(plans: Mapping[str, Any], where: Path) -> None:
    """Compares every name that nnU-Net would look up or import with the closed lists.

    Args:
        plans: content of a plans file; nested configurations are checked alike.
        where: the file it came from, for the message.

    Raises:
        NnmtlError: a name is not in its list.
    """
    if not isinstance(plans, Mapping):
        raise NnmtlError(f"{where}: expected an object with plans, got {type(plans).__name__}.")
    entries = list(_entries(plans))
    imported = LAYER_ARGUMENTS.union(
        *(_names_listed(value, where) for key, value in entries if key == "_kw_requires_import")
    )
    for key, value in entries:
        if key in NAMES_OF_KEY:
            for name in value if isinstance(value, list | tuple) else [value]:
                _check_name(key, name, NAMES_OF_KEY[key], where)
        elif key in imported and value is not None:
            _check_name(key, value, LAYERS, where)


def load_checkpoint_safely(path: Path) -> dict[str, Any]:
    """Opens a checkpoint on the CPU, building tensors, numbers, text and containers only.

    Returns:
        what nnU-Net's `save_checkpoint` wrote, including numpy scalars and arrays.

    Raises:
        NnmtlError: the file is missing or damaged, or names any other function or class.
    """
    try:
        with torch.serialization.safe_globals(list(_SAFE_GLOBALS)):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        message = f"{path}: expected a checkpoint, found no file; check the folder and the fold."
        raise NnmtlError(message) from error
    except pickle.UnpicklingError as error:
        raise NnmtlError(_refusal(path, str(error))) from error
    except (EOFError, OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
        message = f"{path}: expected a checkpoint, but the file cannot be read; copy it again."
        raise NnmtlError(message) from error
    if not isinstance(checkpoint, dict):
        raise NnmtlError(f"{path}: expected a checkpoint, got one {type(checkpoint).__name__}.")
    return checkpoint


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        message = f"{path}: expected a model's plans, found no file; check the model folder."
        raise NnmtlError(message) from error
    except ValueError as error:
        raise NnmtlError(f"{path}: expected JSON, got something else: {error}.") from error


def _entries(value: object) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield key, item
            yield from _entries(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _entries(item)


def _names_listed(value: object, where: Path) -> set[str]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise NnmtlError(f"{where}: expected _kw_requires_import to list names, got {value!r}.")
    return set(value)


def _check_name(key: str, name: object, allowed: frozenset[str], where: Path) -> None:
    if not isinstance(name, str) or name not in allowed:
        raise NnmtlError(
            f"{where}: {key} names {name!r}, which nnMTL does not load, because importing it could "
            f"run anything; expected one of {', '.join(sorted(allowed))}."
        )


def _check_trainer(name: object, path: Path) -> None:
    if name not in TRAINERS:
        raise NnmtlError(
            f"{path}: expected a model trained by one of {', '.join(sorted(TRAINERS))}, but its "
            f"trainer is {name!r}; use a model of a known trainer."
        )


def _refusal(path: Path, message: str) -> str:
    found = re.search(r"GLOBAL:? ([\w.]+)", message)
    if found is None:
        return f"{path}: expected a checkpoint of tensors and numbers; it is damaged or holds code."
    return (
        f"{path}: expected a checkpoint of tensors and numbers, but it names {found[1]}, which "
        "loading would run; use it only after its author saved it again without."
    )


def _refuse_lost_plans(init_args: Mapping[str, Any], plans: Mapping[str, Any], path: Path) -> None:
    """A person may edit the plans of a model, but nothing that it was trained with may be gone."""
    trained, name = init_args.get("plans", {}), init_args.get("configuration", "")
    _refuse_loss(trained, plans, path)
    configurations = trained.get("configurations", {})
    if name in configurations:
        _refuse_loss([name], plans["configurations"], path)
        _refuse_loss(configurations[name], plans["configurations"][name], path)


def _refuse_loss(keys: Iterable[str], found: Mapping[str, Any], path: Path) -> None:
    lost = sorted(set(keys) - set(found))
    if lost:
        raise NnmtlError(
            f"{path}: expected what the training saved, but {', '.join(lost)} is missing; copy the "
            "model folder again."
        )


def _encode_latin1(text: str, encoding: str) -> bytes:
    """How pickle writes bytes at protocol 2; any other codec is refused."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"GLOBAL _codecs.encode with {encoding!r}")
    return text.encode("latin1")


# What nnU-Net's predictor takes from a checkpoint.
_CHECKPOINT_KEYS = ("trainer_name", "init_args", "network_weights")
# What numpy's scalars and plain arrays need, under the names that numpy 1 and 2 give it.
_NUMPY_FUNCTIONS = {
    "scalar": np.float64(0).__reduce__()[0],
    "_reconstruct": np.empty(0).__reduce__()[0],
}
_SAFE_GLOBALS: tuple[Any, ...] = (
    torch.device,
    np.ndarray,
    np.dtype,
    *(type(np.dtype(code)) for code in "?bBhHiIlLqQefdU"),
    *(
        (function, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for name, function in _NUMPY_FUNCTIONS.items()
    ),
    (_encode_latin1, "_codecs.encode"),
)
