"""Sessions of the control plane's role in Dagster's database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2

from control_plane.errors import StackError

# Of advisory locks in this database: retention takes this one.
_LOCK = 2_600_026


@contextmanager
def session(environment: Any = os.environ) -> Iterator[Any]:
    """A connection by DAGSTER_POSTGRES_*, closed at the end. Raises StackError."""
    try:
        connection = psycopg2.connect(
            host=environment["DAGSTER_POSTGRES_HOST"],
            port=environment["DAGSTER_POSTGRES_PORT"],
            dbname=environment["DAGSTER_POSTGRES_DB"],
            user=environment["DAGSTER_POSTGRES_USER"],
            password=environment["DAGSTER_POSTGRES_PASSWORD"],
            connect_timeout=5,
            application_name="retention",
            keepalives_idle=10,
        )
    except KeyError as error:
        raise StackError(
            f"{error.args[0]} is not set. Fix: run this as make retention does"
        ) from None
    except psycopg2.OperationalError as error:
        raise StackError(f"Postgres: {str(error).strip().splitlines()[-1]}") from None
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def alone(connection: Any) -> Iterator[None]:
    """Hold the lock of retention; Postgres gives it back when the session ends, however it ends.

    Raises StackError when another session has it.
    """
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,))
        if cursor.fetchone() != (True,):
            raise StackError(
                "another retention is at work. Fix: wait until it has ended; the daemon's log"
                " says when it began"
            )
    yield
