"""An op that deletes rejected rows which nobody has looked at for a long time."""

from collections.abc import Iterator
from datetime import datetime

import dagster as dg
from location_kit.postgres import PostgresResource
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from pydantic import Field

from postgres_loader.reporting import failures

# Each batch is a transaction: a load that replaces a file's rejected rows waits for one at most.
BATCH_ROWS = 10_000
COLUMNS = ("file", "line", "column_name", "value", "reason", "record", "rejected_at")
RETRIES = dg.RetryPolicy(max_retries=3, delay=20, backoff=dg.Backoff.EXPONENTIAL)


class Keep(dg.Config):
    """How long rejected rows are kept."""

    days_to_keep: int = Field(
        default=90, ge=1, description="Rows that were rejected longer ago are deleted."
    )


@dg.op(retry_policy=RETRIES)
def delete_old_rejected_rows(
    context: dg.OpExecutionContext, config: Keep, postgres: PostgresResource
) -> dg.Output[int]:
    """Deletes rows older than `days_to_keep` from every table of rejected rows in the schema.

    The output is the number of deleted rows; its metadata has that of each table.
    """
    deleted: dict[str, int] = {}
    with failures(), postgres.get_connection() as connection:
        before = _days_ago(connection, config.days_to_keep)
        for name in _tables(connection, postgres.schema_):
            relation = sql.Identifier(postgres.schema_, name)
            deleted[name] = sum(_batches(connection, relation, before))
    total = sum(deleted.values())
    context.log.info(f"{total} rows deleted that were rejected before {before:%Y-%m-%d %H:%M} UTC")
    return dg.Output(total, metadata={"deleted": total, "before": str(before), **deleted})


def _days_ago(connection: Connection, days: int) -> datetime:
    """By the warehouse's clock, which the rows have their time from; in UTC, without a zone."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now() AT TIME ZONE 'UTC' - make_interval(days => %s)", (days,))
        moment: datetime = cursor.fetchall()[0][0]
    return moment


def _tables(connection: Connection, schema: str) -> list[str]:
    """Names of the tables that loads keep rejected rows in, known by their name and columns."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
            WHERE relkind = 'r' AND relnamespace = to_regnamespace(quote_ident(%s))
                AND relname LIKE '%%\\_rejected' AND attname = ANY (%s) AND NOT attisdropped
            GROUP BY relname HAVING count(*) = %s ORDER BY relname
            """,
            (schema, list(COLUMNS), len(COLUMNS)),
        )
        return [str(name) for (name,) in cursor.fetchall()]


def _batches(connection: Connection, relation: sql.Identifier, before: datetime) -> Iterator[int]:
    """Delete the rows before the moment; how many, batch by batch."""
    statement = sql.SQL(
        """
        DELETE FROM {relation} WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM {relation} WHERE rejected_at < %s AT TIME ZONE 'UTC'
            -- A load that is under way replaces these itself.
            LIMIT {limit} FOR UPDATE SKIP LOCKED
        ))
        """
    ).format(relation=relation, limit=sql.Literal(BATCH_ROWS))
    while True:
        with connection.cursor() as cursor:
            cursor.execute(statement, (before,))
            rows = int(cursor.rowcount)
        connection.commit()
        if not rows:
            return
        yield rows
