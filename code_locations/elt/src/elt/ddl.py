"""DDL of the raw tables, from their declaration."""

from collections.abc import Sequence
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from elt.tables import Table


def conform(
    cursor: Cursor,
    target: sql.Identifier,
    staging: sql.Identifier,
    table: Table,
    *,
    keep_rows: bool,
) -> None:
    """Make the target, or make it anew when its columns are not the staging's.

    A table that is made anew is empty; with `keep_rows`, its rows are put into the staging first,
    where they yield to rows that are already there.
    """
    present, declared = _shape(cursor, target), _shape(cursor, staging)
    if present == declared:
        return
    shared = [column[0] for column in present if column[0] in table.column_names]
    if keep_rows and shared:
        keep = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} ON CONFLICT DO NOTHING")
        cursor.execute(keep.format(staging, names(shared), names(shared), target))
    cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(target))
    cursor.execute(create(target, table))
    cursor.execute(add_key(target, table))
    comment = sql.SQL("COMMENT ON TABLE {} IS {}")
    cursor.execute(comment.format(target, sql.Literal(table.description)))
    for column in table.columns:
        name = sql.Identifier(*target.strings, column.name)
        comment = sql.SQL("COMMENT ON COLUMN {} IS {}")
        cursor.execute(comment.format(name, sql.Literal(column.description)))


def create(relation: sql.Identifier, table: Table, *, unlogged: bool = False) -> sql.Composed:
    """CREATE TABLE with the declared columns, and without the key."""
    columns = [
        sql.SQL("{} {}{}").format(
            sql.Identifier(column.name),
            sql.SQL(column.type),
            sql.SQL("" if column.nullable else " NOT NULL"),
        )
        for column in table.columns
    ]
    return sql.SQL("CREATE {} TABLE {} ({})").format(
        sql.SQL("UNLOGGED" if unlogged else ""), relation, sql.SQL(", ").join(columns)
    )


def add_key(relation: sql.Identifier, table: Table) -> sql.Composed:
    """ALTER TABLE that adds the declared primary key."""
    return sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(relation, names(table.primary_key))


def names(columns: Sequence[str], prefix: str | None = None) -> sql.Composed:
    """A list of column names, each as `prefix.name` if there is a prefix."""
    parts = [(name,) if prefix is None else (prefix, name) for name in columns]
    return sql.SQL(", ").join([sql.Identifier(*part) for part in parts])


def _shape(cursor: Cursor, relation: sql.Identifier) -> list[tuple[Any, ...]]:
    cursor.execute(
        """
        SELECT attname, format_type(atttypid, atttypmod), attnotnull, coalesce(indisprimary, false)
        FROM pg_attribute
        LEFT JOIN pg_index ON indrelid = attrelid AND indisprimary AND attnum = ANY (indkey)
        WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
        ORDER BY attnum
        """,
        (relation.as_string(cursor),),
    )
    return cursor.fetchall()
