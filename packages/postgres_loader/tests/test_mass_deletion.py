"""A file that would delete most of what it replaces is refused, unless somebody means it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from location_kit.postgres import PostgresResource
from location_kit.testing import query
from order_files import failure, load_asset, order, stored, write
from shop import CUSTOMERS, ORDERS

from postgres_loader import Table, table_asset

Run = Callable[..., dg.ExecuteInProcessResult]
CUSTOMER_HEADER = "customer_id,name,email,city,country,registered_at\n"


@pytest.fixture
def run(tmp_path: Path, warehouse: PostgresResource) -> Run:
    def run_table(table: Table, day: str | None = None, **config: Any) -> dg.ExecuteInProcessResult:
        run_config = {"ops": {f"{table.name}_table": {"config": config}}}
        asset = table_asset(table)
        return load_asset(asset, tmp_path, warehouse, partition_key=day, run_config=run_config)

    return run_table


@pytest.fixture
def put(tmp_path: Path) -> Callable[[int], Path]:
    """Puts a file of that many customers."""

    def put_customers(count: int) -> Path:
        file = tmp_path / "customers.csv"
        rows = (f"{n},Ada,,,GB,2025-01-01T00:00:00Z\n" for n in range(count))
        file.write_text(CUSTOMER_HEADER + "".join(rows))
        return file

    return put_customers


def count(warehouse: PostgresResource, table: str = "customers") -> int:
    return int(query(warehouse, f"SELECT count(*) FROM raw.{table}")[0][0])


def test_one_row_does_not_replace_thousands(
    run: Run, put: Callable[[int], Path], warehouse: PostgresResource
) -> None:
    put(5000)
    assert run(CUSTOMERS).success
    file = put(1)
    said = failure(run(CUSTOMERS))
    assert said.startswith(f"{file.as_uri()}: raw.customers: 4999 of its 5000 rows are not in")
    assert said.endswith(
        "nothing was changed. If it is right, launch customers_table once with this config: "
        "{ops: {customers_table: {config: {max_deleted_share: 1}}}}"
    )
    assert count(warehouse) == 5000
    assert run(CUSTOMERS, max_deleted_share=1).success
    assert count(warehouse) == 1


def test_the_environment_s_share_goes_for_all_tables(
    run: Run, put: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(1000)
    assert run(CUSTOMERS).success
    put(900)
    monkeypatch.setenv("MAX_DELETED_SHARE", "0.05")
    assert "more than the share of 5%" in failure(run(CUSTOMERS))
    monkeypatch.setenv("MAX_DELETED_SHARE", "all")
    assert "MAX_DELETED_SHARE is 'all'; it must be a number" in failure(run(CUSTOMERS))
    monkeypatch.setenv("MAX_DELETED_SHARE", "0.05")
    assert run(CUSTOMERS, max_deleted_share=0.2).success


def test_a_day_is_guarded_by_its_own_rows(
    run: Run, tmp_path: Path, warehouse: PostgresResource
) -> None:
    day, rest = "2025-02-02", [order(n, "2025-02-01T10:00:00Z") for n in range(1000, 3000)]
    lines = [order(n, f"{day}T10:00:00Z") for n in range(200)]
    write(tmp_path / "orders.csv", *rest, *lines)
    assert run(ORDERS).success
    write(tmp_path / f"orders_{day}.csv", lines[0])
    for partition in (None, day):
        said = failure(run(ORDERS, partition))
        assert f"orders_{day}.csv: raw.orders: 199 of its 200 rows are not in the source" in said
        assert f"launch orders_table, partition {day}, once with this config" in said
    assert len(stored(warehouse)) == 2200
    assert run(ORDERS, day, max_deleted_share=1).success
    assert len(stored(warehouse)) == 2001
