"""The main job on real input: from files in the object store to the mart."""

from __future__ import annotations

import csv
import sqlite3
from pathlib import Path

from harness import Stack
from runs import launch


def expected_mart(data: Path) -> list[tuple[object, ...]]:
    """What the mart must hold, from the CSV files alone and by other SQL in another engine."""
    database = sqlite3.connect(":memory:")
    for table in ("customers", "orders"):
        with (data / f"{table}.csv").open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
        columns = ", ".join(rows[0])
        database.execute(f"CREATE TABLE {table} ({columns})")
        marks = ", ".join("?" for _ in rows[0])
        database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows[1:])
    return database.execute(
        """
        SELECT c.customer_id, count(o.order_id), coalesce(sum(CAST(o.amount_cents AS integer)), 0),
               min(o.ordered_at), max(o.ordered_at)
        FROM customers c LEFT JOIN orders o ON o.customer_id = c.customer_id
        GROUP BY c.customer_id ORDER BY CAST(c.customer_id AS integer)
        """
    ).fetchall()


def test_files_to_mart(stack: Stack) -> None:
    launch(stack, "elt", "sync_tables_job").wait()
    launch(stack, "analytics", "regenerate_analytics_job").wait()
    form = 'YYYY-MM-DD"T"HH24:MI:SS"Z"'
    rows = stack.sql(
        "SELECT customer_id, orders, revenue_cents,"
        f" to_char(first_order_at AT TIME ZONE 'UTC', '{form}'),"
        f" to_char(last_order_at AT TIME ZONE 'UTC', '{form}')"
        " FROM marts.my_analytics_asset ORDER BY customer_id"
    )
    expected = expected_mart(stack.folder / "code_locations/elt/src/elt/defs/data")
    assert len(rows) > 10
    assert rows == [["" if v is None else str(v) for v in row] for row in expected]


def test_a_second_run_leaves_the_same_rows(stack: Stack) -> None:
    before = stack.sql("SELECT * FROM raw.orders ORDER BY 1")
    launch(stack, "elt", "sync_tables_job").wait()
    assert stack.sql("SELECT * FROM raw.orders ORDER BY 1") == before


def test_lineage_reaches_across_locations(stack: Stack) -> None:
    nodes = stack.ask("{ assetNodes { assetKey { path } dependencyKeys { path } } }")["assetNodes"]
    upstream = {
        node["assetKey"]["path"][-1]: {key["path"][-1] for key in node["dependencyKeys"]}
        for node in nodes
    }
    assert {"customers_table", "orders_table"} <= upstream["my_analytics_asset"]
    assert upstream["users_in_postgres"] == {"api_users"}
