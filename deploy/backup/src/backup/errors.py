"""The one error that people see."""


class BackupError(Exception):
    """What is wrong, and what to do: one or two sentences without a traceback."""
