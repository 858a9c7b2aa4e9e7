"""What people see: progress on stderr, so that stdout stays for the answer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console

# At least this wide: a value that is cut is worse than a line that the terminal wraps.
out = Console(highlight=False, soft_wrap=True, width=max(Console().width, 140))
err = Console(highlight=False, soft_wrap=True, stderr=True)

# What is many, such as changes of a release with thousands of assets, fits on one screen.
SHOWN = 10


def say(text: str) -> None:
    """Print one line of progress, exactly as given."""
    err.print(text, markup=False)


def complain(text: str) -> None:
    """Print one error line, exactly as given."""
    err.print("[bold red]error:[/]", end=" ")
    err.print(text, markup=False)


def listed(names: Sequence[str], separator: str = ", ") -> str:
    """The first few of many, and how many more there are."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return separator.join(names[:SHOWN]) + more


@contextmanager
def step(name: str) -> Iterator[None]:
    """Show that a step is under way, then that it is done and how long it took."""
    started = time.monotonic()
    with err.status(name):
        yield
    err.print("[green]✓[/]", end=" ")
    err.print(f"{name} ({time.monotonic() - started:.1f} s)", markup=False)
