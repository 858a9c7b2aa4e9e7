"""Loads a source into a raw table, whole or not at all."""

import datetime
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psycopg2
from psycopg2 import errors, sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from elt.ddl import (
    add_key,
    conform,
    conforms,
    describe,
    exists,
    fill,
    make,
    names,
    table_columns,
)
from elt.errors import BadInput, WarehouseError
from elt.merging import Merge, Missing, Window
from elt.sources import CopySource
from elt.staging import copy, reason
from elt.tables import Table
from elt.versions import version

__all__ = ["LoadResult", "Window", "load"]

PREVIEW_ROWS = 5


@dataclass(frozen=True)
class LoadResult:
    """What a load did: counts of rows, and the bytes that were read.

    `rows` were taken from the source; of these `inserted` are new and `updated` differ from what
    was there. `rejected` rows are bad, and `outside` ones not in the window: neither is taken.
    `deleted` and `marked` are the table's rows that the source no longer has.

    `days`, of a table with a day column, has each UTC day of which a row was inserted, updated or
    deleted, and how many rows the table has of it now. `added_columns` came with this load and
    are declared nowhere. `digest` is another one whenever the table's content has `changed`.
    `preview` holds the first rows of the table afterwards, with the declared columns.
    """

    rows: int
    inserted: int
    updated: int
    deleted: int
    bytes_read: int
    preview: list[tuple[Any, ...]]
    rejected: int = 0
    outside: int = 0
    marked: int = 0
    days: dict[datetime.date, int] = field(default_factory=dict)
    added_columns: tuple[str, ...] = ()
    changed: bool = False
    digest: str = ""


def load(
    connection: Connection,
    schema: str,
    table: Table,
    open_source: Callable[[], AbstractContextManager[CopySource]],
    *,
    missing: Missing,
    window: Window | None = None,
    lock_timeout_s: int = 600,
) -> LoadResult:
    """Merge a source into `schema.table` by primary key, in a transaction of its own.

    Rows that are already there unchanged are not touched, so a rerun writes nothing. What becomes
    of rows that the source does not have says `missing`: they are kept, or deleted (the table
    becomes the source), or get the time in `missing_since`, which a row that returns loses again.
    With a `window`, all this goes for the rows whose day column is within it, and the source's
    other rows are left out.

    Readers are never blocked, and see all old rows or all new ones, whatever their isolation
    level; that is why rows are merged rather than the table truncated or swapped, and it also
    lets views depend on the table. Only a load that changes the table's columns makes them wait.

    Commits at the end, and nothing before: after a failure the caller rolls back, or loses the
    connection, and all is as it was. Raises BadInput for what is wrong with the source,
    WarehouseError for what the warehouse refused.
    """
    if missing == "mark" and not table.marks_missing:
        raise ValueError(f"{table.name} is declared without marks_missing")
    if window and not table.day_column:
        raise ValueError(f"{table.name} is declared without day_column, so has no window")
    attempt = partial(
        _load, connection, schema, table, open_source, missing, window, lock_timeout_s
    )
    try:
        try:
            return attempt(key_first=False)
        except errors.UniqueViolation:
            # A key checked after COPY is fast, and one checked row by row knows the line.
            connection.rollback()
            return attempt(key_first=True)
    except psycopg2.Error as error:
        raise WarehouseError(f"{schema}.{table.name}: {reason(error)}") from None


def _load(
    connection: Connection,
    schema: str,
    table: Table,
    open_source: Callable[[], AbstractContextManager[CopySource]],
    missing: Missing,
    window: Window | None,
    lock_timeout_s: int,
    *,
    key_first: bool,
) -> LoadResult:
    target = sql.Identifier(schema, table.name)
    # Not a temporary table: those need a right of their own on the database. It lives and dies
    # within the transaction, so nobody else ever sees it and no crash leaves it behind.
    staging = sql.Identifier(schema, f"{table.name}__staging")
    with connection.cursor() as cursor:
        # The lock comes before the file is opened: of two loads at once, the one that commits
        # last has also read last.
        _begin(cursor, f"{schema}.{table.name}", lock_timeout_s)
        with open_source() as source:
            direct = not window and not key_first and _is_empty(cursor, target, table)
            if direct:
                rows = _fill_directly(cursor, target, table, source)
            else:
                make(cursor, staging, table.columns, unlogged=True)
                if key_first:
                    cursor.execute(add_key(staging, table))
                rows = copy(cursor, staging, source)
            bytes_read = source.bytes_read
            if rows == 0 and not table.may_be_empty:
                raise BadInput(
                    source.uri,
                    f"there is not a single row; {schema}.{table.name} keeps those it has",
                )
        if direct:
            merged = Merge(cursor, table, target, staging, table.column_names).first(rows)
            changed = rows > 0
        else:
            if not key_first:
                cursor.execute(add_key(staging, table))
            conformed = conform(
                cursor, target, table, (), keep_rows=missing != "delete" or window is not None
            )
            merge = Merge(cursor, table, target, staging, table.column_names, window)
            merged = merge.run(missing)
            fill(cursor, target, conformed.unfilled)
            cursor.execute(sql.SQL("DROP TABLE {}").format(staging))
            changed = merged.changed or conformed.changed
        digest = version(cursor, target, changed=changed)
        preview = _preview(cursor, target, table)
    connection.commit()
    return LoadResult(
        rows=rows - merged.outside,
        inserted=merged.inserted,
        updated=merged.updated,
        deleted=merged.deleted,
        bytes_read=bytes_read,
        preview=preview,
        outside=merged.outside,
        marked=merged.marked,
        days=merged.days,
        changed=changed,
        digest=digest,
    )


def _begin(cursor: Cursor, name: str, lock_timeout_s: int) -> None:
    settings = {
        # What a source says without a time zone is UTC, and so are days.
        "timezone": "UTC",
        "lock_timeout": f"{lock_timeout_s}s",
        # Joins of a million rows fit, whatever the server's default.
        "work_mem": "64MB",
        # It would compile for seconds where a table has a thousand columns.
        "jit": "off",
    }
    for setting, value in settings.items():
        cursor.execute("SELECT set_config(%s, %s, true)", (setting, value))
    try:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))
    except errors.LockNotAvailable:
        raise WarehouseError(
            f"{name}: another load has been running for more than {lock_timeout_s} s; "
            "try again later"
        ) from None


def _is_empty(cursor: Cursor, target: sql.Identifier, table: Table) -> bool:
    """Whether the table is yet to be made, or is as declared and has no rows."""
    if not exists(cursor, target):
        return True
    cursor.execute(sql.SQL("SELECT NOT EXISTS (SELECT FROM {})").format(target))
    (empty,) = cursor.fetchone() or (False,)
    return empty and conforms(cursor, target, table, ())


def _fill_directly(cursor: Cursor, target: sql.Identifier, table: Table, source: CopySource) -> int:
    """COPY without a staging table in between, and make the key when the rows are there."""
    if exists(cursor, target):
        cursor.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(target))
        return copy(cursor, target, source)
    columns = table_columns(table)
    make(cursor, target, columns)
    rows = copy(cursor, target, source)
    cursor.execute(add_key(target, table))
    describe(cursor, target, table, columns)
    return rows


def _preview(cursor: Cursor, target: sql.Identifier, table: Table) -> list[tuple[Any, ...]]:
    statement = sql.SQL("SELECT {} FROM {} ORDER BY {} LIMIT {}").format(
        names(table.column_names),
        target,
        names(table.primary_key),
        sql.Literal(PREVIEW_ROWS),
    )
    cursor.execute(statement)
    return cursor.fetchall()
