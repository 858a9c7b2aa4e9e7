"""The main job on real input: from files in the object store to the mart."""

from __future__ import annotations

import csv
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import FINAL, FULL, Stack, until
from landing import put
from runs import Begun, Run, launch, load

_AUTOMATION_RUNS = """
query Runs($tags: [ExecutionTag!]) {
  runsOrError(filter: {tags: $tags}) {
    ... on Runs { results { id status creationTime assetSelection { path } } }
  }
}"""

_LAST_LOAD = """{ assetOrError(assetKey: {path: ["products_table"]}) { ... on Asset {
  assetMaterializations(limit: 1) { timestamp } } } }"""

_TICKS = """
query Ticks($sensor: SensorSelector!) {
  sensorOrError(sensorSelector: $sensor) {
    ... on Sensor { sensorState { status ticks(limit: 100) { timestamp status } } }
  }
}"""

_ASSETS = """{ assetNodes {
  assetKey { path } dependencyKeys { path } description
  assetChecksOrError { ... on AssetChecks { checks { name } } }
  freshnessStatusInfo { freshnessStatus }
} }"""


_STEPS = """
query Steps($id: ID!) { runOrError(runId: $id) {
  ... on Run { stepStats { stepKey startTime endTime } }
} }"""


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


def test_files_to_mart(stack: Stack, loaded: None) -> None:
    # Two at once: the hour may strike while a change is being followed.
    builds = [launch(stack, "analytics", "regenerate_analytics_job") for _ in range(2)]
    for build in builds:
        build.wait(seconds=300)
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
    # They follow one another: dbt replaces tables by their names.
    spans = []
    for build in builds:
        steps = stack.ask(_STEPS, id=build.id)["runOrError"]["stepStats"]
        spans += [(s["startTime"], s["endTime"]) for s in steps if s["stepKey"] == "dbt_models"]
    (_, first_end), (second_start, _) = sorted(spans)
    assert first_end <= second_start


def assets(stack: Stack) -> dict[str, dict[str, Any]]:
    """What the UI knows of each asset, by the last part of its key."""
    return {node["assetKey"]["path"][-1]: node for node in stack.ask(_ASSETS)["assetNodes"]}


def test_lineage_reaches_across_locations(stack: Stack) -> None:
    upstream = {
        name: {key["path"][-1] for key in node["dependencyKeys"]}
        for name, node in assets(stack).items()
    }
    assert upstream["users_in_postgres"] == {"api_users"}
    assert upstream["stg_customers"] == {"customers_table"}
    assert upstream["stg_orders"] == {"orders_table"}
    assert upstream["my_analytics_asset"] == {"stg_customers", "stg_orders"}


def test_models_have_their_checks_and_descriptions(stack: Stack) -> None:
    orders = assets(stack)["stg_orders"]
    checks = {check["name"] for check in orders["assetChecksOrError"]["checks"]}
    assert {"orders_are_in_range", "unique_stg_orders_order_id"} <= checks
    assert orders["description"].startswith("Paid orders")


@pytest.mark.late
def test_tables_that_people_read_are_seen_to_be_fresh_and_others_stale(
    stack: Stack, begun: Begun, marts: None
) -> None:
    begun.stale.wait()
    if FULL:
        # An hour may have passed since the marts were made.
        launch(stack, "analytics", "regenerate_analytics_job").wait(seconds=240)

    def seen() -> None:
        status = {
            name: assets(stack)[name]["freshnessStatusInfo"]["freshnessStatus"]
            for name in ("revenue_by_day", "my_analytics_asset", "soon_stale")
        }
        assert status == {
            "revenue_by_day": "HEALTHY",
            "my_analytics_asset": "HEALTHY",
            "soon_stale": "DEGRADED",
        }

    until(seen, seconds=150, every=2)


def automation_runs(stack: Stack) -> list[dict[str, Any]]:
    """The runs that automation has asked for, newest first."""
    tags = [{"key": "dagster/from_automation_condition", "value": "true"}]
    found = stack.ask(_AUTOMATION_RUNS, tags=tags)["runsOrError"]["results"]
    return list(found)


@pytest.fixture
def nothing_follows(stack: Stack, loaded: None) -> None:
    """Former loads have been followed: while marts are made, a load is not."""
    [last] = stack.ask(_LAST_LOAD)["assetOrError"]["assetMaterializations"]
    until(lambda: evaluated_since(stack, int(last["timestamp"]) / 1000), seconds=120, every=1)

    def ended() -> None:
        assert {run["status"] for run in automation_runs(stack)} <= FINAL

    until(ended, seconds=120, every=1)


@pytest.fixture
def other_products(stack: Stack, nothing_follows: None) -> Iterator[str]:
    """A product's new name, which products.csv has from now on; put back at the end."""
    content = (stack.folder / "code_locations/elt/src/elt/defs/data/products.csv").read_text()
    header, first, *others = content.splitlines()
    number, _, rest = first.split(",", 2)
    name = f"Renamed {uuid.uuid4().hex}"
    put(stack, "products.csv", "\n".join([header, f"{number},{name},{rest}", *others, ""]))
    yield name
    put(stack, "products.csv", content)
    load(stack, "products").wait()


def test_marts_follow_a_load_by_themselves_and_once(stack: Stack, other_products: str) -> None:
    began = load(stack, "products").wait()["startTime"]

    def followers() -> list[dict[str, Any]]:
        # One that was requested before this load began follows another.
        return [run for run in automation_runs(stack) if run["creationTime"] > began]

    def first() -> dict[str, Any]:
        found = followers()
        assert found, "nothing follows the load"
        return found[0]

    follower = until(first, seconds=120, every=1)
    made = {key["path"][-1] for key in follower["assetSelection"]}
    assert {"stg_products", "product_performance"} <= made
    done = Run(stack, follower["id"]).wait(seconds=180)
    # An evaluation that sees the end of that run asks for no other.
    until(lambda: evaluated_since(stack, done["endTime"]), seconds=120, every=1)
    assert [run["id"] for run in followers()] == [follower["id"]]
    mart = f"SELECT count(*) FROM marts.product_performance WHERE product_name = '{other_products}'"
    assert stack.sql(mart) == [["1"]]


def evaluated_since(stack: Stack, moment: float) -> None:
    """Raises AssertionError until it was."""
    sensor = {
        "repositoryName": "__repository__",
        "repositoryLocationName": "analytics",
        "sensorName": "analytics_automation_sensor",
    }
    state = stack.ask(_TICKS, sensor=sensor)["sensorOrError"]["sensorState"]
    assert state["status"] == "RUNNING"
    ended = {"SKIPPED", "SUCCESS"}
    ticks = [tick for tick in state["ticks"] if tick["status"] in ended]
    assert any(tick["timestamp"] > moment for tick in ticks), state["ticks"][:3]
