"""That Postgres is away or of no use: the one incident that the outbox in Postgres cannot hold.

A file takes its place. It says since when, and of each channel whether its message is about to be
sent or was. When Postgres is back, the incident is recorded there as ended and told of; its end
goes the usual way. The file is deleted after that commit, and no incident is recorded twice.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2

from stack_alerts.channels import Channels
from stack_alerts.sending import REPEATED, pause
from stack_alerts.settings import STACK, Settings

# A restart of Postgres takes less.
AFTER = timedelta(seconds=60)
_AWAY = (
    "Postgres does not answer. Nothing of Dagster works, and no other alert can be told",
    "docker compose ps postgres; docker compose logs --tail=50 postgres",
)
_REFUSES = (
    "Postgres refuses what alerts asks of it, so no other alert can be told",
    "docker compose up -d migrate; docker compose logs --tail=50 alerts",
)


@dataclass
class Outage:
    """``file`` is on a volume that outlives the container."""

    file: Path
    channels: Channels
    say: Callable[[str], None]
    url: str
    after: timedelta = AFTER

    def __post_init__(self) -> None:
        """Take up what a former process left."""
        try:
            self._state: dict[str, Any] = json.loads(self.file.read_text())
        except (OSError, ValueError):
            self._state = {}

    def go_on(self, error: psycopg2.Error, settings: Settings) -> None:
        """Postgres failed once more: tell people when it is time, each channel once."""
        now = datetime.now(UTC)
        if not self._state:
            self._state = {"since": now.isoformat(), "channels": {}}
            self.say(f"{_what(error)[0]}: {_line(error)}")
        since = datetime.fromisoformat(self._state["since"])
        if now - since < self.after:
            return
        wanted = settings.channels
        for name in self.channels.names().get(STACK, []) if wanted is None else wanted:
            self._tell(name, since, error, settings, now)

    def _tell(
        self, name: str, since: datetime, error: psycopg2.Error, settings: Settings, now: datetime
    ) -> None:
        state = self._state["channels"].setdefault(name, {"state": "new", "failures": 0, "due": ""})
        if state["state"] == "sent" or state["due"] > now.isoformat():
            return
        mark = REPEATED if state["state"] == "claimed" else ""
        # What the first channel is told is what the incident is called.
        title, fix = self._state.setdefault("told", _what(error))
        body = (
            f"PostgresAway, since {since:%Y-%m-%d %H:%M} UTC\nOwner: {settings.owner}\n"
            f"Cause: {_line(error)}\nFix: {fix}\n{self.url}"
        )
        state["state"] = "claimed"
        self._save()
        subject = f"{mark}CRITICAL the stack: {title}"
        failure = self.channels.send(STACK, name, "down", subject, body)
        state["state"] = "new" if failure else "sent"
        if failure:
            state["failures"] += 1
            state["due"] = (now + pause(state["failures"])).isoformat()
            self.say(f"channel {name} of the stack failed: {failure}")
        self._save()

    def _save(self) -> None:
        new = self.file.with_suffix(".new")
        with new.open("w") as file:
            json.dump(self._state, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.file)

    def end(self, cursor: Any) -> None:
        """Within the first transaction that works again: record it, if anybody was told."""
        states = [each["state"] for each in self._state.get("channels", {}).values()]
        if not {"sent", "claimed"} & set(states):
            return
        since, now = self._state["since"], datetime.now(UTC)
        # A former release's file does not say what it told.
        title, fix = self._state.get("told", _AWAY)
        cursor.execute(
            "INSERT INTO alerts.incident (key, name, location, job, severity, title, cause, fix,"
            " link, opened_at, seen_at, closed_at, announced_at) VALUES ('PostgresAway',"
            " 'PostgresAway', '', '', 'critical', %s, '', %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (key, opened_at) DO NOTHING",
            (title, fix, self.url, since, now, now, since),
        )

    def forget(self) -> None:
        """After that was committed."""
        if self._state:
            self.say("Postgres answers again")
            self._state = {}
            self.file.unlink(missing_ok=True)


def _what(error: psycopg2.Error) -> tuple[str, str]:
    """Title and fix. A lost connection, a timeout, a full disk: the server's. The rest is ours."""
    away = isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError))
    return _AWAY if away else _REFUSES


def _line(error: psycopg2.Error) -> str:
    return (str(error).strip() or "no reason given").splitlines()[0][:300]
