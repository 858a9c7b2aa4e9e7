"""A connection to Dagster's database that never waits for long, and is reopened when it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg2
from psycopg2.extras import RealDictCursor

from stack_exporter.series import Row

_OPTIONS = (
    "-c default_transaction_read_only=on -c statement_timeout=5000 -c lock_timeout=1000"
    # Plans for a few rows; compiling them costs more than running them.
    " -c jit=off -c max_parallel_workers_per_gather=0 -c timezone=UTC"
)


class Database:
    """Asked by one thread. ``password`` is read for each connection, so that it may change."""

    def __init__(
        self, host: str, port: int, name: str, user: str, password: Callable[[], str]
    ) -> None:
        self._where: dict[str, Any] = {"host": host, "port": port, "dbname": name, "user": user}
        self._password = password
        self._connection: Any = None

    def ask(self, sql: str, *values: Any) -> list[Row]:
        """All rows of a query. Raises psycopg2.Error; the next call connects again."""
        try:
            if self._connection is None:
                self._connection = self._connect()
            with self._connection.cursor(cursor_factory=RealDictCursor) as cursor:
                cursor.execute(sql, values or None)
                rows: list[Row] = cursor.fetchall()
                return rows
        except psycopg2.Error:
            self.close()
            raise

    def _connect(self) -> Any:
        connection = psycopg2.connect(
            **self._where,
            password=self._password(),
            application_name="metrics exporter",
            connect_timeout=5,
            options=_OPTIONS,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=10_000,
        )
        connection.autocommit = True
        return connection

    def close(self) -> None:
        """End the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
