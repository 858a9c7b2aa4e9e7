"""The command of the service `backup`, and of containers that restore."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from backup import copies, making, offsite
from backup.catalog import Backup, Catalog, parse_time
from backup.errors import BackupError
from backup.results import Results
from backup.service import Schedules
from backup.service import serve as serve_until_ended

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

elsewhere = typer.Typer(no_args_is_help=True, help="Copies of the backups elsewhere, encrypted.")
app.add_typer(elsewhere, name="offsite")

ROOT = Path("/backups")
DATA = Path("/data")

Chosen = Annotated[str, typer.Option("--backup", help="Its id; empty for the newest that fits.")]
At = Annotated[str, typer.Option("--at", help="ISO 8601, in UTC; empty for all that there is.")]
Url = Annotated[str, typer.Option(envvar="BACKUP_REPOSITORY", help="As restic writes it.")]
Keep = Annotated[int, typer.Option(envvar="BACKUP_KEEP", min=1, help="Backups that are kept.")]


@app.command()
def serve(
    schedule: Annotated[str, typer.Option(envvar="BACKUP_SCHEDULE", help="Cron, in UTC.")],
    rehearsal: Annotated[
        str, typer.Option(envvar="BACKUP_REHEARSAL_SCHEDULE", help="Cron, in UTC.")
    ],
    keep: Keep = 7,
) -> None:
    """Receive the write-ahead log, back up and rehearse on schedule, until SIGTERM."""
    with _one_line_errors():
        serve_until_ended(Catalog(ROOT), DATA, keep, Schedules(schedule, rehearsal), say)


@app.command()
def now(keep: Keep = 7) -> None:
    """Make a backup now."""
    catalog = Catalog(ROOT)
    with _one_line_errors(), making.alone(catalog):
        backup = making.back_up(catalog, DATA, keep, say)
        print(json.dumps(_shown(catalog, backup)))


@app.command()
def rehearse() -> None:
    """Restore the newest backup into a server of its own, and read every table."""
    catalog = Catalog(ROOT)
    with _one_line_errors(), making.alone(catalog):
        print(json.dumps(making.rehearse(catalog, say)))


@app.command("list")
def list_backups() -> None:
    """All backups and the last results, as JSON."""
    catalog = Catalog(ROOT)
    backups = [_shown(catalog, backup) for backup in catalog.backups()]
    status = making.status(catalog) | {"offsite": _results().read()}
    print(json.dumps({"backups": backups, "status": status}))


@app.command()
def choose(backup: Chosen = "", at: At = "") -> None:
    """Which backup a restore would take, as JSON; nothing is changed."""
    catalog = Catalog(ROOT)
    with _one_line_errors():
        print(json.dumps(_shown(catalog, _chosen(catalog, backup, at))))


@app.command()
def restore(
    backup: Chosen = "",
    at: At = "",
    aside: Annotated[Path | None, typer.Option(help="Where present data are kept.")] = None,
    new_line: Annotated[
        bool, typer.Option(help="The stack whose backups these are goes on with the result.")
    ] = False,
    check: Annotated[
        bool, typer.Option(help="Look whether it can be done; change nothing.")
    ] = False,
) -> None:
    """Restore into the volumes that are mounted in /data, of a stack that does not run."""
    catalog = Catalog(ROOT)
    with _one_line_errors():
        chosen = _chosen(catalog, backup, at)
        if check:
            making.check_restore(chosen, DATA / "postgres", aside)
            return
        moment = parse_time(at) if at else None
        rows = making.restore(catalog, chosen, moment, DATA, aside, say)
        if new_line:
            catalog.begin_line(datetime.now(UTC))
        print(json.dumps({"tables": len(rows), "rows": sum(rows.values())}))


@app.command()
def put_back(aside: Path) -> None:
    """Undo a restore: the data that were kept aside become Postgres' again."""
    with _one_line_errors():
        making.put_back(Catalog(ROOT), aside, DATA / "postgres", say)


@app.command()
def put_objects(backup: Chosen = "") -> None:
    """Put objects of a backup back that the object store has no more."""
    catalog = Catalog(ROOT)
    with _one_line_errors():
        chosen = _chosen(catalog, backup, "")
        client = making.store(DATA / "secrets")
        if client is not None:
            count = copies.put_objects(client, catalog, catalog.objects_of(chosen.id))
            say(f"Put back {count} objects")


@elsewhere.command("serve")
def serve_offsite(
    every: Annotated[float, typer.Option(envvar="BACKUP_OFFSITE_EVERY_MIN", min=0.01)],
    keep: Annotated[int, typer.Option(envvar="BACKUP_OFFSITE_KEEP_DAYS", min=1)],
    repository: Url = "",
) -> None:
    """Copy all that is here, minute after minute, until SIGTERM."""
    with _one_line_errors():
        place, minutes = offsite.Repository(repository), timedelta(minutes=every)
        offsite.serve(place, Catalog(ROOT), _results(), minutes, keep, say)


@elsewhere.command("open")
def open_offsite(repository: Url = "") -> None:
    """Make the repository, or see whether the new password and keys open the one that is there."""
    with _one_line_errors():
        place = offsite.Repository(repository, offsite.SECRETS / "new")
        new = place.open()
        what = "A new repository" if new else f"It opens: {len(place.copies())} copies are there"
        print(f"{repository}: {what}")


@elsewhere.command("list")
def list_offsite(repository: Url = "") -> None:
    """The copies that are there, a line each, oldest first."""
    with _one_line_errors():
        for each in offsite.Repository(repository).copies():
            print(f"{each['id']}  {datetime.fromisoformat(each['time']):%Y-%m-%d %H:%M:%S} UTC")


@elsewhere.command("fetch")
def fetch_offsite(
    repository: Url = "", copy: Annotated[str, typer.Option(help="An id of the list.")] = "latest"
) -> None:
    """Bring the backups back from a copy, where none is here."""
    with _one_line_errors():
        print(json.dumps(offsite.fetch(offsite.Repository(repository), Catalog(ROOT), copy, say)))


def _results() -> Results:
    return Results(making.SHOWN / "offsite.json")


def _chosen(catalog: Catalog, backup: str, at: str) -> Backup:
    return catalog.choose(backup or None, parse_time(at) if at else None)


def _shown(catalog: Catalog, backup: Backup) -> dict[str, Any]:
    times = {"started": backup.started, "ended": backup.ended, "until": catalog.reaches(backup)}
    return asdict(backup) | {name: time.isoformat() for name, time in times.items()}


def say(text: str) -> None:
    """Progress, for the log."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except BackupError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    app()
