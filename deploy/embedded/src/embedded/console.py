"""The few lines that the user sees; everything else goes to log files."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from rich.console import Console
from rich.table import Table

_SILENCE_S = 5.0

_out = Console(highlight=False, soft_wrap=True)
_err = Console(highlight=False, soft_wrap=True, stderr=True)


def say(text: str | Table) -> None:
    """Print one line or a table, markup allowed; a terminal that has gone away is ignored."""
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


def show_table(headers: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print rows under headers, unbordered, as the table of `make status`."""
    table = Table(box=None, pad_edge=False)
    for header in headers:
        table.add_column(header, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    say(table)


@contextmanager
def working(name: str) -> Iterator[None]:
    """Say every few seconds that something is still under way."""
    started, ended = time.monotonic(), Event()

    def tell() -> None:
        while not ended.wait(_SILENCE_S):
            say(f"[dim]… {name} ({time.monotonic() - started:.0f} s so far)[/]")

    Thread(target=tell, daemon=True).start()
    try:
        yield
    finally:
        ended.set()


@contextmanager
def step(name: str) -> Iterator[None]:
    """Say that a step of the start is done, and how long it took; and meanwhile that it is not."""
    started = time.monotonic()
    with working(name):
        yield
    say(f"[green]✓[/] {name} [dim]({time.monotonic() - started:.1f} s)[/]")
