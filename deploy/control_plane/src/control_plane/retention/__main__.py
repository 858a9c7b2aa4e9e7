"""Old history: what would go, and its removal now."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from control_plane.console import one_line_errors, problems
from control_plane.errors import StackError
from control_plane.retention import plan as planning
from control_plane.retention import removal
from control_plane.retention.connection import alone, session
from control_plane.retention.rules import Rules, rules_of

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
console = Console(soft_wrap=True, width=max(Console().width, 100), highlight=False)
_TELL_S = 2.0


@app.command()
def plan() -> None:
    """Show what would go, by code location and kind, and how much space that is."""
    with one_line_errors():
        rules = rules_of(os.environ)
        with session() as connection:
            found = planning.make(connection, rules)
    _show_rules(rules)
    table = Table("Code location", "Runs", "of", "Logs only", "Events", "Space", box=None)
    for share in found.shares:
        table.add_row(
            share.location or "(none)",
            *(f"{number:,}" for number in (share.runs, share.of, share.logs, share.events)),
            size(share.bytes),
        )
    if found.shares:
        console.print(table)
        console.print(
            f"Together about {size(found.bytes)} of Dagster's database."
            " Step logs and values of these runs go too."
        )
    else:
        console.print("No run goes.")
    for kind, number in found.others.items():
        if number:
            console.print(f"{number:,} {kind}")
    for location, job, key, value in found.wrong_tags:
        problems.print(
            f"warning: {location}: job {job} has the tag {key}: {value!r}, not a whole number, so"
            " it is ignored. Fix: change it on the job.",
            markup=False,
        )
    _files("plan", found.run_ids)


@app.command()
def ids() -> None:
    """Print location and id of each run that would go, for the size of their files."""
    with one_line_errors():
        rules = rules_of(os.environ)
        with session() as connection:
            for location, run_id in planning.ids(connection, rules):
                print(location, run_id)


@app.command()
def run(
    quiet: Annotated[bool, typer.Option("--quiet", help="Say the result only.")] = False,
    compact: Annotated[
        bool, typer.Option("--compact", help="Give disk space back; runs wait meanwhile.")
    ] = False,
) -> None:
    """Remove it now, beside the running stack."""
    with one_line_errors():
        rules = rules_of(os.environ)
        # The stack comes first.
        os.nice(10)
        began = time.monotonic()
        with session() as connection, alone(connection):
            done = removal.remove(connection, rules, _silent if quiet else _Progress())
            sizes = _vacuum(connection, compact)
    console.print(
        f"removed {done.runs:,} runs, the logs of {done.logs:,} more, {done.events:,} events and"
        f" {done.other:,} other rows in {time.monotonic() - began:.0f} s"
    )
    back = sum(before - after for before, after in sizes.values())
    if compact:
        console.print(f"{size(back)} went back to the operating system")
    elif done.runs or done.events:
        console.print(
            f"their space is used for new rows ({size(max(back, 0))} went back to the operating"
            " system; COMPACT=1 gives back all, docs/retention.md)"
        )
    _files("run")


def _files(task: str, ids: Sequence[str] = ()) -> None:
    """Where there is no container for each location, their files are this process's, too."""
    program = os.environ.get("RETENTION_FILES")
    if program:
        command = [sys.executable, program, task]
        subprocess.run(command, input="\n".join(ids), text=True, check=False)


def _vacuum(connection: object, full: bool) -> dict[str, tuple[int, int]]:
    import psycopg2

    try:
        return removal.vacuum(connection, full)
    except psycopg2.errors.LockNotAvailable as error:
        raise StackError(
            f"{str(error).strip().splitlines()[0]}: the tables are in use."
            " What is old was removed. Fix: try COMPACT=1 again when fewer runs are at work"
        ) from None


def _silent(_done: removal.Removed, _total: int) -> None:
    return


class _Progress:
    """A line every few seconds."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, done: removal.Removed, total: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _TELL_S
            console.print(f"{done.runs + done.logs:,} of {total:,} runs, {done.events:,} events")


def _show_rules(rules: Rules) -> None:
    days = f"after {rules.days} days" if rules.days else "at no age"
    runs = f", at most {rules.runs:,} of a job" if rules.runs else ""
    console.print(f"A run goes {days}{runs}; the last {rules.last} of a job stay.")
    for name, own in rules.locations.items():
        console.print(f"{name}: " + ", ".join(f"{kind} {value}" for kind, value in own.items()))


def size(number: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"


if __name__ == "__main__":
    app()
