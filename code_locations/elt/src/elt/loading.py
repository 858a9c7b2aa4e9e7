"""Loads a source into a raw table, whole or not at all."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg2
from psycopg2 import errors, sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from elt.ddl import add_key, conform, create, names
from elt.errors import BadInput, WarehouseError
from elt.sources import CopySource
from elt.tables import Table

COPY_CHUNK_BYTES = 256 * 1024
PREVIEW_ROWS = 5
# What COPY says about the place of an error: COPY orders, line 7, column quantity: "many"
_COPY_PLACE = re.compile(r'^COPY \S+, line (\d+)(?:, column ([^:]+): "(.*)")?', re.DOTALL)
_KEY_VALUE = re.compile(r"=\((.*)\)", re.DOTALL)


@dataclass(frozen=True)
class LoadResult:
    """What a load did: counts of rows, and the bytes that were read.

    `rows` came in; of these `inserted` are new and `updated` differ from what was there.
    `preview` holds the first rows of the table afterwards, in the order of its columns.
    """

    rows: int
    inserted: int
    updated: int
    deleted: int
    bytes_read: int
    preview: list[tuple[Any, ...]]


def load(
    connection: Connection,
    schema: str,
    table: Table,
    open_source: Callable[[], AbstractContextManager[CopySource]],
    *,
    delete_missing: bool,
    lock_timeout_s: int = 600,
) -> LoadResult:
    """Merge a source into `schema.table` by primary key, in a transaction of its own.

    Rows that are already there unchanged are not touched, so a rerun writes nothing. With
    `delete_missing`, rows that the source does not have are deleted: the table becomes the
    source. Readers are never blocked, and see all old rows or all new ones, whatever their
    isolation level; that is why rows are merged rather than the table truncated or swapped, and
    it also lets views depend on the table.

    Commits at the end, and nothing before: after a failure the caller rolls back, or loses the
    connection, and all is as it was. Raises BadInput for what is wrong with the source,
    WarehouseError for what the warehouse refused.
    """
    attempt = partial(_load, connection, schema, table, open_source, delete_missing, lock_timeout_s)
    try:
        try:
            return attempt(key_first=False)
        except errors.UniqueViolation:
            # A key checked after COPY is fast, and one checked row by row knows the line.
            connection.rollback()
            return attempt(key_first=True)
    except psycopg2.Error as error:
        raise WarehouseError(f"{schema}.{table.name}: {_reason(error)}") from None


def _load(
    connection: Connection,
    schema: str,
    table: Table,
    open_source: Callable[[], AbstractContextManager[CopySource]],
    delete_missing: bool,
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
        _lock(cursor, f"{schema}.{table.name}", lock_timeout_s)
        cursor.execute(create(staging, table, unlogged=True))
        if key_first:
            cursor.execute(add_key(staging, table))
        with open_source() as source:
            rows = _copy(cursor, staging, source)
            bytes_read = source.bytes_read
            if rows == 0 and not table.may_be_empty:
                raise BadInput(
                    source.uri,
                    f"there is not a single row; {schema}.{table.name} keeps those it has",
                )
        if not key_first:
            cursor.execute(add_key(staging, table))
        conform(cursor, target, staging, table, keep_rows=not delete_missing)
        inserted, updated = _upsert(cursor, target, staging, table)
        deleted = _delete_missing(cursor, target, staging, table) if delete_missing else 0
        cursor.execute(sql.SQL("DROP TABLE {}").format(staging))
        preview = _preview(cursor, target, table)
    connection.commit()
    return LoadResult(rows, inserted, updated, deleted, bytes_read, preview)


def _lock(cursor: Cursor, name: str, timeout_s: int) -> None:
    cursor.execute("SELECT set_config('lock_timeout', %s, true)", (f"{timeout_s}s",))
    try:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))
    except errors.LockNotAvailable:
        raise WarehouseError(
            f"{name}: another load has been running for more than {timeout_s} s; try again later"
        ) from None


def _copy(cursor: Cursor, staging: sql.Identifier, source: CopySource) -> int:
    statement = sql.SQL("COPY {} ({}) FROM STDIN WITH ({}, ENCODING 'UTF8')").format(
        staging, names(source.columns), sql.SQL(source.copy_options)
    )
    try:
        # The stub asks for readline(), which psycopg2 never calls.
        cursor.copy_expert(statement, source, size=COPY_CHUNK_BYTES)  # type: ignore[arg-type]
    except psycopg2.Error as error:
        if source.failure is not None:
            raise source.failure from None
        # Class 22 is bad data, class 23 a broken constraint: the source's fault both.
        if (error.pgcode or "")[:2] in ("22", "23"):
            raise _bad_input(source, error) from None
        raise
    return int(cursor.rowcount)


def _bad_input(source: CopySource, error: psycopg2.Error) -> BadInput:
    place = _COPY_PLACE.match(error.diag.context or "")
    line, column, value = place.groups() if place else (None, None, None)
    reason = _reason(error)
    if isinstance(error, errors.NotNullViolation):
        column, reason = error.diag.column_name, "nothing is there, but the column needs a value"
    if isinstance(error, errors.UniqueViolation):
        detail = error.diag.message_detail or ""
        key = _KEY_VALUE.search(detail)
        column = detail.removeprefix("Key (").partition(")")[0]
        value = key[1] if key else None
        reason = f"key {value} is there twice"
    return source.bad_input(reason, int(line) if line else None, column, value)


def _upsert(
    cursor: Cursor, target: sql.Identifier, staging: sql.Identifier, table: Table
) -> tuple[int, int]:
    others = [name for name in table.column_names if name not in table.primary_key]
    cursor.execute(
        sql.SQL(
            """
            WITH merged AS (
                INSERT INTO {target} AS present ({columns}) SELECT {columns} FROM {staging}
                ON CONFLICT ({key}) DO UPDATE SET ({others}) = ROW ({new})
                WHERE ({old}) IS DISTINCT FROM ({new})
                RETURNING xmax = 0 AS inserted -- a row version that replaces none has no xmax
            )
            SELECT count(*) FILTER (WHERE inserted), count(*) FILTER (WHERE NOT inserted)
            FROM merged
            """
        ).format(
            target=target,
            staging=staging,
            columns=names(table.column_names),
            key=names(table.primary_key),
            others=names(others),
            old=names(others, "present"),
            new=names(others, "excluded"),
        )
    )
    inserted, updated = cursor.fetchone() or (0, 0)
    return inserted, updated


def _delete_missing(
    cursor: Cursor, target: sql.Identifier, staging: sql.Identifier, table: Table
) -> int:
    statement = sql.SQL(
        "DELETE FROM {} AS present WHERE NOT EXISTS (SELECT FROM {} AS new WHERE ({}) = ({}))"
    ).format(target, staging, names(table.primary_key, "new"), names(table.primary_key, "present"))
    cursor.execute(statement)
    return int(cursor.rowcount)


def _preview(cursor: Cursor, target: sql.Identifier, table: Table) -> list[tuple[Any, ...]]:
    statement = sql.SQL("SELECT {} FROM {} ORDER BY {} LIMIT {}").format(
        names(table.column_names),
        target,
        names(table.primary_key),
        sql.Literal(PREVIEW_ROWS),
    )
    cursor.execute(statement)
    return cursor.fetchall()


def _reason(error: psycopg2.Error) -> str:
    parts = (error.diag.message_primary, error.diag.message_detail, error.diag.message_hint)
    return "; ".join(part for part in parts if part) or str(error).strip()
