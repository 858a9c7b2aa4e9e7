"""What the location offers: exactly this, and without network, settings or secrets."""

import json
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from dagster._utils.schedules import schedule_execution_time_iterator
from location_kit.testing import descriptions

from analytics.definitions import defs

STAGING = {f"staging/stg_{name}" for name in ("customers", "orders", "products", "users")}
MARTS = {f"marts/{name}" for name in ("product_performance", "revenue_by_day")}
ASSETS = {*STAGING, *MARTS, "my_analytics_asset"}
# Known by key, made elsewhere.
OF_ELT = {"customers_table", "orders_table", "products_table", "users_in_postgres"}
JOBS = ["regenerate_analytics_job"]
SCHEDULES = {"regenerate_analytics_job_schedule": "0 * * * *"}
SENSORS = ["analytics_automation_sensor"]


def names(keys: Iterable[dg.AssetKey]) -> set[str]:
    return {key.to_user_string() for key in keys}


def test_exactly_these_definitions() -> None:
    graph = defs.resolve_asset_graph()
    assert names(graph.materializable_asset_keys) == ASSETS
    assert names(graph.external_asset_keys) == OF_ELT
    repository = defs.get_repository_def()
    jobs = {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}
    assert sorted(jobs) == JOBS
    assert {one.name: one.cron_schedule for one in repository.schedule_defs} == SCHEDULES
    assert [sensor.name for sensor in repository.sensor_defs] == SENSORS
    dg.Definitions.validate_loadable(defs)


def test_assets_schedules_and_sensors_have_a_description() -> None:
    shown = descriptions(defs)
    assert set(shown) == {*ASSETS, *SCHEDULES, *SENSORS}
    assert [name for name, description in shown.items() if not description] == []


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
    assert made == ASSETS - {"staging/stg_users"}
    checks = {key.name for key in job.asset_layer.asset_graph.asset_check_keys}
    assert {"every_order_is_counted", "orders_are_in_range"} <= checks


def test_builds_of_the_project_take_turns() -> None:
    models = defs.resolve_assets_def(dg.AssetKey(["staging", "stg_orders"]))
    assert models.op.pool == "dbt"


def test_the_tables_that_people_read_have_a_freshness_policy() -> None:
    policies = {
        node.key.to_user_string()
        for node in defs.resolve_asset_graph().asset_nodes
        if node.freshness_policy
    }
    assert policies == {*MARTS, "my_analytics_asset"}


def test_what_the_ui_shows_of_a_table() -> None:
    graph = defs.resolve_asset_graph()
    for name in ASSETS:
        node = graph.get(dg.AssetKey(name.split("/")))
        assert node.description and "select" not in node.description.lower()
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


def test_dg_lists_them_without_environment_network_and_dbt(tmp_path: Path) -> None:
    """`dg list defs --json`, as it is called in the location's folder, in a process of its own."""
    program = """if True:
        import socket, sys
        def refuse(*_): raise AssertionError("the network was touched")
        socket.socket.connect = socket.getaddrinfo = refuse
        from analytics.definitions import defs
        defs.get_repository_def().load_all_definitions()
        assert "dagster_dbt" in sys.modules
        dbt = [name for name in sys.modules if name.split(".")[0] in ("dbt", "metricflow")]
        assert not dbt, f"loading has imported {dbt}"
        from dagster_dg_cli.cli import main
        sys.argv = ["dg", "list", "defs", "--json"]
        main()
    """
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[1],
        # dg leaves a folder at home.
        env={"PATH": "", "HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        check=True,
        timeout=300,
    )
    found = json.loads(done.stdout)
    listed = {asset["asset_key"]: asset["is_executable"] for asset in found["assets"]}
    assert listed == dict.fromkeys(ASSETS, True) | dict.fromkeys(OF_ELT, False)
    assert [job["name"] for job in found["jobs"]] == JOBS
    assert {one["name"]: one["cron_schedule"] for one in found["schedules"]} == SCHEDULES
    assert [sensor["name"] for sensor in found["sensors"]] == SENSORS
