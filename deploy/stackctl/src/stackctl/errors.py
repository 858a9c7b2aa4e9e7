"""What ends a command with one clear line, and with which exit code."""

from __future__ import annotations

FAILED = 1
"""Something did not work; what runs is what ran before."""
USAGE = 2
"""The command was not understood."""
REFUSED = 3
"""The gate refused a release, or a safeguard an operation; nothing was changed."""
ROLLED_BACK = 4
"""A release failed after it went live, and the former one serves again."""
LOCKED = 5
"""Another command is at work on the same thing."""
INTERRUPTED = 130
"""Ctrl-C; what was under way has been put right."""


class StackctlError(Exception):
    """A message for people: what, which value, and the fix."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Interrupted(BaseException):
    """A signal asked the command to end. Not an Exception: no handler may take it for one."""
