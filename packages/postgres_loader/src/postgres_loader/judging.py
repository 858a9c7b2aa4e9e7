"""Lets PostgreSQL judge rows of texts: which of their values are none of their columns' types."""

from collections.abc import Sequence

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from postgres_loader import times
from postgres_loader.ddl import names
from postgres_loader.tables import Table
from postgres_loader.text_rows import TEXT_LIMIT

NOTHING_THERE = "nothing is there, but the column needs a value"
NO_NUMBER = (
    "this is not a number such as 1234,56: the table declares decimal_sign=',', and thousands are "
    "not separated"
)


def as_read(name: str, commas: Sequence[str]) -> sql.Composable:
    """What the type of a column is to read. Where numbers have commas, both signs change places,
    so that a point is refused as a comma is elsewhere."""
    column = sql.Identifier(name)
    return sql.SQL("translate({}, ',.', '.,')").format(column) if name in commas else column


def judge(
    cursor: Cursor,
    texts: sql.Identifier,
    bad: sql.Identifier,
    table: Table,
    taken: Sequence[str],
    commas: Sequence[str],
) -> None:
    """Put the rows into `bad` of which a value is not one of its column's type."""
    checks, values, timed, with_comma = [], [], [], []
    time = times.whole(table)
    for number, column in enumerate(table.columns, start=1):
        name, case = sql.Identifier(column.name), sql.Literal(number)
        values.append(sql.SQL("WHEN {} THEN {}").format(case, name))
        if column.type in times.TYPES:
            timed.append(number)
            checks.append(sql.SQL("WHEN {} !~ {} THEN {}").format(name, sql.Literal(time), case))
        if column.name in commas:
            with_comma.append(number)
        if column.type != "text":
            valid = sql.SQL("WHEN NOT pg_input_is_valid({}, {}) THEN {}")
            text = as_read(column.name, commas)
            checks.append(valid.format(text, sql.Literal(column.type), case))
        if column.type in times.TYPES:
            # Of what is valid only: a CASE asks in this order.
            value = sql.SQL("{}::{}").format(name, sql.SQL(column.type))
            checks.append(sql.SQL("WHEN {} THEN {}").format(times.beyond(value), case))
        if not column.nullable:
            checks.append(sql.SQL("WHEN {} IS NULL THEN {}").format(name, case))
    statement = sql.SQL(_JUDGE).format(
        bad=bad,
        texts=texts,
        columns=names(taken),
        checks=sql.SQL(" ").join(checks),
        values=sql.SQL(" ").join(values),
        names=sql.Literal(list(table.column_names)),
        types=sql.Literal([column.type for column in table.columns]),
        nothing=sql.Literal(NOTHING_THERE),
        timed=sql.Literal(timed),
        time=sql.Literal(time),
        no_time=sql.Literal(times.reason(table)),
        with_comma=sql.Literal(with_comma),
        read=as_read("__value", ["__value"]),
        no_number=sql.Literal(NO_NUMBER),
        limit=sql.Literal(TEXT_LIMIT),
    )
    cursor.execute(statement)


_JUDGE = """
    WITH judged AS MATERIALIZED (
        SELECT *, CASE WHEN __reason IS NULL THEN CASE {checks} END END AS __column FROM {texts}
    )
    INSERT INTO {bad}
    SELECT
        __line,
        ({names}::text[])[__column],
        left(__value, {limit}),
        coalesce(
            __reason,
            CASE WHEN __timed AND __value !~ {time} THEN {no_time} END,
            (
                -- For times, the hint advises a setting that nobody has here.
                SELECT CASE WHEN __with_comma AND sql_error_code = '22P02' THEN {no_number} ELSE
                    nullif(
                        concat_ws('; ', message, detail, CASE WHEN NOT __timed THEN hint END), ''
                    )
                END
                FROM pg_input_error_info(
                    CASE WHEN __with_comma THEN {read} ELSE __value END,
                    ({types}::text[])[__column]
                )
            ),
            CASE WHEN __timed AND __value IS NOT NULL THEN {no_time} END,
            {nothing}
        ),
        coalesce(
            __record,
            left((SELECT row_to_json(record)::text FROM (SELECT {columns}) AS record), {limit})
        )
    FROM judged CROSS JOIN LATERAL (
        SELECT
            CASE __column {values} END,
            coalesce(__column = ANY ({timed}::int[]), false),
            coalesce(__column = ANY ({with_comma}::int[]), false)
    ) AS chosen (__value, __timed, __with_comma)
    WHERE __reason IS NOT NULL OR __column IS NOT NULL
"""
