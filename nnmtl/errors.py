"""The one error that users see."""


class NnmtlError(Exception):
    """Bad input, told in one sentence: what was expected, what came, where, and what to do."""
