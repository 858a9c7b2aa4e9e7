"""Days of raw.orders that were loaded from files of their own, when these have gone."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from location_kit.postgres import PostgresResource
from location_kit.testing import query
from order_files import HEADER, failure, load_asset, order, stored, write
from shop import ORDERS

from postgres_loader import Table, table_asset

Run = Callable[..., dg.ExecuteInProcessResult]
WHOLE = [order(1, "2025-02-01T10:00:00Z"), order(2, "2025-02-02T10:00:00Z")]
DAY = "2025-02-02"


@pytest.fixture
def run(tmp_path: Path, warehouse: PostgresResource) -> Run:
    """Loads orders: one day, or without a day all of them."""

    def run_orders(
        day: str | None = None, *, table: Table = ORDERS, **config: Any
    ) -> dg.ExecuteInProcessResult:
        run_config = {"ops": {"orders_table": {"config": config}}}
        asset = table_asset(table)
        return load_asset(asset, tmp_path, warehouse, partition_key=day, run_config=run_config)

    return run_orders


@pytest.fixture
def day_file(tmp_path: Path, run: Run) -> Path:
    """The file of a day, loaded beside the whole table's, and not there any more."""
    write(tmp_path / "orders.csv", *WHOLE)
    file = tmp_path / f"orders_{DAY}.csv"
    write(file, order(2, f"{DAY}T10:00:00Z", 7), order(3, f"{DAY}T11:00:00Z", 7))
    assert run().success
    file.unlink()
    return file


def put_later(file: Path, *lines: str) -> None:
    """Write the file, later than all that were there."""
    write(file, *lines)
    os.utime(file, (file.stat().st_mtime + 5,) * 2)


def test_a_day_whose_files_were_moved_away_keeps_its_rows(
    run: Run, day_file: Path, warehouse: PostgresResource
) -> None:
    for _ in range(2):
        result = run()
        assert result.success
        assert stored(warehouse) == {1: 100, 2: 7, 3: 7}
    found = query(warehouse, "SELECT day::text, files FROM raw.orders_days")
    assert found == [(DAY, [day_file.name])]


def test_a_day_keeps_its_rows_whatever_day_the_whole_file_says_they_are_of(
    run: Run, day_file: Path, warehouse: PostgresResource
) -> None:
    os.utime(day_file.parent / "orders.csv", (1, 1))
    write(day_file.parent / "orders.csv", WHOLE[0], order(3, "2025-02-01T11:00:00Z"))
    os.utime(day_file.parent / "orders.csv", (1, 1))
    result = run()
    assert stored(warehouse) == {1: 100, 2: 7, 3: 7}
    (seen,) = (m.metadata for m in result.asset_materializations_for_node("orders_table"))
    assert [seen[name].value for name in ("outside", "updated", "deleted")] == [1, 0, 0]


def test_a_later_file_of_the_whole_table_takes_over_the_days_that_it_has(
    run: Run, day_file: Path, warehouse: PostgresResource
) -> None:
    other = day_file.with_name("orders_2025-02-03.csv")
    write(other, order(4, "2025-02-03T10:00:00Z", 7))
    assert run().success
    other.unlink()
    put_later(day_file.parent / "orders.csv", WHOLE[0], order(2, f"{DAY}T10:00:00Z", 8))
    assert run().success
    # It has nothing of February 3rd, so it does not say that there was nothing.
    assert stored(warehouse) == {1: 100, 2: 8, 4: 7}
    assert query(warehouse, "SELECT day::text FROM raw.orders_days") == [("2025-02-03",)]


def test_a_day_s_files_are_believed_for_as_long_as_they_are_there(
    run: Run, day_file: Path, warehouse: PostgresResource
) -> None:
    write(day_file, order(2, f"{DAY}T10:00:00Z", 9))
    put_later(day_file.parent / "orders.csv", *WHOLE)
    assert run().success
    assert stored(warehouse) == {1: 100, 2: 9}
    day_file.unlink()
    assert run().success
    assert stored(warehouse) == {1: 100, 2: 9}


def test_a_partition_is_not_loaded_from_an_older_file_of_the_whole_table(
    run: Run, day_file: Path, warehouse: PostgresResource, capfd: pytest.CaptureFixture[str]
) -> None:
    advice = (
        f"launch orders_table, partition {DAY}, once with this config: "
        "{ops: {orders_table: {config: {replace_days: true}}}}"
    )
    whole = day_file.with_name("orders.csv")
    for lines in (None, WHOLE[:1]):
        # The second one is a later file, and has no row of the day.
        if lines:
            put_later(whole, *lines)
        capfd.readouterr()
        result = run(DAY)
        assert result.success
        (seen,) = (m.metadata for m in result.asset_materializations_for_node("orders_table"))
        assert seen["dagster/partition_row_count"].value == 0
        logged = capfd.readouterr().err
        assert (
            f"raw.orders keeps the rows that files of their own had of {DAY}: orders.csv was not"
            in logged
        )
        assert advice in logged
        assert stored(warehouse) == {1: 100, 2: 7, 3: 7}
    put_later(whole, *WHOLE)
    assert run(DAY).success
    assert stored(warehouse) == {1: 100, 2: 100}
    # From now on the day is the whole file's again.
    write(whole, WHOLE[0], order(2, f"{DAY}T10:00:00Z", 5))
    os.utime(whole, (1, 1))
    assert run(DAY).success
    assert stored(warehouse) == {1: 100, 2: 5}


@pytest.mark.parametrize("day", [None, DAY])
def test_the_operator_can_give_days_back_to_the_whole_file(
    run: Run, day_file: Path, warehouse: PostgresResource, day: str | None
) -> None:
    assert run(day, replace_days=True).success
    assert stored(warehouse) == {1: 100, 2: 100}
    assert run().success
    assert stored(warehouse) == {1: 100, 2: 100}


def test_a_late_file_of_a_day_adds_to_what_was_moved_away(
    run: Run, day_file: Path, warehouse: PostgresResource, capfd: pytest.CaptureFixture[str]
) -> None:
    late = day_file.with_name(f"orders_{DAY}_late.csv")
    write(late, order(3, f"{DAY}T11:00:00Z", 8), order(4, f"{DAY}T12:00:00Z", 8))
    for day in (DAY, None):
        assert run(day).success
        assert stored(warehouse) == {1: 100, 2: 7, 3: 8, 4: 8}
        logged = capfd.readouterr().err
        assert f"{day_file.name} had of {DAY}, beside those of {late.name}" in logged
    # A file that is there says which rows it has.
    write(day_file, order(2, f"{DAY}T10:00:00Z", 9))
    assert run(DAY).success
    assert stored(warehouse) == {1: 100, 2: 9, 3: 8, 4: 8}
    write(late, order(4, f"{DAY}T12:00:00Z", 9))
    assert run(DAY).success
    assert stored(warehouse) == {1: 100, 2: 9, 4: 9}
    day_file.unlink()
    assert run(DAY, replace_days=True).success
    assert stored(warehouse) == {1: 100, 4: 9}
    capfd.readouterr()
    assert run(DAY).success
    assert "keeps the rows" not in capfd.readouterr().err


def test_a_table_that_was_dropped_is_loaded_whole(
    run: Run, day_file: Path, warehouse: PostgresResource
) -> None:
    query(warehouse, "DROP TABLE raw.orders; SELECT 1")
    assert run().success
    assert stored(warehouse) == {1: 100, 2: 100}


def test_a_day_s_failed_load_is_not_remembered(
    run: Run, tmp_path: Path, warehouse: PostgresResource
) -> None:
    write(tmp_path / "orders.csv", *WHOLE)
    file = tmp_path / f"orders_{DAY}.csv"
    write(file, order(2, "2025-02-03T10:00:00Z", 7))
    assert not run().success
    file.unlink()
    assert run().success
    assert stored(warehouse) == {1: 100, 2: 100}


DAYS_NULLABLE = replace(
    ORDERS,
    columns=tuple(
        replace(column, nullable=True) if column.name == "ordered_at" else column
        for column in ORDERS.columns
    ),
)


def test_rows_without_a_day_come_from_the_whole_file_and_are_counted(
    run: Run, tmp_path: Path, warehouse: PostgresResource
) -> None:
    write(tmp_path / "orders.csv", *WHOLE, order(7, ""), order(8, ""))
    write(tmp_path / f"orders_{DAY}.csv", order(2, f"{DAY}T10:00:00Z", 7))
    for _ in range(2):
        result = run(table=DAYS_NULLABLE)
        assert stored(warehouse) == {1: 100, 2: 7, 7: 100, 8: 100}
    (seen,) = result.asset_materializations_for_node("orders_table")
    assert [seen.metadata[name].value for name in ("dagster/row_count", "outside")] == [4, 1]
    (tmp_path / f"orders_{DAY}.csv").unlink()
    write(tmp_path / "orders.csv", WHOLE[0], order(7, ""))
    assert run(table=DAYS_NULLABLE).success
    assert stored(warehouse) == {1: 100, 2: 7, 7: 100}
    (tmp_path / "orders.csv").unlink()
    write(tmp_path / f"orders_{DAY}.csv", order(2, f"{DAY}T10:00:00Z", 8))
    assert run(table=DAYS_NULLABLE).success
    assert stored(warehouse) == {1: 100, 2: 8, 7: 100}


def test_a_row_without_a_day_in_a_file_of_a_day_is_refused(run: Run, tmp_path: Path) -> None:
    file = tmp_path / f"orders_{DAY}.csv"
    write(file, order(2, f"{DAY}T10:00:00Z"), order(7, ""))
    assert "1 of its rows are not of 2025-02-02" in failure(run(table=DAYS_NULLABLE))


MAY_BE_EMPTY = replace(ORDERS, days_may_be_empty=True)


def test_a_file_of_a_day_without_rows_empties_the_day_if_the_table_says_so(
    run: Run, day_file: Path, warehouse: PostgresResource
) -> None:
    write(day_file)
    said = failure(run())
    assert f"{day_file.name}: there is not a single row" in said
    assert "declare the table with days_may_be_empty" in said
    assert stored(warehouse) == {1: 100, 2: 7, 3: 7}
    assert run(table=MAY_BE_EMPTY).success
    assert stored(warehouse) == {1: 100}
    day_file.unlink()
    assert run(table=MAY_BE_EMPTY).success
    assert stored(warehouse) == {1: 100}


def test_a_whole_file_without_rows_stays_an_error(
    run: Run, tmp_path: Path, day_file: Path, warehouse: PostgresResource
) -> None:
    write(tmp_path / "orders.csv")
    assert "orders.csv: there is not a single row" in failure(run(table=MAY_BE_EMPTY))
    assert stored(warehouse) == {1: 100, 2: 7, 3: 7}


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet"])
def test_a_file_of_zero_bytes_is_named_and_keeps_no_other_from_being_loaded(
    run: Run, day_file: Path, warehouse: PostgresResource, suffix: str
) -> None:
    file = day_file.with_name(f"orders_2025-02-03{suffix}")
    file.touch()
    write(day_file)
    said = failure(run(table=MAY_BE_EMPTY))
    assert f"{file.name}: the file is empty" in said
    assert said.endswith("what other files hold is loaded")
    assert stored(warehouse) == {1: 100}


def test_files_of_a_day_of_which_one_has_no_rows(
    run: Run, day_file: Path, warehouse: PostgresResource
) -> None:
    write(day_file, order(5, f"{DAY}T10:00:00Z"))
    day_file.with_name(f"orders_{DAY}_b.csv").write_text(HEADER + "\n")
    assert run(DAY, table=MAY_BE_EMPTY).success
    assert stored(warehouse) == {1: 100, 5: 100}
