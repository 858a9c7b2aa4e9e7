"""DDL of the raw tables, from their declaration."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from psycopg2 import errors, sql
from psycopg2.extensions import cursor as Cursor

from postgres_loader.errors import WarehouseError
from postgres_loader.tables import MISSING_SINCE, Column, Table

# The descriptions by which columns are known again that no declaration speaks of.
ADDED = "Not declared: added by a load, because a source had it."
MARK = "When a load first missed the row in its source; null while it is there."


@dataclass(frozen=True)
class Conformed:
    """What was done to a table.

    `added` are the columns that no declaration has, and `changed` says whether anything was done
    at all. `unfilled` are columns that become NOT NULL as soon as their rows are there.
    """

    added: tuple[str, ...] = ()
    changed: bool = False
    unfilled: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Shape:
    type: str
    in_key: bool
    nullable: bool


def conform(
    cursor: Cursor, target: sql.Identifier, table: Table, extra: Sequence[str], *, keep_rows: bool
) -> Conformed:
    """Make the table, or give it the declared columns, and the `extra` ones as nullable text.

    Columns that an earlier load added stay. Where columns only come, or only their nullability
    changes, the table is altered; else it is re-created, with the rows that are in it only if
    `keep_rows`. Raises WarehouseError when other objects depend on a table to be re-created.
    """
    present, columns = _present(cursor, target, table, extra)
    wanted = _shapes(table, columns)
    if present == wanted:
        return Conformed()
    if not present:
        make(cursor, target, columns)
        cursor.execute(add_key(target, table))
        describe(cursor, target, table, columns)
        return Conformed(tuple(extra), changed=True)
    added = tuple(name for name in extra if name not in present)
    altered = all(
        name in wanted and (shape.type, shape.in_key) == (wanted[name].type, wanted[name].in_key)
        for name, shape in present.items()
    ) and all(name in present for name in table.primary_key)
    if not altered:
        kept_names = [name for name in present if name in wanted] if keep_rows else []
        _make_anew(cursor, target, table, columns, kept_names)
        return Conformed(added, changed=True)
    new = [column for column in columns if column.name not in present]
    loosened = [n for n, shape in present.items() if wanted[n].nullable and not shape.nullable]
    _alter(cursor, target, new, loosened)
    describe(cursor, target, table, columns)
    unfilled = [
        name
        for name, shape in wanted.items()
        if not shape.nullable and (name not in present or present[name].nullable)
    ]
    return Conformed(added, changed=True, unfilled=tuple(unfilled))


def conforms(cursor: Cursor, target: sql.Identifier, table: Table, extra: Sequence[str]) -> bool:
    """Whether `conform()` would have nothing to do."""
    present, columns = _present(cursor, target, table, extra)
    return present == _shapes(table, columns)


def fill(cursor: Cursor, target: sql.Identifier, unfilled: Sequence[str]) -> None:
    """Make columns NOT NULL. Raises WarehouseError when a row has no value for one."""
    for name in unfilled:
        statement = sql.SQL("ALTER TABLE {} ALTER {} SET NOT NULL")
        try:
            cursor.execute(statement.format(target, sql.Identifier(name)))
        except errors.NotNullViolation:
            raise WarehouseError(
                f"{'.'.join(target.strings)}: column {name!r} is declared to be never null, but "
                "rows that this load does not bring have no value there; declare it nullable, or "
                "load a source that has all rows"
            ) from None


def table_columns(table: Table, extra: Iterable[str] = ()) -> list[Column]:
    """The declared columns, the mark's if the table has one, and the `extra` ones as text."""
    mark = Column(MISSING_SINCE, "timestamp with time zone", MARK, nullable=True)
    return [
        *table.columns,
        *([mark] if table.marks_missing else []),
        *(Column(name, "text", ADDED, nullable=True) for name in extra),
    ]


def make(
    cursor: Cursor, relation: sql.Identifier, columns: Sequence[Column], *, unlogged: bool = False
) -> None:
    """CREATE TABLE with these columns, without a key."""
    statement = sql.SQL("CREATE {} TABLE {} ({})").format(
        sql.SQL("UNLOGGED" if unlogged else ""),
        relation,
        sql.SQL(", ").join(_definition(column) for column in columns),
    )
    cursor.execute(statement)


def describe(
    cursor: Cursor, relation: sql.Identifier, table: Table, columns: Sequence[Column]
) -> None:
    """Comments of the table and of these columns of it."""
    comment = sql.SQL("COMMENT ON TABLE {} IS {}")
    cursor.execute(comment.format(relation, sql.Literal(table.description)))
    comments = [
        sql.SQL("COMMENT ON COLUMN {} IS {}").format(
            sql.Identifier(*relation.strings, column.name), sql.Literal(column.description)
        )
        for column in columns
    ]
    cursor.execute(sql.SQL("; ").join(comments))


def add_key(relation: sql.Identifier, table: Table) -> sql.Composed:
    """ALTER TABLE that adds the declared primary key."""
    # A row that is updated has two entries for a while. With room for these, an update of all rows
    # splits no page of the index, which takes a fifth of its time off, and the index to twice its
    # size at once, where it would get in the end.
    statement = sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({}) WITH (fillfactor = 50)")
    return statement.format(relation, names(table.primary_key))


def names(columns: Iterable[str], prefix: str | None = None) -> sql.Composed:
    """A list of column names, each as `prefix.name` if there is a prefix."""
    parts = [(name,) if prefix is None else (prefix, name) for name in columns]
    return sql.SQL(", ").join([sql.Identifier(*part) for part in parts])


def exists(cursor: Cursor, relation: sql.Identifier) -> bool:
    """Whether there is such a table."""
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (relation.as_string(cursor),))
    return bool((cursor.fetchone() or [False])[0])


def _definition(column: Column) -> sql.Composed:
    null = sql.SQL("" if column.nullable else " NOT NULL")
    return sql.SQL("{} {}{}").format(sql.Identifier(column.name), sql.SQL(column.type), null)


def _alter(
    cursor: Cursor, target: sql.Identifier, new: Sequence[Column], loosened: Sequence[str]
) -> None:
    # A column without a default is a matter of the catalogue: no row is written.
    actions = [
        sql.SQL("ADD {} {}").format(sql.Identifier(column.name), sql.SQL(column.type))
        for column in new
    ]
    actions += [sql.SQL("ALTER {} DROP NOT NULL").format(sql.Identifier(name)) for name in loosened]
    if actions:
        statement = sql.SQL("ALTER TABLE {} {}")
        cursor.execute(statement.format(target, sql.SQL(", ").join(actions)))


def _make_anew(
    cursor: Cursor,
    target: sql.Identifier,
    table: Table,
    columns: Sequence[Column],
    kept: Sequence[str],
) -> None:
    schema, name = target.strings
    new = sql.Identifier(schema, f"{name}__new")
    make(cursor, new, columns)
    if kept:
        types = {column.name: column.type for column in columns}
        values = [sql.SQL("{}::{}").format(sql.Identifier(n), sql.SQL(types[n])) for n in kept]
        copy = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}")
        cursor.execute(copy.format(new, names(kept), sql.SQL(", ").join(values), target))
    try:
        cursor.execute(sql.SQL("DROP TABLE {}").format(target))
    except errors.DependentObjectsStillExist as error:
        raise WarehouseError(
            f"{schema}.{name} has to be re-created for its new declaration, but other objects "
            f"depend on it: {'; '.join((error.diag.message_detail or '').splitlines())}. Drop "
            "these, load, and make them again"
        ) from None
    cursor.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(new, sql.Identifier(name)))
    cursor.execute(add_key(target, table))
    describe(cursor, target, table, columns)


def _shapes(table: Table, columns: Iterable[Column]) -> dict[str, _Shape]:
    return {
        column.name: _Shape(column.type, column.name in table.primary_key, column.nullable)
        for column in columns
    }


def _present(
    cursor: Cursor, relation: sql.Identifier, table: Table, extra: Sequence[str]
) -> tuple[dict[str, _Shape], list[Column]]:
    """Shapes of the columns that are there; and the columns that shall be: declared, extra, and
    those that are there because a load added them."""
    cursor.execute(
        """
        SELECT attname, format_type(atttypid, atttypmod), NOT attnotnull,
            coalesce(attnum = ANY (indkey), false), col_description(attrelid, attnum)
        FROM pg_attribute LEFT JOIN pg_index ON indrelid = attrelid AND indisprimary
        WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
        ORDER BY attnum
        """,
        (relation.as_string(cursor),),
    )
    found = cursor.fetchall()
    shapes = {name: _Shape(type_, in_key, nullable) for name, type_, nullable, in_key, _ in found}
    columns = table_columns(table, extra)
    wanted = {column.name for column in columns}
    columns += [
        Column(name, type_, description, nullable=True)
        for name, type_, _, _, description in found
        if description in (ADDED, MARK) and name not in wanted
    ]
    return shapes, columns
