"""The errors a user can cause; the command line prints their sentence and no traceback."""


class UserError(ValueError):
    """Something the user asked for cannot be done: the message says what, with the value, and the remedy."""


class HostError(UserError):
    """It cannot be done on this machine; another may well do it."""


class StorageError(UserError):
    """A disk or bucket refused something."""

    def __init__(self, message: str, passes: bool) -> None:
        """`passes` says whether it may be well again by itself, as where a network is away, and a full disk is not."""
        super().__init__(message)
        self.passes = passes
