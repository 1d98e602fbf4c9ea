"""What the command says, in one line, when it cannot do what it was asked for."""


class UserError(Exception):
    """A mistake in what was asked for: shown as one line, without a traceback."""
