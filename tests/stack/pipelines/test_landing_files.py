"""Files that come into the landing zone, and days of raw.orders."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from harness import FULL, Stack, until
from holding import merging_held, waiting_loads
from landing import delete, next_look, put, requested
from runs import Run, backfill, launch_partition, load, tagged, wait_for_backfill

HEADER = "order_id,customer_id,product_id,quantity,amount_cents,ordered_at,shipped_at,note"
# Of this day the sample data has no orders.
QUIET_DAY = "2025-01-02"
FILE = f"orders_{QUIET_DAY}_late.csv"
BACKFILLED = [date(2025, 5, 1) + timedelta(days=n) for n in range(30 if FULL else 2)]


@pytest.fixture(autouse=True, scope="module")
def put_back(stack: Stack, loaded: None) -> Iterator[None]:
    yield
    load(stack, "orders").wait()
    assert orders_by_day(stack) == expected(stack)


def expected(stack: Stack) -> dict[str, int]:
    """Orders of each day, from the sample file alone."""
    file = stack.folder / "code_locations/elt/src/elt/defs/data/orders.csv"
    with file.open(newline="", encoding="utf-8") as content:
        return dict(Counter(row["ordered_at"][:10] for row in csv.DictReader(content)))


def orders_by_day(stack: Stack) -> dict[str, int]:
    """Orders of each day, from the warehouse."""
    day = "(ordered_at AT TIME ZONE 'UTC')::date"
    rows = stack.sql(f"SELECT {day}, count(*) FROM raw.orders GROUP BY 1")
    return {day: int(count) for day, count in rows}


def row_versions(stack: Stack) -> list[list[str]]:
    """Which versions of which rows there are: another one after any write."""
    return stack.sql("SELECT order_id, ctid, xmin, orders::text FROM raw.orders ORDER BY 1")


def test_a_new_file_of_a_day_is_loaded_and_nothing_else(stack: Stack) -> None:
    others = orders_by_day(stack)
    assert QUIET_DAY not in others
    try:
        put(stack, FILE, f"{HEADER}\n900001,1,1,1,100,{QUIET_DAY}T10:00:00Z,,\n")

        def is_requested() -> Run:
            found = requested(stack, FILE)
            assert len(found) == 1
            return found[0]

        run = until(is_requested, seconds=120, every=1)
        run.wait()
        assert run.tags["dagster/partition"] == QUIET_DAY
        assert orders_by_day(stack) == others | {QUIET_DAY: 1}
        if FULL:
            # A daemon that has just come does not load it again.
            stack.compose("restart", "daemon")
            next_look(stack)
            assert [again.id for again in requested(stack, FILE)] == [run.id]
        # A file that is moved away takes no rows along.
        delete(stack, FILE)
        launch_partition(stack, "orders_table", QUIET_DAY).wait()
        assert orders_by_day(stack) == others | {QUIET_DAY: 1}
    finally:
        delete(stack, FILE)
        stack.sql("DELETE FROM raw.orders WHERE order_id = 900001")
    assert orders_by_day(stack) == others


@pytest.mark.long
def test_a_backfill_replaces_these_days_and_no_others(stack: Stack) -> None:
    first, last = BACKFILLED[0], BACKFILLED[-1]
    days = f"ordered_at >= '{first} 00:00Z' AND ordered_at < '{last} 24:00Z'"
    stack.sql(f"DELETE FROM raw.orders WHERE {days} AND order_id % 2 = 0")
    stack.sql(f"UPDATE raw.orders SET amount_cents = 1 WHERE {days}")
    stack.sql(f"UPDATE raw.orders SET note = 'untouched' WHERE NOT ({days})")
    keys = [day.isoformat() for day in BACKFILLED]
    id = backfill(stack, "orders_table", keys)
    wait_for_backfill(stack, id, seconds=900)
    runs = tagged(stack, {"dagster/backfill": id})
    assert sorted(run.tags["dagster/partition"] for run in runs) == keys
    assert orders_by_day(stack) == expected(stack)
    spoiled = f"SELECT count(*) FROM raw.orders WHERE {days} AND amount_cents = 1"
    assert stack.sql(spoiled) == [["0"]]
    touched = (
        f"SELECT count(*) FROM raw.orders WHERE NOT ({days}) AND note IS DISTINCT FROM 'untouched'"
    )
    assert stack.sql(touched) == [["0"]]

    # Again: nothing is written (elt's tests/test_partitions.py show that of one day).
    if FULL:
        before = row_versions(stack)
        wait_for_backfill(stack, backfill(stack, "orders_table", keys[:5]), seconds=900)
        assert row_versions(stack) == before


@pytest.mark.long
def test_the_same_load_twice_at_once(stack: Stack) -> None:
    missing = "DELETE FROM raw.orders WHERE order_id % 3 = 0"
    stack.sql(missing)
    with merging_held(stack, "raw.orders"):
        runs = [load(stack, "orders") for _ in range(2)]
        waiting_loads(stack, 2)
    for run in runs:
        run.wait()
    assert orders_by_day(stack) == expected(stack)
    assert stack.sql("SELECT count(*) - count(DISTINCT order_id) FROM raw.orders") == [["0"]]
