"""Releases as a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

_MB = 1_000_000


def show(console: Console, listed: Sequence[Mapping[str, Any]]) -> None:
    """Print one line per release, the latest first."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("location", "release", "", "went live (UTC)", "by", "revision", "how"):
        table.add_column(title)
    table.add_column("size", justify="right")
    table.add_column("runs", justify="right")
    for one in listed:
        table.add_row(
            one["location"],
            one["release"],
            "[green]live[/]" if one["live"] else "",
            one["when"][:19].replace("T", " "),
            one["by"] or "",
            one["revision"] or "",
            one["how"],
            f"{one['size_bytes'] / _MB:.0f} MB",
            str(one["runs"] or ""),
        )
    console.print(table)
