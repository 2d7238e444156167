"""Where nnU-Net keeps things: the only reader of its environment variables."""

import os
from pathlib import Path

from nnmtl.errors import NnmtlError


def folder_from_environment(variable: str) -> Path:
    """The folder that one of nnU-Net's variables names.

    Raises:
        NnmtlError: if the variable is not set.
    """
    value = os.environ.get(variable)
    if not value:
        raise NnmtlError(
            f"The environment variable {variable} is expected to name a folder, but it is not set. "
            f"Set it, for example: export {variable}=/data/{variable}"
        )
    return Path(value)


def dataset_name(dataset: str) -> str:
    """`Dataset001_Name` from an id (`1`, `001`) or the name itself, as found in nnUNet_raw.

    Raises:
        NnmtlError: if no folder or more than one matches.
    """
    raw = folder_from_environment("nnUNet_raw")
    is_id = dataset.isascii() and dataset.isdigit()
    start = f"Dataset{int(dataset):03d}_" if is_id else dataset
    names = sorted(path.name for path in raw.glob("*") if path.is_dir())
    found = [name for name in names if name == start or (is_id and name.startswith(start))]
    if len(found) != 1:
        raise NnmtlError(
            f"-d {dataset}: expected one folder {start}{'*' if is_id else ''} in {raw}, found "
            f"{', '.join(found) or 'none'}. Check nnUNet_raw and the id, or convert the data first."
        )
    return found[0]


def raw_folder(name: str) -> Path:
    """nnUNet_raw/<dataset name>."""
    return folder_from_environment("nnUNet_raw") / name


def preprocessed_folder(name: str) -> Path:
    """nnUNet_preprocessed/<dataset name>."""
    return folder_from_environment("nnUNet_preprocessed") / name


def results_folder(name: str) -> Path:
    """nnUNet_results/<dataset name>."""
    return folder_from_environment("nnUNet_results") / name
