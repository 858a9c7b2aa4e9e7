"""What commands say of what went wrong: one line, never a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from control_plane.errors import StackError

problems = Console(stderr=True, soft_wrap=True, highlight=False)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Print a StackError and end with 1."""
    try:
        yield
    except StackError as error:
        problems.print(f"error: {error}", style="red", markup=False)
        raise typer.Exit(1) from None
