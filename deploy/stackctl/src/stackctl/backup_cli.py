"""Backups of the stack: made, listed, rehearsed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from stackctl.backups import SERVICE, Backups, shown_time
from stackctl.console import out, step
from stackctl.docker import DockerError, docker
from stackctl.errors import StackctlError


def backup() -> None:
    """Make a backup now."""
    with step("Making a backup"):
        made = ask_service("now")
    out.print(f"{made['id']}: {made['size'] / 1e6:,.1f} MB", markup=False)


def ask_service(task: str) -> Any:
    """The answer of a command in the service's own container, as JSON."""
    if not docker("compose", "ps", "--quiet", "--status=running", SERVICE).strip():
        raise StackctlError(
            "the backup service does not run. Fix: COMPOSE_PROFILES=backup in .env, then make up"
        )
    try:
        return json.loads(docker("compose", "exec", "-T", SERVICE, "python", "-m", "backup", task))
    except DockerError as error:
        raise StackctlError(error.reason.removeprefix("error: ")) from None


def list_backups(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    brief: Annotated[bool, typer.Option(help="The last results alone.")] = False,
) -> None:
    """List all backups, what the last one and the last rehearsal came to."""
    found = Backups.load().ask("list")
    if as_json:
        print(json.dumps(found))
        return
    if brief:
        for line in describe(found["status"]):
            out.print(line, markup=False)
        return
    table = Table("Backup", "Leads to", "until", "Size", "Postgres", box=None)
    for each in found["backups"]:
        size = f"{each['size'] / 1e6:,.1f} MB"
        table.add_row(
            each["id"], shown_time(each["ended"]), shown_time(each["until"]), size, each["postgres"]
        )
    out.print(table if found["backups"] else "there is no backup yet. Fix: make backup")
    for line in describe(found["status"]):
        out.print(line, markup=False)


def describe(status: dict[str, Any]) -> list[str]:
    """The last results, one line each."""
    lines = []
    if good := status.get("last_success"):
        lines.append(f"last backup: {good['id']}, {good['seconds']:g} s, {_age(good['ended'])}")
    if bad := status.get("last_failure"):
        lines.append(f"FAILED: backup of {shown_time(bad['time'])}: {bad['error']}")
    if rehearsal := status.get("rehearsal"):
        what = (
            f"{rehearsal['tables']} tables, {rehearsal['rows']:,} rows"
            if rehearsal["ok"]
            else f"FAILED: {rehearsal['error']}"
        )
        lines.append(
            f"last rehearsed restore: {rehearsal['backup']}, {what},"
            f" {rehearsal['seconds']:g} s, {_age(rehearsal['time'])}"
        )
    else:
        lines.append("no restore was rehearsed yet")
    return lines + _describe_offsite(status.get("offsite", {}))


def _describe_offsite(results: dict[str, Any]) -> list[str]:
    lines = []
    if good := results.get("success"):
        lines.append(
            f"last copy elsewhere: {good['id']}, {good['added'] / 1e6:,.1f} MB added,"
            f" {good['seconds']:g} s, {_age(good['time'])}"
        )
    if bad := results.get("failure"):
        lines.append(f"FAILED: copies elsewhere since {shown_time(bad['since'])}: {bad['error']}")
    if (check := results.get("check")) and check["error"]:
        lines.append(f"FAILED: check of the copies elsewhere: {check['error']}")
    return lines


def rehearse() -> None:
    """Restore the newest backup into a server of its own, and read every table."""
    with step("Rehearsing a restore"):
        found = ask_service("rehearse")
    out.print(
        f"{found['backup']} was restored: {found['tables']} tables, {found['rows']:,} rows,"
        f" {found['seconds']:g} s",
        markup=False,
    )


def fetch(copy: Annotated[str, typer.Option(help="An id; empty for the newest.")] = "") -> None:
    """Bring the backups back from the repository elsewhere, to a folder that has none."""
    with step("Fetching the backups"):
        count = Backups.load().fetch(copy or "latest")
    out.print(f"Backups here now: {count}. To restore the newest: make restore")


def _age(time: str) -> str:
    seconds = (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()
    if seconds < 5400:
        return f"{seconds / 60:.0f} min ago"
    return f"{seconds / 3600:.0f} h ago" if seconds < 172800 else f"{seconds / 86400:.0f} days ago"
