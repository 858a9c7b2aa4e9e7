"""Loads that meet a file that lost its rows, the end of their container, and a store that is away.

Each looks at a table of its own, so that what one leaves is in no other's way.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from harness import Stack, until
from holding import merging_held, reading_held, waiting_loads
from landing import put
from runs import Run, launch, load, tagged

DATA = "code_locations/elt/src/elt/defs/data"


@pytest.fixture(autouse=True)
def _loaded(loaded: None) -> None:
    """What is disturbed has rows."""


def rows(stack: Stack, table: str) -> list[list[str]]:
    """Which versions of which rows there are: another one after any write."""
    return stack.sql(f"SELECT ctid, xmin, t::text FROM raw.{table} AS t ORDER BY 3")


def left_over(stack: Stack) -> list[list[str]]:
    """What loads have beside the tables while they go on."""
    found = "SELECT relname FROM pg_class WHERE relnamespace = 'raw'::regnamespace"
    return stack.sql(f"{found} AND relname LIKE '%\\_\\_%'")


def test_a_file_that_lost_its_rows_is_refused_unless_somebody_means_it(stack: Stack) -> None:
    content = (stack.folder / DATA / "customers.csv").read_text(encoding="utf-8")
    before = rows(stack, "customers")
    put(stack, "customers.csv", "\n".join(content.splitlines()[:3]) + "\n")
    try:
        refused = load(stack, "customers")
        refused.wait("FAILURE")
        assert rows(stack, "customers") == before
        said = re.search(
            r"launch customers_table once with this config: (\{.*?\}\}\}\})", refused.text()
        )
        assert said, refused.text()
        config: dict[str, Any] = yaml.safe_load(said[1])
        launch(stack, "elt", "__ASSET_JOB", config, assets=["customers_table"]).wait()
        assert len(rows(stack, "customers")) == 2
    finally:
        put(stack, "customers.csv", content)
        load(stack, "customers").wait()
    assert len(rows(stack, "customers")) == len(before)


@pytest.mark.long
def test_the_retry_of_a_load_that_was_killed_loads_at_once(stack: Stack) -> None:
    all_of_them = len(rows(stack, "orders"))
    stack.sql("DELETE FROM raw.orders WHERE order_id % 3 = 0")
    before = rows(stack, "orders")
    with merging_held(stack, "raw.orders"):
        run = load(stack, "orders")
        (session,) = waiting_loads(stack, 1)
        stack.run("docker", "kill", run.tags["docker/container_id"])

        def gone() -> None:
            query = f"SELECT FROM pg_stat_activity WHERE pid = {session}"
            assert stack.sql(f"SELECT EXISTS ({query})") == [["f"]]

        # The server looks every 5 seconds whether its client is there.
        until(gone, seconds=15)
        run.wait("FAILURE")
        assert rows(stack, "orders") == before

        def launched() -> Run:
            retries = tagged(stack, {"dagster/parent_run_id": run.id})
            assert len(retries) == 1
            return retries[0]

        retry = until(launched, seconds=60)
        # It has the other one's lock, and waits for the table alone.
        assert waiting_loads(stack, 1) != [session]
    retry.wait()
    assert len(rows(stack, "orders")) == all_of_them
    assert left_over(stack) == []


@pytest.mark.long
def test_a_load_outlives_an_outage_of_the_store(stack: Stack) -> None:
    all_of_them = len(rows(stack, "products"))
    stack.sql("DELETE FROM raw.products WHERE product_id % 2 = 0")
    try:
        with reading_held(stack, "raw.products"):
            run = load(stack, "products")
            waiting_loads(stack, 1)
            stack.compose("stop", "object_store")

        def tried_again() -> None:
            kinds = [event["__typename"] for event in run.events()]
            assert "ExecutionStepRestartEvent" in kinds, kinds

        # Some 20 s after it went.
        until(tried_again, seconds=90)
    finally:
        stack.compose("start", "object_store")
    run.wait()
    assert "Could not connect to the endpoint URL" in run.text()
    assert len(rows(stack, "products")) == all_of_them
    assert left_over(stack) == []
