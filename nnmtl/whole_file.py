"""Writes a file whole or not at all, and tells before where nothing can be written."""

import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes UTF-8 text or bytes aside and renames them, so no reader meets half a file."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_bytes(content.encode() if isinstance(content, str) else content)
    aside.replace(path)


def can_be_written(path: Path) -> bool:
    """Whether a file or folder can be made here, with the folders above it that are not there."""
    there = nearest_existing(path.absolute().parent)
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def nearest_existing(path: Path) -> Path:
    """An absolute path itself, or the nearest above it that exists."""
    return next(each for each in (path, *path.parents) if each.exists())
