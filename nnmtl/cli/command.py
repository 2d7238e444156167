"""How every command ends: an exit code, and for bad input one sentence on stderr."""

import logging
import sys
from collections.abc import Callable

from nnmtl.errors import NnmtlError

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def run(main: Callable[[], int]) -> None:
    """Runs a command's `main` and exits with its code.

    An `NnmtlError` becomes one line on stderr and exit code 2; an interruption exit code 130.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        sys.exit(main())
    except NnmtlError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
