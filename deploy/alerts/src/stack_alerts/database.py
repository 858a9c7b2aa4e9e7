"""Connections to Dagster's database that never wait for long."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import extensions
from psycopg2.extras import RealDictCursor

ANSWER_S = 10.0
_OPTIONS = "-c statement_timeout=8000 -c lock_timeout=3000 -c jit=off -c timezone=UTC"


def _wait(connection: Any) -> None:
    """Instead of libpq's own waiting, which a server that stands still can hold up for good."""
    while (state := connection.poll()) != extensions.POLL_OK:
        reads = [connection.fileno()] if state == extensions.POLL_READ else []
        writes = [connection.fileno()] if state == extensions.POLL_WRITE else []
        if not any(select.select(reads, writes, [], ANSWER_S)):
            # psycopg2 then closes the connection.
            raise psycopg2.OperationalError(f"Postgres has not answered for {ANSWER_S:g} s")


extensions.set_wait_callback(_wait)


class Database:
    """Used by one thread. The password is read for each connection, so that it may change."""

    def __init__(self, password: Path) -> None:
        self._password = password
        self._connection: Any = None

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """A cursor whose rows are dicts. Raises psycopg2.Error; the next one connects again."""
        try:
            if self._connection is None:
                self._connection = self._connect()
            with self._connection.cursor(cursor_factory=RealDictCursor) as cursor:
                yield cursor
            self._connection.commit()
        except BaseException:
            # That ends the transaction, too, and never waits for an answer.
            self.close()
            raise

    def close(self) -> None:
        """End the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connect(self) -> Any:
        try:
            password = self._password.read_text().strip()
        except OSError as error:
            raise psycopg2.OperationalError(f"{self._password}: {error.strerror}") from None
        return psycopg2.connect(
            host=os.environ.get("DAGSTER_POSTGRES_HOST", "postgres"),
            port=os.environ.get("DAGSTER_POSTGRES_PORT", "5432"),
            dbname=os.environ.get("DAGSTER_POSTGRES_DB", "dagster"),
            user="dagster_alerts",
            password=password,
            application_name="alerts",
            options=_OPTIONS,
        )
