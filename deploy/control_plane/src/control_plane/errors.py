"""The one exception that a command turns into a clear line and a non-zero exit."""


class StackError(Exception):
    """Something that the operator can fix; the message names the thing and the fix."""
