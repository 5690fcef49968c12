"""Errors of the analysis that a user can cause; the command line prints their sentence and no traceback."""


class InputError(ValueError):
    """Rows, options or files that cannot be analysed: the message says what, with the value, and the remedy."""
