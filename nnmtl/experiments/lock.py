"""Lets one process at a time do a piece of work."""

import contextlib
import fcntl
import logging
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger(__name__)

LOCK = ".nnmtl_compare.lock"


@contextlib.contextmanager
def alone(folder: Path, *, doing: str) -> Iterator[None]:
    """Waits for another process in the same folder; the system lets go when a process dies.

    Args:
        folder: what is worked on; made if it does not exist.
        doing: what the work is, for the log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("Another process works on %s: waiting for it", doing)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
