"""The few lines that the user sees; everything else goes to log files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rich.console import Console

_out = Console(highlight=False, soft_wrap=True)
_err = Console(highlight=False, soft_wrap=True, stderr=True)


def say(text: str) -> None:
    """Print one line, markup allowed; a terminal that has gone away is no error."""
    with suppress(OSError):
        _out.print(text)


def complain(text: str) -> None:
    """Print one error line to stderr, exactly as given."""
    with suppress(OSError):
        _err.print("[bold red]error:[/]", end=" ")
        _err.print(text, markup=False)


def show_log_tail(text: str) -> None:
    """Print lines of a log, dimmed and indented, to stderr."""
    with suppress(OSError):
        for line in text.splitlines():
            _err.print(f"  {line}", style="dim", markup=False)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Say that a step of the start is done, and how long it took."""
    started = time.monotonic()
    yield
    done(name, time.monotonic() - started)


def done(name: str, seconds: float) -> None:
    """Say that something is up, ``seconds`` after it was begun."""
    say(f"[green]✓[/] {name} [dim]({seconds:.1f} s)[/]")
