"""What ends the command with one clear line, and what a signal turns into."""


class EmbeddedError(Exception):
    """Something the user can put right; the message names the thing and the way out."""


class Interrupted(BaseException):
    """A signal asked the stack to end. Not an Exception: no handler may swallow it."""
