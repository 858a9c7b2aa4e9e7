"""The outbox: at least once, and marked where a message may come a second time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tenacity import RetryCallState, Retrying, wait_exponential

from stack_alerts.channels import Channels, shown
from stack_alerts.database import Database

REPEATED = "(possibly repeated) "
_BACKOFF = wait_exponential(multiplier=10, max=1800)


def pause(failures: int) -> timedelta:
    """How long a channel rests after so many failures in a row: from 10 seconds to half an hour."""
    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = failures
    return timedelta(seconds=_BACKOFF(state))


@dataclass
class Sender:
    """Sends the oldest message of each channel, then the next. A channel that fails rests alone."""

    database: Database
    channels: Channels
    say: Callable[[str], None]
    # Of the last call, if Postgres was away before it could be recorded.
    unrecorded: tuple[dict[str, Any], str] | None = None

    def round(self) -> bool:
        """One message of each channel that is due. Whether there were any."""
        self._finish()
        with self.database.transaction() as cursor:
            cursor.execute(
                "SELECT DISTINCT ON (message.location, message.channel) message.*"
                " FROM alerts.message LEFT JOIN alerts.channel AS channel"
                " ON channel.location = message.location AND channel.name = message.channel"
                " WHERE sent_at IS NULL AND coalesce(channel.due_at <= now(), true)"
                " ORDER BY message.location, message.channel, message.id"
            )
            due = cursor.fetchall()
        for message in due:
            self._send(message)
        return bool(due)

    def _send(self, message: dict[str, Any]) -> None:
        # A claim without a result is of a process that ended within the call.
        mark = REPEATED if message["claimed_at"] else ""
        with self.database.transaction() as cursor:
            cursor.execute(
                "UPDATE alerts.message SET claimed_at = now() WHERE id = %s", (message["id"],)
            )
        failure = self.channels.send(
            *(message["location"], message["channel"], message["kind"]),
            *(f"{mark}{message['title']}", message["body"]),
        )
        self.unrecorded = (message, failure)
        self._finish()

    def _finish(self) -> None:
        """Record the result of the last call; until that works, no other one is made."""
        if self.unrecorded is None:
            return
        message, failure = self.unrecorded
        with self.database.transaction() as cursor:
            _record(cursor, message, failure)
        self.unrecorded = None
        if failure:
            where = f"channel {message['channel']} of {shown(message['location'])}"
            self.say(f"{where} failed: {failure}")


def _record(cursor: Any, message: dict[str, Any], failure: str) -> None:
    if not failure:
        cursor.execute("UPDATE alerts.message SET sent_at = now() WHERE id = %s", (message["id"],))
    else:
        cursor.execute(
            "UPDATE alerts.message SET claimed_at = NULL WHERE id = %s", (message["id"],)
        )
    cursor.execute(
        "INSERT INTO alerts.channel AS known (location, name, failures, failing_since, error)"
        " VALUES (%s, %s, %s, CASE WHEN %s THEN now() END, %s) ON CONFLICT (location, name)"
        " DO UPDATE SET failures = CASE WHEN %s THEN known.failures + 1 ELSE 0 END,"
        " error = excluded.error,"
        " failing_since = CASE WHEN %s THEN coalesce(known.failing_since, now()) END"
        " RETURNING failures",
        (
            *(message["location"], message["channel"], int(bool(failure)), bool(failure), failure),
            *(bool(failure), bool(failure)),
        ),
    )
    failures = cursor.fetchone()["failures"]
    cursor.execute(
        "UPDATE alerts.channel SET due_at = now() + %s WHERE location = %s AND name = %s",
        (pause(failures) if failures else timedelta(0), message["location"], message["channel"]),
    )


def failing(cursor: Any) -> list[dict[str, Any]]:
    """Channels whose last message failed."""
    cursor.execute("SELECT * FROM alerts.channel WHERE failures > 0 ORDER BY location, name")
    rows: list[dict[str, Any]] = cursor.fetchall()
    return rows
