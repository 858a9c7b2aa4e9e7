"""Tells the queue that a run has come, with no query while none does."""

from __future__ import annotations

import select
from typing import Any

import psycopg2
from dagster import DagsterInstance
from psycopg2.extensions import connection as Connection

CHANNEL = "queued_runs"
"""Where Dagster's database says that a run was queued: deploy/postgres/dagster/2_runs.sql."""

# A database that has vanished without a word is noticed within half a minute.
_OPTIONS: dict[str, Any] = {
    "application_name": "queue-signal",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}


class QueueSignal:
    """Listens by a connection of its own, which is made with the first wait and after a loss."""

    def __init__(self, postgres_url: str) -> None:
        self._url = postgres_url
        self._connection: Connection | None = None

    @classmethod
    def of(cls, instance: DagsterInstance) -> QueueSignal | None:
        """None where runs are not kept in a Postgres, as in unit tests."""
        url = getattr(instance.run_storage, "postgres_url", None)
        return cls(url) if url else None

    def wait(self, seconds: float) -> bool:
        """Whether a run may have come: at once when one has, False after ``seconds``.

        Raises psycopg2.Error while the database is away.
        """
        if self._connection is None:
            self._connection = self._listen()
            # What came before is not told.
            return True
        try:
            if not select.select([self._connection], [], [], seconds)[0]:
                return False
            self._connection.poll()
        except psycopg2.Error:
            self._connection.close()
            self._connection = None
            raise
        self._connection.notifies.clear()
        return True

    def _listen(self) -> Connection:
        made: Connection = psycopg2.connect(self._url, **_OPTIONS)
        try:
            made.autocommit = True
            with made.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
        except psycopg2.Error:
            made.close()
            raise
        return made
