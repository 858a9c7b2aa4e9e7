"""The status as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from control_plane.status import Schedule, Status
from control_plane.ticks import Failure

_STATE_STYLE = {"LOADED": "green", "LOADING": "yellow", "ERROR": "red"}


def show(console: Console, status: Status, url: str) -> None:
    """Print the UI's address, the locations, the schedules, and a line per broken location."""
    now = datetime.now(UTC)
    console.print(f"\nDagster {status.version} at [bold]{url}[/]\n")
    locations = _table("Code location", "State", "Image")
    schedules = _table("Schedule", "Location", "Cron", "Next tick (UTC)")
    for location in status.locations:
        style = _STATE_STYLE[location.state]
        locations.add_row(location.name, f"[{style}]{location.state}[/]", location.image or "-")
        for schedule in location.schedules:
            schedules.add_row(
                schedule.name, location.name, schedule.cron, _next_tick(schedule, now)
            )
    console.print(locations)
    console.print()
    console.print(schedules)
    for location in status.broken():
        console.print(
            f"\ncode location {location.name} does not load: {location.error}",
            style="red",
            markup=False,
            highlight=False,
        )


def show_failing(console: Console, failing: Sequence[Failure]) -> None:
    """Print a line per schedule or sensor that fails: since when, and the error's first line."""
    now = datetime.now(UTC)
    for one in failing:
        minutes = max(0, round((now - one.since).total_seconds() / 60))
        console.print(
            f"\n{one.title} fails since {one.since:%Y-%m-%d %H:%M} UTC"
            f" ({minutes // 60} h {minutes % 60:02d} min): {one.error}",
            style="red",
            markup=False,
            highlight=False,
        )


def _next_tick(schedule: Schedule, now: datetime) -> str:
    if not schedule.running:
        return "stopped"
    if schedule.next_tick is None:
        return "-"
    minutes = max(0, round((schedule.next_tick - now).total_seconds() / 60))
    return f"{schedule.next_tick:%Y-%m-%d %H:%M} (in {minutes // 60} h {minutes % 60:02d} min)"


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for header in headers:
        table.add_column(header, no_wrap=True)
    return table
