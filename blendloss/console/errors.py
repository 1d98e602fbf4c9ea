"""The error for mistakes of the user."""


class UserError(Exception):
    """A mistake of the user. The command prints it in one line, without a traceback."""
