"""How every command ends: an exit code, and for bad input one sentence on stderr."""

import errno
import logging
import sys
from collections.abc import Callable

from nnmtl.errors import NnmtlError

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

# What users can change; another error of the system is a mistake of ours.
_REFUSALS = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR),
    *(errno.EISDIR, errno.EEXIST),
)


def run(main: Callable[[], int]) -> None:
    """Runs a command's `main` and exits with its code.

    An `NnmtlError`, or a file or folder that the system refuses, becomes one line on stderr and
    exit code 2; an interruption exit code 130.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        sys.exit(main())
    except NnmtlError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        print(
            f"error: {error.filename or 'writing'}: expected a file or folder that can be read and "
            f"written, but: {error.strerror}; change its permissions, free space, or name another.",
            file=sys.stderr,
        )
        sys.exit(EXIT_BAD_INPUT)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
