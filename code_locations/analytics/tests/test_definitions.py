"""What the location offers: exactly this, and without network, settings or secrets."""

import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime

import dagster as dg
from dagster._utils.schedules import schedule_execution_time_iterator

from analytics.definitions import defs

STAGING = {f"staging/stg_{name}" for name in ("customers", "orders", "products", "users")}
MARTS = {f"marts/{name}" for name in ("customer_orders", "product_performance", "revenue_by_day")}


def names(keys: Iterable[dg.AssetKey]) -> set[str]:
    return {key.to_user_string() for key in keys}


def test_exactly_these_definitions() -> None:
    graph = defs.resolve_asset_graph()
    assert names(graph.materializable_asset_keys) == {*STAGING, *MARTS, "my_analytics_asset"}
    # elt's assets: known by key, made elsewhere.
    assert names(graph.external_asset_keys) == {
        "customers_table",
        "orders_table",
        "products_table",
        "users_in_postgres",
    }
    jobs = {job.name for job in defs.get_repository_def().get_all_jobs()}
    assert {name for name in jobs if not name.startswith("__")} == {"regenerate_analytics_job"}
    assert {one.name for one in defs.get_repository_def().sensor_defs} == {
        "analytics_automation_sensor"
    }
    dg.Definitions.validate_loadable(defs)


def test_lineage_reaches_from_tables_to_marts() -> None:
    graph = defs.resolve_asset_graph()
    parents = {node.key.to_user_string(): names(node.parent_keys) for node in graph.asset_nodes}
    assert parents["staging/stg_customers"] == {"customers_table"}
    assert parents["staging/stg_users"] == {"users_in_postgres"}
    assert parents["marts/revenue_by_day"] == {"staging/stg_orders"}
    assert parents["my_analytics_asset"] == {"staging/stg_customers", "staging/stg_orders"}
    # Staging alone reads the raw tables: a change there is noticed there, and followed from there.
    assert {key for key, above in parents.items() if above & names(graph.external_asset_keys)} == (
        STAGING
    )


def test_the_job_makes_the_marts_and_what_they_are_made_from() -> None:
    job = defs.resolve_job_def("regenerate_analytics_job")
    made = names(job.asset_layer.selected_asset_keys)
    assert made == {*STAGING, *MARTS, "my_analytics_asset"} - {"staging/stg_users"}
    checks = {key.name for key in job.asset_layer.asset_graph.asset_check_keys}
    assert {"every_order_is_counted", "orders_are_in_range"} <= checks


def test_the_tables_that_people_read_have_a_freshness_policy() -> None:
    policies = {
        node.key.to_user_string()
        for node in defs.resolve_asset_graph().asset_nodes
        if node.freshness_policy
    }
    assert policies == {*MARTS, "my_analytics_asset"}


def test_what_the_ui_shows_of_a_table() -> None:
    graph = defs.resolve_asset_graph()
    for name in (*STAGING, *MARTS, "my_analytics_asset"):
        node = graph.get(dg.AssetKey(name.split("/")))
        assert node.description
        assert node.owners == ["team:analytics"]
        schema = node.metadata["dagster/column_schema"]
        assert all(column.description and column.type != "?" for column in schema.columns), name
    assert graph.get(dg.AssetKey(["marts", "revenue_by_day"])).group_name == "marts"
    assert graph.get(dg.AssetKey(["staging", "stg_orders"])).group_name == "staging"


def test_the_schedule_runs_by_itself_every_hour_in_utc() -> None:
    (schedule,) = defs.get_all_schedules()
    assert schedule.name == "regenerate_analytics_job_schedule"
    assert schedule.job_name == "regenerate_analytics_job"
    assert schedule.cron_schedule == "0 * * * *"
    assert schedule.execution_timezone == "UTC"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    start = datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
    ticks = schedule_execution_time_iterator(start.timestamp(), "0 * * * *", "UTC")
    assert next(ticks) == datetime(2026, 1, 1, 1, tzinfo=UTC)
    assert str(defs.get_all_schedules()) == "regenerate_analytics_job_schedule: 0 * * * * UTC"


def test_loading_needs_no_environment_and_no_network() -> None:
    program = """if True:
        import socket
        def refuse(*_): raise AssertionError("the network was touched")
        socket.socket.connect = socket.getaddrinfo = refuse
        from analytics.definitions import defs
        defs.get_repository_def().load_all_definitions()
    """
    subprocess.run([sys.executable, "-c", program], check=True, env={"PATH": ""}, timeout=120)
