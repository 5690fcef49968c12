"""The errors a user can cause; the command line prints their sentence and no traceback."""


class UserError(ValueError):
    """Something the user asked for cannot be done: the message says what, with the value, and the remedy."""


class HostError(UserError):
    """It cannot be done on this machine; another may well do it."""
