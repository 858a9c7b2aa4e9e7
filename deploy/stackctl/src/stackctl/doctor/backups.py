"""Checks of backups, which the service `backup` makes (docs/backup.md)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from stackctl.doctor.facts import Facts
from stackctl.doctor.finding import Finding, check, error, ok, warning

GROUP = "Services"
_SERVICE = "backup"
_LATE = timedelta(days=2)


@check("backups", GROUP)
def backups(facts: Facts) -> Iterator[Finding]:
    """Backups are made, are young enough, and were restored on trial."""
    if _SERVICE not in facts.stack.config["services"]:
        yield warning("no backups are made", "COMPOSE_PROFILES=backup in .env; make up")
        return
    listed = json.loads(facts.inside(_SERVICE, "python", "-m", "backup", "list"))
    yield from results(listed, datetime.now(UTC))


def results(listed: Mapping[str, Any], now: datetime) -> Iterator[Finding]:
    """What is wrong with the backups of `backup list`."""
    status = listed["status"]
    good, bad, trial = (status.get(key) for key in ("last_success", "last_failure", "rehearsal"))
    ends = sorted(datetime.fromisoformat(one["ended"]) for one in listed["backups"])
    # A schedule by week, as the last two show it, is not late after two days.
    between = ends[-1] - ends[-2] if len(ends) > 1 else timedelta()
    found = []
    if bad and not (good and good["ended"] > bad["time"]):
        found.append(error(f"the backup of {bad['time']} failed: {bad['error']}", "make backup"))
    if not ends:
        found.append(warning("there is no backup yet", "make backup"))
    elif now - ends[-1] > max(_LATE, 2 * between):
        found.append(error(f"the newest backup is of {ends[-1]:%Y-%m-%d %H:%M} UTC", "make backup"))
    if trial and not trial["ok"]:
        found.append(
            error(
                f"backup {trial['backup']} could not be restored on trial: {trial['error']}",
                "make restore-rehearse",
            )
        )
    elsewhere = status.get("offsite") or {}
    if failing := elsewhere.get("failure"):
        found.append(
            error(
                f"they are not copied elsewhere since {failing['since'][:16]}: {failing['error']}",
                "docker compose logs --tail=50 backup_offsite",
            )
        )
    if (check := elsewhere.get("check")) and check["error"]:
        found.append(
            error(f"the check of the copies elsewhere failed: {check['error']}", "make backups")
        )
    yield from found
    if not found:
        tried = "" if trial else "; no restore was rehearsed yet"
        yield ok(f"{len(ends)}, the newest of {ends[-1]:%Y-%m-%d %H:%M} UTC{tried}")
