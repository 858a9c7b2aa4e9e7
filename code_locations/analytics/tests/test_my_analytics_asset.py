"""The mart, made from raw tables that belong to somebody else, in a real PostgreSQL."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import psycopg2
import pytest

from analytics import customer_orders
from analytics.customer_orders import MartError, replace_mart
from analytics.definitions import defs
from analytics.postgres import PostgresResource

RAW_TABLES = """
    CREATE SCHEMA raw;
    GRANT USAGE ON SCHEMA raw TO PUBLIC;
    CREATE TABLE raw.customers (customer_id bigint PRIMARY KEY, name text NOT NULL, email text);
    CREATE TABLE raw.orders (
        order_id bigint PRIMARY KEY,
        customer_id bigint NOT NULL,
        amount_cents bigint NOT NULL,
        ordered_at timestamptz NOT NULL
    );
    GRANT SELECT ON ALL TABLES IN SCHEMA raw TO PUBLIC;
    INSERT INTO raw.customers VALUES (1, 'Ada'), (2, 'Bob | Co'), (3, 'Cyd');
    INSERT INTO raw.orders VALUES
        (1, 1, 500, '2026-01-02T10:00Z'), (2, 1, 250, '2026-01-01T10:00Z'),
        (3, 2, 9000000000, '2026-01-03T10:00Z')
"""
FIRST, LAST = datetime(2026, 1, 1, 10, tzinfo=UTC), datetime(2026, 1, 2, 10, tzinfo=UTC)
BOBS = datetime(2026, 1, 3, 10, tzinfo=UTC)
ROWS = [
    (1, "Ada", 2, 750, FIRST, LAST),
    (2, "Bob | Co", 1, 9_000_000_000, BOBS, BOBS),
    (3, "Cyd", 0, 0, None, None),
]
SuperUser = Callable[[str], None]


@pytest.fixture
def as_owner(warehouse: PostgresResource, superuser: dict[str, Any]) -> SuperUser:
    """Runs SQL as somebody who, unlike this location, may write the raw tables."""

    def execute(statements: str) -> None:
        connection = psycopg2.connect(**superuser, dbname=warehouse.database)
        with connection, connection.cursor() as cursor:
            cursor.execute(statements)
        connection.close()

    return execute


@pytest.fixture
def raw_tables(as_owner: SuperUser) -> None:
    as_owner(RAW_TABLES)


def query(warehouse: PostgresResource, statement: str) -> list[tuple[Any, ...]]:
    with warehouse.get_connection() as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def mart(warehouse: PostgresResource) -> list[tuple[Any, ...]]:
    return query(warehouse, "SELECT * FROM marts.my_analytics_asset ORDER BY customer_id")


def run(warehouse: PostgresResource) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def("regenerate_analytics_job").execute_in_process(
        resources={"postgres": warehouse}, raise_on_error=False
    )


@pytest.mark.usefixtures("raw_tables")
def test_one_row_per_customer(
    warehouse: PostgresResource, capfd: pytest.CaptureFixture[str]
) -> None:
    result = run(warehouse)
    assert result.success
    assert mart(warehouse) == ROWS
    (materialization,) = result.asset_materializations_for_node("my_analytics_asset")
    seen = {name: value.value for name, value in materialization.metadata.items()}
    assert seen["dagster/row_count"] == seen["orders"] == 3
    assert seen["revenue_cents"] == 9_000_000_750
    assert "| 2 | Bob \\| Co | 1 | 9000000000 |" in seen["preview"]
    printed = capfd.readouterr().out
    assert "marts.my_analytics_asset: 3 customers, 3 orders, 9000000750 cents" in printed


@pytest.mark.usefixtures("raw_tables")
def test_a_rerun_follows_the_raw_tables(warehouse: PostgresResource, as_owner: SuperUser) -> None:
    assert run(warehouse).success
    assert run(warehouse).success
    assert mart(warehouse) == ROWS
    as_owner("DELETE FROM raw.customers WHERE customer_id = 2; DELETE FROM raw.orders")
    assert run(warehouse).success
    assert mart(warehouse) == [(1, "Ada", 0, 0, None, None), ROWS[2]]


@pytest.mark.parametrize(
    ("present", "missing"),
    [
        ("CREATE SCHEMA raw", "raw.customers and raw.orders"),
        (f"{RAW_TABLES}; DROP TABLE raw.orders", "raw.orders"),
    ],
)
def test_missing_raw_tables_name_the_job_that_makes_them(
    warehouse: PostgresResource, as_owner: SuperUser, present: str, missing: str
) -> None:
    as_owner(f"{present}; GRANT USAGE ON SCHEMA raw TO PUBLIC")
    (event,) = run(warehouse).get_step_failure_events()
    failure = event.step_failure_data.user_failure_data
    assert failure is not None
    assert failure.description == (
        f"{missing} not in the warehouse yet; run elt's sync_tables_job first"
    )
    assert query(warehouse, "SELECT to_regclass('marts.my_analytics_asset')") == [(None,)]


@pytest.mark.usefixtures("raw_tables")
def test_a_failure_changes_nothing(warehouse: PostgresResource, as_owner: SuperUser) -> None:
    assert run(warehouse).success
    as_owner("ALTER TABLE raw.orders RENAME COLUMN amount_cents TO amount")
    with (
        pytest.raises(MartError, match=r"marts.my_analytics_asset: column o.amount_cents does not"),
        warehouse.get_connection() as connection,
    ):
        replace_mart(connection, "marts")
    assert mart(warehouse) == ROWS


@pytest.mark.usefixtures("raw_tables")
def test_new_columns_make_the_table_anew(warehouse: PostgresResource) -> None:
    query(warehouse, "CREATE TABLE marts.my_analytics_asset (customer_id bigint); SELECT 1")
    assert run(warehouse).success
    assert mart(warehouse) == ROWS


@pytest.fixture
def before_commit(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, ...]]:
    """Events: the new rows are all written but not committed; go on."""
    reached, go_on = threading.Event(), threading.Event()
    original = customer_orders._result

    def pause(*arguments: Any) -> Any:
        reached.set()
        assert go_on.wait(30)
        return original(*arguments)

    monkeypatch.setattr(customer_orders, "_result", pause)
    yield reached, go_on
    go_on.set()


@pytest.mark.usefixtures("raw_tables")
def test_readers_see_the_old_rows_or_the_new(
    warehouse: PostgresResource, as_owner: SuperUser, before_commit: tuple[threading.Event, ...]
) -> None:
    reached, go_on = before_commit
    go_on.set()
    assert run(warehouse).success
    as_owner("UPDATE raw.orders SET amount_cents = 1")
    reached.clear()
    go_on.clear()
    threads = [threading.Thread(target=run, args=(warehouse,)) for _ in range(2)]
    with warehouse.get_connection() as reader, reader.cursor() as cursor:
        reader.set_session(isolation_level="REPEATABLE READ", readonly=True)
        cursor.execute("SELECT 1")  # takes the snapshot, before it has looked at the table
        for thread in threads:
            thread.start()
        assert reached.wait(30)
        assert mart(warehouse) == ROWS
        go_on.set()
        for thread in threads:
            thread.join(30)
        assert [row[3] for row in mart(warehouse)] == [2, 1, 0]
        cursor.execute("SELECT * FROM marts.my_analytics_asset ORDER BY customer_id")
        assert cursor.fetchall() == ROWS
