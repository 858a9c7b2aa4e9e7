"""Days of raw.orders: one by one, from files of their own, and as parts of the whole table."""

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from location_kit.postgres import PostgresResource
from order_files import HEADER, failure, load_asset, order, stored, write
from shop import orders_table

from postgres_loader import LandingZoneResource

ORDERS = dg.AssetKey("orders_table")
Run = Callable[..., dg.ExecuteInProcessResult]


# The last instant of a day and the first of the next, with and without UTC's own sign.
WHOLE = [
    order(1, "2025-01-01T00:00:00Z"),
    order(2, "2025-01-01T23:59:59.999999Z"),
    order(3, "2025-01-02T00:30:00+01:00"),
    order(4, "2025-01-02T00:00:00Z"),
    order(5, "2025-01-04T12:00:00"),
    order(6, "2024-12-31T12:00:00Z"),
]


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    write(tmp_path / "orders.csv", *WHOLE)
    return tmp_path


@pytest.fixture
def run(landing: Path, warehouse: PostgresResource, instance: dg.DagsterInstance) -> Run:
    """Loads orders: one day, or without a day all of them."""

    def run_orders(day: str | None = None) -> dg.ExecuteInProcessResult:
        return load_asset(orders_table, landing, warehouse, instance=instance, partition_key=day)

    return run_orders


def reported(result: dg.ExecuteInProcessResult) -> dict[str | None, dg.AssetMaterialization]:
    """Materializations by partition; None is the table."""
    found = result.asset_materializations_for_node("orders_table")
    assert max(Counter(each.partition for each in found).values(), default=1) == 1
    return {each.partition: each for each in found}


def days(result: dg.ExecuteInProcessResult) -> dict[str | None, Any]:
    """Rows of each reported day."""
    return {
        day: each.metadata["dagster/partition_row_count"].value
        for day, each in reported(result).items()
        if day
    }


def version(result: dg.ExecuteInProcessResult, day: str | None = None) -> str:
    return (reported(result)[day].tags or {})["dagster/data_version"]


def test_a_run_without_partition_reports_each_changed_day(
    run: Run, landing: Path, instance: dg.DagsterInstance
) -> None:
    first = run()
    assert days(first) == {"2025-01-01": 3, "2025-01-02": 1, "2025-01-04": 1}
    assert instance.get_materialized_partitions(ORDERS) == set(days(first))
    again = run()
    assert days(again) == {}
    assert version(again) == version(first)
    write(landing / "orders.csv", *WHOLE[:3], order(4, "2025-01-02T00:00:00Z", 7), *WHOLE[5:])
    third = run()
    assert days(third) == {"2025-01-02": 1, "2025-01-04": 0}
    assert version(third) != version(first)
    assert version(third, "2025-01-02") != version(first, "2025-01-02")


def test_a_day_s_file_that_is_moved_away_takes_no_rows_along(
    run: Run, landing: Path, warehouse: PostgresResource
) -> None:
    write(landing / "orders_2025-02-02.csv", order(50, "2025-02-02T10:00:00Z"))
    assert run().success
    (landing / "orders_2025-02-02.csv").unlink()
    result = run()
    assert days(result) == {}
    assert 50 in stored(warehouse)
    # What a day's file leaves out is gone.
    write(landing / "orders_2025-02-02.csv", order(51, "2025-02-02T10:00:00Z"))
    assert run("2025-02-02").success
    assert {50, 51} & stored(warehouse).keys() == {51}


def test_one_run_may_delete_what_is_said_to_be_right(
    landing: Path, warehouse: PostgresResource
) -> None:
    many = [order(number, "2025-01-01T00:00:00Z") for number in range(200)]
    write(landing / "orders.csv", *many)

    def load(**config: float) -> dg.ExecuteInProcessResult:
        resources = {"landing_zone": LandingZoneResource(uri=landing.as_uri())}
        return dg.materialize(
            [orders_table],
            raise_on_error=False,
            resources={**resources, "postgres": warehouse},
            run_config={"ops": {"orders_table": {"config": config}}},
        )

    assert load().success
    write(landing / "orders.csv", many[0])
    said = failure(load())
    assert "raw.orders: 199 of its 200 rows are not in the source" in said
    assert "{ops: {orders_table: {config: {max_deleted_share: 1}}}}" in said
    assert len(stored(warehouse)) == 200
    assert load(max_deleted_share=1).success
    assert len(stored(warehouse)) == 1


def test_a_partition_replaces_its_day_and_no_other(
    run: Run, landing: Path, warehouse: PostgresResource
) -> None:
    assert run().success
    changed = [order(number, line.split(",")[5], 7) for number, line in enumerate(WHOLE, 1)]
    write(landing / "orders.csv", changed[0], *changed[2:], order(9, "2025-01-01T10:00:00Z", 7))
    first = run("2025-01-01")
    assert days(first) == {"2025-01-01": 3}
    assert stored(warehouse) == {1: 7, 3: 7, 4: 100, 5: 100, 6: 100, 9: 7}
    again = run("2025-01-01")
    assert (days(again), version(again, "2025-01-01")) == (
        days(first),
        version(first, "2025-01-01"),
    )
    metadata = reported(again)["2025-01-01"].metadata
    assert [metadata[name].value for name in ("inserted", "updated", "deleted")] == [0, 0, 0]


def test_a_day_s_version_changes_with_its_own_rows_only(run: Run, landing: Path) -> None:
    before = version(run("2025-01-01"), "2025-01-01")
    other = version(run("2025-01-02"), "2025-01-02")
    assert before != other
    assert version(run("2025-01-01"), "2025-01-01") == before
    assert version(run(), None) not in (before, other)
    assert version(run("2025-01-02"), "2025-01-02") == other


def test_a_day_without_orders_is_loaded_as_such(run: Run, warehouse: PostgresResource) -> None:
    assert run().success
    assert days(run("2025-01-03")) == {"2025-01-03": 0}
    assert len(stored(warehouse)) == len(WHOLE)


def test_files_of_a_day_are_loaded_together_and_instead_of_the_whole_file_s_rows(
    run: Run, landing: Path, warehouse: PostgresResource
) -> None:
    write(landing / "orders_2025-01-01.csv", order(1, "2025-01-01T01:00:00Z", 7))
    record = dict(
        zip(HEADER.split(","), order(8, "2025-01-01T02:00:00Z", 8).split(","), strict=True)
    )
    late = json.dumps({name: value or None for name, value in record.items()} | {"more": 1})
    (landing / "orders_2025-01-01_late.jsonl.gz").write_bytes(gzip.compress(late.encode()))
    write(landing / "orders_2025-01-03.csv", order(9, "2025-01-03T02:00:00Z", 9))
    first = run("2025-01-01")
    assert days(first) == {"2025-01-01": 2}
    files = reported(first)["2025-01-01"].metadata["files"].value
    assert [name.rpartition("/")[2] for name in files] == [
        "orders_2025-01-01.csv",
        "orders_2025-01-01_late.jsonl.gz",
    ]
    expected = {1: 7, 4: 100, 5: 100, 6: 100, 8: 8, 9: 9}
    whole = run()
    assert stored(warehouse) == expected
    assert set(days(whole)) == {"2025-01-02", "2025-01-03", "2025-01-04"}
    again = run()
    assert (stored(warehouse), days(again), version(again)) == (expected, {}, version(whole))
    assert reported(again)[None].metadata["dagster/row_count"].value == len(expected)


def test_the_same_key_in_two_files_of_a_day_is_named(run: Run, landing: Path) -> None:
    write(landing / "orders_2025-01-01.csv", order(1, "2025-01-01T01:00:00Z"))
    write(landing / "orders_2025-01-01_b.csv", order(1, "2025-01-01T02:00:00Z"))
    said = failure(run("2025-01-01"))
    assert "orders_2025-01-01_b.csv, column order_id: key 1 is there, and in another file" in said


def test_bad_rows_of_each_file_of_a_day_are_kept_apart(
    run: Run, landing: Path, warehouse: PostgresResource
) -> None:
    good = [order(number, "2025-01-01T01:00:00Z") for number in range(100, 300)]
    write(landing / "orders_2025-01-01.csv", *good[:100], order(7, "2025-01-01T25:00:00Z"))
    write(landing / "orders_2025-01-01_b.csv", *good[100:], order(8, "2025-01-01T25:00:00Z"))
    assert days(run("2025-01-01")) == {"2025-01-01": 200}
    assert len(stored(warehouse)) == 200
    with warehouse.get_connection() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT right(file, 5), line FROM raw.orders_rejected ORDER BY 1")
        assert cursor.fetchall() == [("1.csv", 102), ("b.csv", 102)]


def test_a_row_of_another_day_in_a_day_s_file_is_an_error(
    run: Run, landing: Path, warehouse: PostgresResource
) -> None:
    assert run().success
    write(
        landing / "orders_2025-01-01.csv",
        order(1, "2025-01-01T01:00:00Z", 7),
        order(77, "2025-01-02T00:00:00Z", 7),
    )
    said = failure(run("2025-01-01"))
    assert "orders_2025-01-01.csv, column ordered_at: 1 of its rows are not of 2025-01-01" in said
    assert "order_id 77" in said
    assert set(stored(warehouse).values()) == {100}


def test_a_bad_file_of_a_day_keeps_no_other_day_from_being_loaded(
    run: Run, landing: Path, warehouse: PostgresResource, instance: dg.DagsterInstance
) -> None:
    write(landing / "orders_2025-01-01.csv", order(1, "2025-01-01T01:00:00Z", 7))
    write(landing / "orders_2025-01-02.csv", order(4, "never"))
    write(landing / "orders_2025-01-03.csv", order(9, "2025-01-03T02:00:00Z", 9))
    result = run()
    said = failure(result)
    assert "orders_2025-01-02.csv, line 2, column ordered_at: this is not a date" in said
    assert said.endswith("what other files hold is loaded")
    assert stored(warehouse) == {1: 7, 5: 100, 6: 100, 9: 9}
    assert instance.get_materialized_partitions(ORDERS) == {
        "2025-01-01",
        "2025-01-03",
        "2025-01-04",
    }


def test_no_file_and_two_files_are_named(run: Run, landing: Path) -> None:
    (landing / "orders.csv").rename(landing / "orders.jsonl")
    write(landing / "orders.csv", *WHOLE)
    for day in (None, "2025-01-01"):
        assert "holds orders.csv and orders.jsonl: which of them" in failure(run(day))
    for file in landing.iterdir():
        file.unlink()
    (landing / "customers.csv").touch()
    said = failure(run("2025-01-01"))
    assert "orders_2025-01-01.csv does not exist; the landing zone holds customers.csv" in said
