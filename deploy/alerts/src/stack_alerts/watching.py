"""One look after the other: conditions become incidents, incidents become messages."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2

from stack_alerts import conditions
from stack_alerts.channels import Channels
from stack_alerts.conditions import Condition, PrometheusError
from stack_alerts.database import Database
from stack_alerts.files import Files, Places
from stack_alerts.messages import MOST, WINDOW, Incident, Message, at_least, plan
from stack_alerts.outage import Outage
from stack_alerts.settings import SettingsError

EVERY_S = 15.0
# A condition that was gone for less is the same incident when it comes back: Prometheus forgets
# what fires when it restarts.
CALM = timedelta(seconds=60)
_PROMETHEUS_AWAY_S = 120.0
_KEPT = timedelta(days=90)
_COLUMNS = ", ".join(field.name for field in fields(Incident))


@dataclass
class Watch:
    """Looks at everything. ``url`` is the UI's, for links."""

    database: Database
    places: Places
    channels: Channels
    prometheus: str
    url: str
    outage: Outage
    say: Callable[[str], None]
    every_s: float = EVERY_S
    calm: timedelta = CALM
    files: Files | None = None
    problem: str = ""
    silent_since: float | None = None
    answering_since: float | None = None

    def start(self) -> None:
        """Read the files. Raises SettingsError for the stack's own."""
        self.files = self.places.load(self.channels.names())

    def look(self) -> None:
        """Once; when Postgres is away or of no use, that alone is told, and by other means."""
        files = self._read_files()
        found, pending, is_known = self._ask_prometheus(files)
        try:
            with self.database.transaction() as cursor:
                self.outage.end(cursor)
                self._record(cursor, files, found, pending, is_known)
            self.outage.forget()
        except psycopg2.Error as error:
            self.outage.go_on(error, files.stack)

    def _read_files(self) -> Files:
        """The last good ones, where the stack's own is broken now."""
        try:
            self.files, self.problem = self.places.load(self.channels.names()), ""
        except (SettingsError, OSError) as error:
            self.problem = str(error)
        assert self.files is not None  # noqa: S101 - start() has read them
        return self.files

    def _ask_prometheus(self, files: Files) -> tuple[list[dict[str, Any]], list[Condition], bool]:
        """Its alerts; our own conditions; and whether what it does not say is over."""
        own = list(conditions.of_problems(files))
        if self.problem:
            title = "deploy/alerts/alerts.yaml is not used; the last good one is"
            own.append(Condition("AlertsFile", "AlertsFile", title, cause=self.problem))
        now = time.monotonic()
        try:
            alerts = conditions.ask(self.prometheus)
        except PrometheusError as error:
            self.answering_since = None
            self.silent_since = self.silent_since if self.silent_since is not None else now
            if now - self.silent_since >= _PROMETHEUS_AWAY_S:
                title = "Prometheus does not answer, so nobody is told what its rules see"
                fix = "docker compose ps prometheus; docker compose logs --tail=50 prometheus"
                away = Condition("PrometheusAway", "PrometheusAway", title, "critical", fix=fix)
                own.append(replace(away, cause=str(error)))
            return [], own, False
        self.silent_since = None
        self.answering_since = self.answering_since if self.answering_since is not None else now
        return alerts, own, now - self.answering_since >= self.calm.total_seconds()

    def _record(
        self,
        cursor: Any,
        files: Files,
        alerts: list[dict[str, Any]],
        own: list[Condition],
        is_known: bool,
    ) -> None:
        now = datetime.now(UTC)
        cursor.execute("SELECT asset, location FROM alerts.asset_location")
        assets = {row["asset"]: row["location"] for row in cursor.fetchall()}
        firing, pending = conditions.of_alerts(alerts, assets)
        cursor.execute("SELECT * FROM alerts.running_run")
        own += conditions.of_long_runs(cursor.fetchall(), files)
        seen = [each for each in (*firing, *own) if self._is_wanted(files, each)]
        for each in seen:
            self._open(cursor, files, each, now)
        keys = [*(each.key for each in seen), *pending]
        cursor.execute(
            "UPDATE alerts.incident SET seen_at = %s WHERE closed_at IS NULL AND key = ANY (%s)",
            (now, keys),
        )
        ours = ["RunLong", "AlertsFile", "PrometheusAway"]
        cursor.execute(
            "UPDATE alerts.incident SET closed_at = %s WHERE closed_at IS NULL"
            " AND name <> 'RunFailed' AND NOT key = ANY (%s) AND seen_at <= %s"
            " AND (%s OR name = ANY (%s))"
            # Away, Prometheus says nothing of itself either.
            " AND (name <> 'PrometheusAway' OR %s)",
            (now, keys, now - self.calm, is_known, ours, self.silent_since is None),
        )
        self._failed_runs(cursor, files)
        self._tell(cursor, files, now)
        cursor.execute("DELETE FROM alerts.incident WHERE closed_at < %s", (now - _KEPT,))
        cursor.execute("DELETE FROM alerts.told_run WHERE told_at < %s", (now - _KEPT,))
        cursor.execute("DELETE FROM alerts.message WHERE created_at < %s", (now - _KEPT / 10,))

    def _is_wanted(self, files: Files, condition: Condition) -> bool:
        settings = files.of(files.audience(condition.location))
        return settings.wants(condition.name, condition.job, condition.asset)

    def _open(
        self, cursor: Any, files: Files, condition: Condition, now: datetime, *, again: int = 0
    ) -> None:
        """A new incident, or the one that is open, ``again`` more times."""
        rule = files.of(files.audience(condition.location)).rule(condition.name)
        severity = rule.severity if rule and rule.severity else condition.severity
        cursor.execute(
            "INSERT INTO alerts.incident AS open (key, name, location, job, severity, title, cause,"
            " fix, link, opened_at, seen_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (key) WHERE closed_at IS NULL DO UPDATE SET"
            " cause = excluded.cause, link = excluded.link, fix = excluded.fix,"
            " count = open.count + %s, seen_at = greatest(open.seen_at, excluded.seen_at)",
            (
                *(condition.key, condition.name, condition.location, condition.job, severity),
                *(_clean(condition.title), _clean(condition.cause), _clean(condition.fix)),
                *(f"{self.url}{condition.path}", now, now, again),
            ),
        )

    def _failed_runs(self, cursor: Any, files: Files) -> None:
        # Failures of before its first start are nobody's news.
        cursor.execute("INSERT INTO alerts.service DEFAULT VALUES ON CONFLICT DO NOTHING")
        cursor.execute("SELECT *, alerts.cause(run_id) AS cause FROM alerts.failed_run")
        rows = cursor.fetchall()
        cursor.execute("SELECT extract(epoch FROM began_at)::float AS began_s FROM alerts.service")
        began_s = cursor.fetchone()["began_s"]
        for row in rows:
            cursor.execute(
                "INSERT INTO alerts.told_run (run_id) VALUES (%s) ON CONFLICT DO NOTHING",
                (row["run_id"],),
            )
            failed = conditions.of_failed_run(row)
            if row["ended_s"] >= began_s and self._is_wanted(files, failed):
                ended = datetime.fromtimestamp(row["ended_s"], UTC)
                self._open(cursor, files, failed, ended, again=1)
        cursor.execute(
            "UPDATE alerts.incident SET closed_at = now() WHERE closed_at IS NULL"
            " AND name = 'RunFailed' AND alerts.has_succeeded(location, job, seen_at)"
        )

    def _tell(self, cursor: Any, files: Files, now: datetime) -> None:
        cursor.execute(
            f"SELECT {_COLUMNS} FROM alerts.incident WHERE announced_at IS NULL"
            " OR closed_at IS NULL OR end_told_at IS NULL ORDER BY id"
        )
        waiting: dict[str, list[Incident]] = defaultdict(list)
        for row in cursor.fetchall():
            incident = Incident(**row)
            audience = files.audience(incident.location)
            if self._asks(files, audience, incident, now):
                waiting[audience].append(incident)
        names = self.channels.names()
        for audience, untold in waiting.items():
            settings = files.of(audience)
            stored = names.get(audience, [])
            wanted = stored if settings.channels is None else settings.channels
            # Without any channel, incidents wait for one.
            if wanted:
                sent = _sent(cursor, audience, now)
                messages = plan(audience, settings, untold, sent, now)
                _put(cursor, audience, wanted, messages, now)

    def _asks(self, files: Files, audience: str, incident: Incident, now: datetime) -> bool:
        settings = files.of(audience)
        if not at_least(incident.severity, settings.severity):
            return False
        if incident.announced_at is None or incident.closed_at:
            return True
        last = incident.reminded_at or incident.announced_at
        return now - last >= timedelta(hours=settings.reminder_hours)


def _sent(cursor: Any, audience: str, now: datetime) -> int:
    cursor.execute(
        "SELECT coalesce(max(messages), 0) AS most FROM (SELECT count(*) AS messages"
        " FROM alerts.message WHERE location = %s AND created_at > %s GROUP BY channel) AS each",
        (audience, now - WINDOW),
    )
    return min(int(cursor.fetchone()["most"]), MOST)


def _put(
    cursor: Any, audience: str, names: Iterable[str], messages: Sequence[Message], now: datetime
) -> None:
    """Into the outbox, in the transaction that marks the incidents as told."""
    for message in messages:
        for name in names:
            cursor.execute(
                "INSERT INTO alerts.message (location, channel, kind, title, body, created_at)"
                " VALUES (%s, %s, %s, %s, %s, %s)",
                (audience, name, message.kind, message.title, message.body, now),
            )
        ids = [incident.id for incident in message.incidents]
        cursor.execute(
            "UPDATE alerts.incident SET reminded_at = CASE WHEN announced_at IS NULL THEN NULL"
            " ELSE %s END, announced_at = coalesce(announced_at, %s),"
            " end_told_at = CASE WHEN closed_at IS NULL THEN NULL ELSE %s END"
            " WHERE id = ANY (%s)",
            (now, now, now, ids),
        )


def _clean(text: str) -> str:
    # Postgres' text cannot hold it.
    return text.replace("\x00", "")
