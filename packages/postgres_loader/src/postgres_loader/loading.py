"""Loads a source into a raw table, whole or not at all."""

import contextlib
import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psycopg2
from psycopg2 import errors, sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from postgres_loader.copying import BadData
from postgres_loader.days import Scope
from postgres_loader.ddl import Conformed, conform, conforms, exists, fill, names
from postgres_loader.errors import RejectedRow, WarehouseUnavailable
from postgres_loader.filling import drop_shared
from postgres_loader.gathering import OpenSource, gather
from postgres_loader.merging import Merge, Merged, Missing, refuse_outside
from postgres_loader.outages import warehouse_error
from postgres_loader.progress import SILENT, Progress
from postgres_loader.ranges import Range, Window
from postgres_loader.rejects import keep, stage_good_rows
from postgres_loader.sources import CopySource
from postgres_loader.staging import Staged, refuse_no_rows, related, shared_relation, stage
from postgres_loader.tables import Table
from postgres_loader.times import date_style
from postgres_loader.versions import version

__all__ = ["LoadResult", "Window", "load"]

PREVIEW_ROWS = 5
# Of a table's name: the lock that its loads take.
_LOCK = "hashtextextended(%s, 0)"


@dataclass(frozen=True)
class LoadResult:
    """What a load did to `relation`: counts of rows, and the bytes that were read.

    `rows` were taken from the source; of these `inserted` are new and `updated` differ from what
    was there. `rejected` rows are bad, and `outside` ones not in the window: neither is taken.
    `deleted` and `marked` are the table's rows that the source no longer has: none as long as
    there are `unidentified` rows, rejected ones without a readable key. `rejected_rows` are the
    first that were rejected.

    `days`, of a table with a day column, has each UTC day of which a row was inserted, updated or
    deleted, and how many rows the table has of it now. `undeclared` columns are in the source and
    in no declaration; `added_columns` are those that the table got with this load. `digest` is
    another one whenever the table's content has `changed`, and only then.
    `preview` holds the first rows of the table afterwards, with the declared columns.
    """

    relation: str
    rows: int
    inserted: int
    updated: int
    deleted: int
    bytes_read: int
    preview: list[tuple[Any, ...]]
    rejected: int = 0
    rejected_rows: Sequence[RejectedRow] = ()
    unidentified: int = 0
    outside: int = 0
    marked: int = 0
    days: dict[datetime.date, int] = field(default_factory=dict)
    undeclared: tuple[str, ...] = ()
    added_columns: tuple[str, ...] = ()
    changed: bool = False
    digest: str = ""


def load(
    connection: Connection,
    schema: str,
    table: Table,
    open_source: OpenSource | Sequence[OpenSource],
    *,
    missing: Missing,
    window: Window | None = None,
    scope: Scope | None = None,
    lock_timeout_s: int = 600,
    max_rejected_share: float | None = None,
    max_deleted_share: float | None = None,
    progress: Progress = SILENT,
) -> LoadResult:
    """Merge a source into `schema.table` by primary key, in a transaction of its own.

    Rows that are already there unchanged are not touched, so a rerun writes nothing. What becomes
    of rows that the source does not have says `missing`: they are kept, or deleted (the table
    becomes the source), or get the time in `missing_since`, which a row that returns loses again.
    With a `window`, all this goes for the rows whose day column is within it, and the source's
    other rows are left out, or refused if the window is `exact`; a `scope` decides about that in
    the load's own transaction. Several sources, opened one after the other, are taken for one.

    A load that would delete more than `max_deleted_share` (0 to 1) of the rows, or than the table
    declares, and 100 rows at least, is refused with BadInput.

    Bad rows are put into `<table>_rejected`, where they replace those of the same source's last
    load, unless they are more than `max_rejected_share` of all, or than the table declares.

    `progress` is told what the load does.

    Readers are never blocked, and see all old rows or all new ones, whatever their isolation
    level; that is why rows are merged rather than the table truncated or swapped, and it also
    lets views depend on the table. Only a load that changes the table's columns makes them wait.

    Commits at the end, and nothing before: after a failure all is rolled back and as it was. A
    process that is killed may leave `<table>__loading`, which the next load drops. Raises
    BadInput for what is wrong with the source, WarehouseError for what the warehouse refused.
    """
    if missing == "mark" and not table.marks_missing:
        raise ValueError(f"{table.name} is declared without marks_missing")
    if window and not table.day_column:
        raise ValueError(f"{table.name} is declared without day_column, so has no window")
    sources = [open_source] if callable(open_source) else list(open_source)
    if max_rejected_share is None:
        max_rejected_share = table.max_rejected_share
    if max_deleted_share is None:
        max_deleted_share = table.max_deleted_share
    options = _Options(
        missing, window, scope, lock_timeout_s, max_rejected_share, max_deleted_share, progress
    )
    try:
        try:
            return _load(connection, schema, table, sources, options, careful=False)
        except BadData:
            # The source is read again, this time with an eye on every row.
            connection.rollback()
            return _load(connection, schema, table, sources, options, careful=True)
    except BaseException as error:
        _clean_up(connection, sql.Identifier(schema, table.name))
        if isinstance(error, psycopg2.Error):
            raise warehouse_error(f"{schema}.{table.name}", error) from None
        raise


class _Options(NamedTuple):
    missing: Missing
    window: Range
    scope: Scope | None
    lock_timeout_s: int
    max_rejected_share: float
    max_deleted_share: float
    progress: Progress


def _load(
    connection: Connection,
    schema: str,
    table: Table,
    sources: Sequence[OpenSource],
    options: _Options,
    *,
    careful: bool,
) -> LoadResult:
    target, name = sql.Identifier(schema, table.name), f"{schema}.{table.name}"
    with connection.cursor() as cursor:
        # The lock comes before the file is opened: of two loads at once, the one that commits
        # last has also read last.
        options.progress.doing(f"waiting for another load of {name} to end")
        _begin(cursor, name, options.lock_timeout_s, date_style(table))
        alone = len(sources) == 1
        if options.scope:
            options = options._replace(window=options.scope.begin(cursor, target))
        window = options.window
        exact = isinstance(window, Window) and window.exact
        direct = window is None and alone

        def stage_one(source: CopySource) -> Staged:
            options.progress.reading(source, careful=careful)
            if careful:
                share = options.max_rejected_share
                staged = stage_good_rows(cursor, target, table, source, share)
            else:
                staged = stage(cursor, target, table, source, direct=direct, alone=alone)
                source.verify()
                keep(cursor, target, source.uri, None)
            refuse_no_rows(staged, source, target, table, of_a_day=exact)
            if isinstance(window, Window) and exact:
                staging = related(target, "staging")
                refuse_outside(cursor, staging, table, window, source.uri)
            return staged

        staged = gather(cursor, target, table, sources, stage_one)
        drop_shared(cursor, shared_relation(target))
        if options.scope and not staged.direct:
            missing = "keep" if options.scope.keeps_missing else options.missing
            window = options.scope.settle(cursor, target)
            options = options._replace(missing=missing, window=window)
        if not staged.direct:
            options.progress.doing(f"merging {staged.rows:,} rows into {name}")
        merged, conformed = _merge(cursor, target, table, staged, options)
        changed = merged.changed or conformed.changed
        digest = version(cursor, target, changed=changed)
        preview = _preview(cursor, target, table)
    connection.commit()
    return LoadResult(
        relation=".".join(target.strings),
        rows=staged.rows - merged.outside,
        inserted=merged.inserted,
        updated=merged.updated,
        deleted=merged.deleted,
        bytes_read=staged.bytes_read,
        preview=preview,
        rejected=staged.rejected,
        rejected_rows=staged.rejected_rows,
        unidentified=staged.unidentified,
        outside=merged.outside,
        marked=merged.marked,
        days=merged.days,
        undeclared=staged.undeclared,
        added_columns=conformed.added,
        changed=changed,
        digest=digest,
    )


def _merge(
    cursor: Cursor, target: sql.Identifier, table: Table, staged: Staged, options: _Options
) -> tuple[Merged, Conformed]:
    staging = related(target, "staging")
    columns = (*table.column_names, *staged.extra)
    merge = Merge(
        cursor,
        table,
        target,
        staging,
        columns,
        options.window,
        staged.spared,
        options.max_deleted_share,
    )
    if staged.direct:
        return merge.first(staged.rows), Conformed(staged.extra, changed=False)
    # Any row that the table has may be one of those that could not be read.
    missing = "keep" if staged.unidentified else options.missing
    all_anew = missing == "delete" and options.window is None and not staged.rejected
    if all_anew and exists(cursor, target) and not conforms(cursor, target, table, staged.extra):
        # A table that is re-created loses its rows before they can be compared.
        before = merge.rows()
        merge.refuse_mass_deletion(before - staged.rows, before)
    conformed = conform(cursor, target, table, staged.extra, keep_rows=not all_anew)
    merged = merge.run(missing, staged.rows)
    fill(cursor, target, conformed.unfilled)
    for relation in (staging, staged.spared):
        if relation:
            cursor.execute(sql.SQL("DROP TABLE {}").format(relation))
    return merged, conformed


def _begin(cursor: Cursor, name: str, lock_timeout_s: int, date_style: str) -> None:
    settings = {
        "datestyle": date_style,
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
        cursor.execute(f"SELECT pg_advisory_xact_lock({_LOCK})", (name,))
    except errors.LockNotAvailable:
        raise WarehouseUnavailable(
            f"{name}: another load has been running for more than {lock_timeout_s} s; "
            "try again later"
        ) from None


def _clean_up(connection: Connection, target: sql.Identifier) -> None:
    """Roll back, and drop what is outside of the transaction, unless the connection is lost."""
    with contextlib.suppress(psycopg2.Error), connection.cursor() as cursor:
        connection.rollback()
        cursor.execute("SET LOCAL lock_timeout = '10s'")
        # Another load holds the lock now, and what is there belongs to it.
        cursor.execute(f"SELECT pg_try_advisory_xact_lock({_LOCK})", (".".join(target.strings),))
        if cursor.fetchone() == (True,):
            drop_shared(cursor, shared_relation(target))
        connection.commit()


def _preview(cursor: Cursor, target: sql.Identifier, table: Table) -> list[tuple[Any, ...]]:
    statement = sql.SQL("SELECT {} FROM {} ORDER BY {} LIMIT {}").format(
        names(table.column_names),
        target,
        names(table.primary_key),
        sql.Literal(PREVIEW_ROWS),
    )
    cursor.execute(statement)
    return cursor.fetchall()
