"""What a signal turns into. What ends the command with one clear line is a StackError."""


class Interrupted(BaseException):
    """A signal asked the stack to end. Not an Exception: no handler may swallow it."""
