"""Gets a source's rows into relations, as fast as PostgreSQL takes them."""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from postgres_loader import times
from postgres_loader.copying import BadData, copy, judged
from postgres_loader.ddl import add_key, conforms, describe, exists, table_columns
from postgres_loader.errors import BadInput, RejectedRow
from postgres_loader.filling import fill_new
from postgres_loader.sources import CopySource
from postgres_loader.sources.base import MORE
from postgres_loader.tables import Column, Table


@dataclass(frozen=True)
class Staged:
    """What became of a source's rows: `rows` of them are in a relation with the declared columns
    and the `extra` ones.

    The relation is the table itself, where it was empty and `direct` is true. Else it is the
    staging, and of the `rejected` rows, those whose keys can be read have these in `spared`; the
    others are `unidentified`. `undeclared` columns are in the source, and in no declaration.
    """

    rows: int
    extra: tuple[str, ...]
    direct: bool = False
    rejected: int = 0
    rejected_rows: Sequence[RejectedRow] = ()
    spared: sql.Identifier | None = None
    unidentified: int = 0
    bytes_read: int = 0
    undeclared: tuple[str, ...] = ()


def related(target: sql.Identifier, purpose: str) -> sql.Identifier:
    """Name of a relation beside the table."""
    schema, name = target.strings
    return sql.Identifier(schema, f"{name}__{purpose}")


def shared_relation(target: sql.Identifier) -> sql.Identifier:
    """Name of the relation that sessions fill together, and that others see while they do."""
    return related(target, "loading")


def stage(
    cursor: Cursor,
    target: sql.Identifier,
    table: Table,
    source: CopySource,
    *,
    direct: bool,
    alone: bool,
) -> Staged:
    """COPY all rows into the staging or, if `direct` and that is possible, into the table.

    Where the source is `alone` in its transaction, two sessions may share the work.
    Raises BadData as soon as there is a row that cannot be stored, and what the source raises.
    """
    wanted = {*table.column_names, *source.extra}
    shared = shared_relation(target) if alone else None
    if direct and wanted == set(source.columns) and _is_empty(cursor, target, table, source.extra):
        rows = _copy_directly(cursor, target, table, source, shared)
        _check_times(cursor, target, table)
        return Staged(rows, source.extra, direct=True)
    staging = related(target, "staging")
    columns = staging_columns(table, source.columns)
    rows = fill_new(cursor, staging, columns, source, unlogged=True, shared=shared)
    _check_times(cursor, staging, table)
    try:
        extra = source.extra + spread(cursor, staging, source)
        cursor.execute(add_key(staging, table))
    except psycopg2.Error as error:
        raise judged(error) from None
    return Staged(rows, extra)


def spread(cursor: Cursor, relation: sql.Identifier, source: CopySource) -> tuple[str, ...]:
    """Make columns of the fields in the column MORE, if the source has that; returns their names.

    Raises what PostgreSQL raises.
    """
    if MORE not in source.columns or not source.undeclared:
        return ()
    new = [sql.Identifier(name) for name in source.undeclared]
    adding = sql.SQL(", ").join(sql.SQL("ADD {} text").format(name) for name in new)
    cursor.execute(sql.SQL("ALTER TABLE {} {}").format(relation, adding))
    values = sql.SQL(", ").join(
        sql.SQL("{} = {}::json ->> {}").format(name, sql.Identifier(MORE), sql.Literal(field))
        for name, field in zip(new, source.undeclared, strict=True)
    )
    statement = sql.SQL("UPDATE {} SET {} WHERE {} IS NOT NULL")
    cursor.execute(statement.format(relation, values, sql.Identifier(MORE)))
    return source.undeclared


def staging_columns(table: Table, stream: Sequence[str]) -> list[Column]:
    """The declared columns, and those that the stream has besides, as texts."""
    others = [name for name in stream if name not in table.column_names]
    return [*table.columns, *(Column(name, "text", "", nullable=True) for name in others)]


def refuse_no_rows(
    staged: Staged, source: CopySource, target: sql.Identifier, table: Table, *, of_a_day: bool
) -> None:
    """Raises BadInput when there are no rows, and the table's declaration expects some.

    `of_a_day` says that the source is a file of one day.
    """
    if staged.rows == 0 and staged.rejected:
        first = staged.rejected_rows[0]
        raise source.bad_input(
            f"all {staged.rejected} rows are bad: {first.reason}",
            first.line,
            first.column,
            first.value,
        )
    if staged.rows or table.may_be_empty or (of_a_day and table.days_may_be_empty):
        return
    name = ".".join(target.strings)
    declaration = "days_may_be_empty" if of_a_day else "may_be_empty"
    raise BadInput(
        source.uri,
        f"there is not a single row; {name} keeps those it has. If that is right, declare the "
        f"table with {declaration}",
    )


def _check_times(cursor: Cursor, relation: sql.Identifier, table: Table) -> None:
    """Raises BadData when there is a time that not every reader can hold: infinity, or a year
    before 1 or after 9999."""
    timed = times.columns(table)
    if not timed:
        return
    beyond = sql.SQL(" OR ").join(times.beyond(sql.Identifier(name)) for name in timed)
    cursor.execute(sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {})").format(relation, beyond))
    if cursor.fetchone() == (True,):
        raise BadData("there is a time before the year 1, after 9999, or infinite")


def _is_empty(cursor: Cursor, target: sql.Identifier, table: Table, extra: Sequence[str]) -> bool:
    """Whether the table is yet to be made, or is as it shall be and has no rows."""
    if not exists(cursor, target):
        return True
    look = sql.SQL("SELECT NOT EXISTS (SELECT FROM {})").format(target)
    cursor.execute(look)
    if cursor.fetchone() != (True,) or not conforms(cursor, target, table, extra):
        return False
    # Others may still read, but what is empty now stays so.
    cursor.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(target))
    cursor.execute(look)
    return cursor.fetchone() == (True,)


def _copy_directly(
    cursor: Cursor,
    target: sql.Identifier,
    table: Table,
    source: CopySource,
    shared: sql.Identifier | None,
) -> int:
    if exists(cursor, target):
        return copy(cursor, target, source)
    columns = table_columns(table, source.extra)
    rows = fill_new(cursor, target, columns, source, unlogged=False, shared=shared)
    try:
        cursor.execute(add_key(target, table))
    except psycopg2.Error as error:
        raise judged(error) from None
    describe(cursor, target, table, columns)
    return rows
