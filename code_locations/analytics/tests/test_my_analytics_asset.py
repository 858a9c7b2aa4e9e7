"""The mart, made from staging views, in a real PostgreSQL."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest
from location_kit.postgres import PostgresResource

from analytics import customer_orders
from analytics.customer_orders import MartError, replace_mart
from analytics.defs.assets.my_analytics_asset import my_analytics_asset
from analytics.defs.checks.every_order_is_counted import every_order_is_counted

# As dbt makes them, with the columns that count here.
VIEWS = """
    CREATE VIEW staging.stg_customers AS
        SELECT customer_id, name AS customer_name FROM raw.customers;
    CREATE VIEW staging.stg_orders AS
        SELECT order_id, customer_id, amount_cents, ordered_at FROM raw.orders;
    GRANT SELECT ON ALL TABLES IN SCHEMA staging TO PUBLIC;
"""
FIRST, LAST = datetime(2026, 1, 1, 10, tzinfo=UTC), datetime(2026, 1, 2, 10, tzinfo=UTC)
BOBS = datetime(2026, 1, 2, 23, 30, tzinfo=UTC)
ROWS = [
    (1, "Ada", 2, 750, FIRST, LAST),
    (2, "Bob | Co", 1, 9_000_000_000, BOBS, BOBS),
    (3, "Cyd", 0, 0, None, None),
]
SuperUser = Callable[[str], None]


@pytest.fixture
def staging(raw_tables: None, as_owner: SuperUser) -> None:
    as_owner(VIEWS)


def query(warehouse: PostgresResource, statement: str) -> list[tuple[Any, ...]]:
    with warehouse.get_connection() as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def mart(warehouse: PostgresResource) -> list[tuple[Any, ...]]:
    return query(warehouse, "SELECT * FROM marts.my_analytics_asset ORDER BY customer_id")


def run(warehouse: PostgresResource) -> dg.ExecuteInProcessResult:
    definitions = dg.Definitions(
        [my_analytics_asset],
        asset_checks=[every_order_is_counted],
        resources={"postgres": warehouse},
    )
    return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        raise_on_error=False
    )


@pytest.mark.usefixtures("staging")
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


@pytest.mark.usefixtures("staging")
def test_a_rerun_follows_the_raw_tables(warehouse: PostgresResource, as_owner: SuperUser) -> None:
    assert run(warehouse).success
    assert run(warehouse).success
    assert mart(warehouse) == ROWS
    as_owner("DELETE FROM raw.customers WHERE customer_id = 2; DELETE FROM raw.orders")
    assert run(warehouse).success
    assert mart(warehouse) == [(1, "Ada", 0, 0, None, None), ROWS[2]]


@pytest.mark.parametrize(
    ("dropped", "missing"),
    [
        ("stg_customers, staging.stg_orders", "staging.stg_customers and staging.stg_orders"),
        ("stg_orders", "staging.stg_orders"),
    ],
)
@pytest.mark.usefixtures("staging")
def test_missing_models_name_the_job_that_makes_them(
    warehouse: PostgresResource, as_owner: SuperUser, dropped: str, missing: str
) -> None:
    as_owner(f"DROP VIEW staging.{dropped}")
    event, *_ = run(warehouse).get_step_failure_events()
    failure = event.step_failure_data.user_failure_data
    assert failure is not None
    assert failure.description == (
        f"{missing} not in the warehouse yet; run regenerate_analytics_job first"
    )
    assert query(warehouse, "SELECT to_regclass('marts.my_analytics_asset')") == [(None,)]


@pytest.mark.usefixtures("staging")
def test_an_order_without_a_customer_fails_the_check(
    warehouse: PostgresResource, as_owner: SuperUser
) -> None:
    (check,) = run(warehouse).get_asset_check_evaluations()
    assert check.check_name == "every_order_is_counted"
    assert check.passed
    as_owner("UPDATE raw.orders SET customer_id = 99 WHERE order_id = 1")
    (check,) = run(warehouse).get_asset_check_evaluations()
    assert not check.passed
    assert check.metadata["missing_orders"].value == 1
    assert check.metadata["missing_revenue_cents"].value == 500


@pytest.mark.usefixtures("staging")
def test_a_failure_changes_nothing(warehouse: PostgresResource, as_owner: SuperUser) -> None:
    assert run(warehouse).success
    as_owner("ALTER VIEW staging.stg_orders RENAME COLUMN amount_cents TO amount")
    with (
        pytest.raises(MartError, match=r"marts.my_analytics_asset: column o.amount_cents does not"),
        warehouse.get_connection() as connection,
    ):
        replace_mart(connection, "marts")
    assert mart(warehouse) == ROWS


@pytest.mark.usefixtures("staging")
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


@pytest.mark.usefixtures("staging")
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
