"""Finds the bad rows of a source that PostgreSQL refused, and keeps them for people to see.

All values are taken as text with their places first, then judged by PostgreSQL itself. That costs
several times what a COPY into typed columns does, so it happens only when that has failed.
"""

from collections.abc import Sequence

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from postgres_loader.copying import copy, reason
from postgres_loader.ddl import add_key, exists, make, names
from postgres_loader.errors import BadInput, RejectedRow
from postgres_loader.judging import as_read, judge
from postgres_loader.sources import CopySource
from postgres_loader.staging import Staged, related, spread, staging_columns
from postgres_loader.tables import Column, Table
from postgres_loader.text_rows import LINE, TEXT_LIMIT, TextRows

SHOWN_ROWS = 10


def stage_good_rows(
    cursor: Cursor, target: sql.Identifier, table: Table, source: CopySource, max_share: float
) -> Staged:
    """Stage the rows that can be stored, and put the others into the table of rejected rows.

    Raises BadInput, with the first of the bad rows, when they are more than `max_share` of all.
    """
    texts, bad, staging = (related(target, purpose) for purpose in ("texts", "bad", "staging"))
    stream = TextRows(source, table)
    line, *others = stream.columns
    columns = [Column(line, "bigint", ""), *(Column(n, "text", "", nullable=True) for n in others)]
    make(cursor, texts, columns, unlogged=True)
    total = copy(cursor, texts, stream)
    source.verify()
    cursor.execute(sql.SQL(_BAD_TABLE).format(bad=bad))
    taken = stream.columns[3:]
    commas = source.decimal_commas
    judge(cursor, texts, bad, table, taken, commas)
    make(cursor, staging, [columns[0], *staging_columns(table, taken)], unlogged=True)
    try:
        _cast(cursor, texts, bad, staging, table, taken, commas)
        _reject_duplicates(cursor, texts, bad, staging, table, taken)
        extra = source.extra + spread(cursor, staging, source)
        cursor.execute(add_key(staging, table))
    except (psycopg2.DataError, psycopg2.IntegrityError) as error:
        # A type whose input function raises instead of telling, or a constraint of its domain.
        raise BadInput(source.uri, reason(error)) from None
    rejected = _count(cursor, bad)
    shown = _first(cursor, bad)
    if rejected > max_share * total:
        raise _too_many(source, shown, rejected, total, max_share)
    spared, identified = _spare(cursor, texts, bad, target, table, commas)
    keep(cursor, target, source.uri, bad)
    for relation in (texts, bad):
        cursor.execute(sql.SQL("DROP TABLE {}").format(relation))
    return Staged(
        total - rejected,
        extra,
        rejected=rejected,
        rejected_rows=shown,
        spared=spared,
        unidentified=rejected - identified,
    )


def keep(cursor: Cursor, target: sql.Identifier, uri: str, bad: sql.Identifier | None) -> None:
    """Replace what is kept of a source's rejected rows by the rows in `bad`, or by nothing."""
    schema, name = target.strings
    rejected = sql.Identifier(schema, f"{name}_rejected")
    if exists(cursor, rejected):
        cursor.execute(sql.SQL("DELETE FROM {} WHERE file = %s").format(rejected), (uri,))
    elif bad:
        cursor.execute(sql.SQL(_REJECTED_TABLE).format(rejected=rejected))
        comment = f"Rows that {schema}.{name} could not take, as of the last load of each file."
        statement = sql.SQL("COMMENT ON TABLE {} IS {}")
        cursor.execute(statement.format(rejected, sql.Literal(comment)))
    if bad:
        cursor.execute(
            sql.SQL(
                "INSERT INTO {} (file, line, column_name, value, reason, record) "
                "SELECT {}, line, column_name, value, reason, record FROM {}"
            ).format(rejected, sql.Literal(uri), bad)
        )


def _cast(
    cursor: Cursor,
    texts: sql.Identifier,
    bad: sql.Identifier,
    staging: sql.Identifier,
    table: Table,
    taken: Sequence[str],
    commas: Sequence[str],
) -> None:
    types = {column.name: column.type for column in table.columns}
    values = [
        sql.SQL("{}::{}").format(as_read(name, commas), sql.SQL(types.get(name, "text")))
        for name in taken
    ]
    statement = sql.SQL(
        "INSERT INTO {staging} ({line}, {columns}) SELECT {line}, {values} FROM {texts} "
        "WHERE NOT EXISTS (SELECT FROM {bad} AS bad WHERE bad.line = {line})"
    ).format(
        staging=staging,
        columns=names(taken),
        line=sql.Identifier(LINE),
        values=sql.SQL(", ").join(values),
        texts=texts,
        bad=bad,
    )
    cursor.execute(statement)


def _reject_duplicates(
    cursor: Cursor,
    texts: sql.Identifier,
    bad: sql.Identifier,
    staging: sql.Identifier,
    table: Table,
    taken: Sequence[str],
) -> None:
    parts = {
        "bad": bad,
        "texts": texts,
        "staging": staging,
        "line": sql.Identifier(LINE),
        "key": names(table.primary_key),
        "key_names": sql.Literal(", ".join(table.primary_key)),
        "columns": names(taken),
        "limit": sql.Literal(TEXT_LIMIT),
    }
    cursor.execute(sql.SQL(_DUPLICATES).format(**parts))
    delete = "DELETE FROM {staging} AS staged USING {bad} AS bad WHERE staged.{line} = bad.line"
    cursor.execute(sql.SQL(delete).format(**parts))


def _spare(
    cursor: Cursor,
    texts: sql.Identifier,
    bad: sql.Identifier,
    target: sql.Identifier,
    table: Table,
    commas: Sequence[str],
) -> tuple[sql.Identifier, int]:
    """A relation with the keys of rejected rows, where these can be read; and of how many."""
    spared = related(target, "spared")
    key = [column for column in table.columns if column.name in table.primary_key]
    make(cursor, spared, key, unlogged=True)
    casts, valid = [], []
    for column in key:
        name, type_ = as_read(column.name, commas), sql.Literal(column.type)
        valid.append(sql.SQL("coalesce(pg_input_is_valid({}, {}), false)").format(name, type_))
        casts.append(
            sql.SQL("CASE WHEN {} THEN {}::{} END").format(valid[-1], name, sql.SQL(column.type))
        )
    statement = sql.SQL(
        "INSERT INTO {} SELECT {} FROM {} JOIN {} AS bad ON bad.line = {} WHERE {}"
    ).format(
        spared,
        sql.SQL(", ").join(casts),
        texts,
        bad,
        sql.Identifier(LINE),
        sql.SQL(" AND ").join(valid),
    )
    cursor.execute(statement)
    return spared, int(cursor.rowcount)


def _too_many(
    source: CopySource, shown: Sequence[RejectedRow], rejected: int, total: int, max_share: float
) -> BadInput:
    line, column, value, said, _ = shown[0]
    if rejected == 1:
        return source.bad_input(said, line, column, value)
    if rejected == total:
        said = f"all {total} rows are bad: {said}"
    counted = (
        f"{said}; this is the first of {rejected} bad rows among {total}, and no more than "
        f"{max_share:.2%} of the rows may be bad"
    )
    error = source.bad_input(counted, line, column, value)
    error.details |= {"rejected": rejected, "rows": total}
    error.rejected_rows = shown
    return error


def _first(cursor: Cursor, bad: sql.Identifier) -> list[RejectedRow]:
    statement = sql.SQL(
        "SELECT line, column_name, value, reason, record FROM {} ORDER BY line LIMIT {}"
    )
    cursor.execute(statement.format(bad, sql.Literal(SHOWN_ROWS)))
    return [RejectedRow(*row) for row in cursor.fetchall()]


def _count(cursor: Cursor, relation: sql.Identifier) -> int:
    cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(relation))
    (count,) = cursor.fetchone() or (0,)
    return int(count)


_BAD_TABLE = """
    CREATE UNLOGGED TABLE {bad} (
        line bigint PRIMARY KEY, column_name text, value text, reason text NOT NULL, record text
    )
"""
_REJECTED_TABLE = """
    CREATE TABLE {rejected} (
        file text, line bigint, column_name text, value text, reason text NOT NULL, record text,
        rejected_at timestamp with time zone NOT NULL DEFAULT now(), PRIMARY KEY (file, line)
    )
"""
_DUPLICATES = """
    INSERT INTO {bad}
    SELECT
        __line,
        {key_names},
        left(__key, {limit}),
        format('key %s is there twice, first in line %s', left(__key, {limit}), __first),
        left((SELECT row_to_json(record)::text FROM (SELECT {columns}) AS record), {limit})
    FROM (
        SELECT __line, concat_ws(', ', {key}) AS __key, first_value(__line) OVER same AS __first
        FROM {staging} WINDOW same AS (PARTITION BY {key} ORDER BY __line)
    ) AS counted JOIN {texts} USING (__line)
    WHERE __line <> __first
"""
