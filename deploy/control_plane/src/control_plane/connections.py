"""Database connections of a process that lives for months."""

from __future__ import annotations

from typing import Any

from dagster import DagsterInstance
from sqlalchemy import event, exc

from control_plane.internals.daemon import connects_of

_RECYCLE_S = 3600
_MAX_OVERFLOW = 20


def keep_connections(instance: DagsterInstance) -> None:
    """Let the instance keep its database connections, and check each before it is used.

    By default Dagster opens one for every query, which costs both sides more than the query.
    """
    instance.optimize_for_webserver(0, _RECYCLE_S, _MAX_OVERFLOW)
    for connect in connects_of(instance):
        with connect() as connection:
            event.listen(connection.engine, "checkout", _check)


def _check(connection: Any, _record: Any, _proxy: Any) -> None:
    """After a restart of the database a kept connection is dead: SQLAlchemy then opens another."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except connection.OperationalError as error:
        raise exc.DisconnectionError from error
