"""That Postgres is away: the one incident that the outbox in Postgres cannot hold.

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

from stack_alerts.channels import Channels
from stack_alerts.sending import REPEATED, pause
from stack_alerts.settings import STACK, Settings

# A restart of Postgres takes less.
AWAY = timedelta(seconds=60)
_TITLE = "Postgres does not answer. Nothing of Dagster works, and no other alert can be told"
_FIX = "docker compose ps postgres; docker compose logs --tail=50 postgres"


@dataclass
class Outage:
    """``file`` is on a volume that outlives the container."""

    file: Path
    channels: Channels
    say: Callable[[str], None]
    url: str
    after: timedelta = AWAY

    def __post_init__(self) -> None:
        """Take up what a former process left."""
        try:
            self._state: dict[str, Any] = json.loads(self.file.read_text())
        except (OSError, ValueError):
            self._state = {}

    def go_on(self, error: str, settings: Settings) -> None:
        """Postgres failed once more: tell people when it is time, each channel once."""
        now = datetime.now(UTC)
        if not self._state:
            self._state = {"since": now.isoformat(), "channels": {}}
            self.say(f"Postgres is away: {_line(error)}")
        since = datetime.fromisoformat(self._state["since"])
        if now - since < self.after:
            return
        wanted = settings.channels
        for name in self.channels.names().get(STACK, []) if wanted is None else wanted:
            self._tell(name, since, error, settings, now)

    def _tell(
        self, name: str, since: datetime, error: str, settings: Settings, now: datetime
    ) -> None:
        state = self._state["channels"].setdefault(name, {"state": "new", "failures": 0, "due": ""})
        if state["state"] == "sent" or state["due"] > now.isoformat():
            return
        mark = REPEATED if state["state"] == "claimed" else ""
        body = (
            f"PostgresAway, since {since:%Y-%m-%d %H:%M} UTC\nOwner: {settings.owner}\n"
            f"Cause: {_line(error)}\nFix: {_FIX}\n{self.url}"
        )
        state["state"] = "claimed"
        self._save()
        title = f"{mark}CRITICAL the stack: {_TITLE}"
        failure = self.channels.send(STACK, name, "down", title, body)
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
        cursor.execute(
            "INSERT INTO alerts.incident (key, name, location, job, severity, title, cause, fix,"
            " link, opened_at, seen_at, closed_at, announced_at) VALUES ('PostgresAway',"
            " 'PostgresAway', '', '', 'critical', %s, '', %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (key, opened_at) DO NOTHING",
            (_TITLE, _FIX, self.url, since, now, now, since),
        )

    def forget(self) -> None:
        """After that was committed."""
        if self._state:
            self.say("Postgres is back")
            self._state = {}
            self.file.unlink(missing_ok=True)


def _line(error: str) -> str:
    return (error.strip() or "no reason given").splitlines()[0][:300]
