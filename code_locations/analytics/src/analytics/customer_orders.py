"""The mart of orders per customer, made by one statement inside the warehouse."""

from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

TABLE = "my_analytics_asset"
# Views read, which dbt makes.
INPUTS = ("staging.stg_customers", "staging.stg_orders")
PREVIEW_ROWS = 5


class MartError(Exception):
    """The mart cannot be made; says why, and what to do."""


@dataclass(frozen=True)
class Column:
    """A column of the mart: `type` is a PostgreSQL type, spelled as `format_type()` spells it."""

    name: str
    type: str
    description: str
    nullable: bool = False


COLUMNS = (
    Column("customer_id", "bigint", "Identifies the customer."),
    Column("customer_name", "text", "Full name."),
    Column("orders", "bigint", "Number of orders; 0 for a customer who never ordered."),
    Column("revenue_cents", "bigint", "Sum of what the orders were paid, in euro cents."),
    Column("first_order_at", "timestamp with time zone", "First order, UTC.", nullable=True),
    Column("last_order_at", "timestamp with time zone", "Last order, UTC.", nullable=True),
)

# One statement, so both inputs are read as of one moment.
_SELECT = """
    SELECT
        c.customer_id,
        c.customer_name,
        count(o.order_id),
        coalesce(sum(o.amount_cents), 0)::bigint,
        min(o.ordered_at),
        max(o.ordered_at)
    FROM staging.stg_customers AS c
    LEFT JOIN staging.stg_orders AS o USING (customer_id)
    GROUP BY c.customer_id, c.customer_name
"""


@dataclass(frozen=True)
class MartResult:
    """Number of rows (one per customer), their totals, and the first rows for a preview."""

    rows: int
    orders: int
    revenue_cents: int
    preview: list[tuple[Any, ...]]


@dataclass(frozen=True)
class Totals:
    """Number of orders, and what they were paid in euro cents."""

    orders: int
    revenue_cents: int


def replace_mart(connection: Connection, schema: str) -> MartResult:
    """Rebuild `schema.my_analytics_asset` from the staging models in one transaction, and commit.

    Readers are never blocked and see the old rows or the new ones, whatever their isolation
    level: that is why rows are deleted and inserted rather than the table truncated or swapped.
    Two at once run one after the other. Raises MartError; the caller rolls back.
    """
    target = sql.Identifier(schema, TABLE)
    try:
        with connection.cursor() as cursor:
            lock = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
            cursor.execute(lock, (f"{schema}.{TABLE}",))
            _require_inputs(cursor)
            _conform(cursor, target)
            cursor.execute(sql.SQL("DELETE FROM {}").format(target))
            cursor.execute(sql.SQL("INSERT INTO {} {}").format(target, sql.SQL(_SELECT)))
            result = _result(cursor, target)
        connection.commit()
    except psycopg2.Error as error:
        reason = error.diag.message_primary or str(error).strip()
        raise MartError(f"{schema}.{TABLE}: {reason}") from None
    return result


def uncounted(connection: Connection, schema: str) -> Totals:
    """What staging has and `schema.my_analytics_asset` lacks; negative where it has too much."""
    statement = """
        SELECT staged.orders - mart.orders, staged.revenue_cents - mart.revenue_cents
        FROM (
            SELECT count(*) AS orders, coalesce(sum(amount_cents), 0)::bigint AS revenue_cents
            FROM staging.stg_orders
        ) AS staged
        CROSS JOIN (
            SELECT
                coalesce(sum(orders), 0)::bigint AS orders,
                coalesce(sum(revenue_cents), 0)::bigint AS revenue_cents
            FROM {}
        ) AS mart
    """
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(statement).format(sql.Identifier(schema, TABLE)))
        return Totals(*(cursor.fetchone() or (0, 0)))


def _require_inputs(cursor: Cursor) -> None:
    missing = []
    for name in INPUTS:
        cursor.execute("SELECT to_regclass(%s) IS NULL", (name,))
        if cursor.fetchone() == (True,):
            missing.append(name)
    if missing:
        raise MartError(
            f"{' and '.join(missing)} not in the warehouse yet; run regenerate_analytics_job first"
        )


def _conform(cursor: Cursor, target: sql.Identifier) -> None:
    """Create the target; re-create it when it does not have the declared columns."""
    cursor.execute(
        """
        SELECT attname, format_type(atttypid, atttypmod), NOT attnotnull FROM pg_attribute
        WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
        ORDER BY attnum
        """,
        (target.as_string(cursor),),
    )
    if cursor.fetchall() == [(column.name, column.type, column.nullable) for column in COLUMNS]:
        return
    columns = [
        sql.SQL("{} {}{}").format(
            sql.Identifier(column.name),
            sql.SQL(column.type),
            sql.SQL("" if column.nullable else " NOT NULL"),
        )
        for column in COLUMNS
    ]
    cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(target))
    cursor.execute(
        sql.SQL("CREATE TABLE {} ({}, PRIMARY KEY (customer_id))").format(
            target, sql.SQL(", ").join(columns)
        )
    )


def _result(cursor: Cursor, target: sql.Identifier) -> MartResult:
    totals = """
        SELECT count(*), coalesce(sum(orders), 0)::bigint, coalesce(sum(revenue_cents), 0)::bigint
        FROM {}
    """
    cursor.execute(sql.SQL(totals).format(target))
    rows, orders, revenue_cents = cursor.fetchone() or (0, 0, 0)
    preview = "SELECT * FROM {} ORDER BY revenue_cents DESC, customer_id LIMIT {}"
    cursor.execute(sql.SQL(preview).format(target, sql.Literal(PREVIEW_ROWS)))
    return MartResult(rows, orders, revenue_cents, cursor.fetchall())
