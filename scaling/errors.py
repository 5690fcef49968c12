"""The one kind of error a user can cause; the command line prints its sentence and no traceback."""


class UserError(ValueError):
    """Something the user asked for cannot be done: the message says what, with the value, and the remedy."""
