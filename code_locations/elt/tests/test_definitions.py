"""What the location offers: exactly this, and without network, settings or secrets."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator
from location_kit.testing import descriptions

from elt.definitions import defs

ASSETS = ["api_users", "customers_table", "orders_table", "products_table", "users_in_postgres"]
JOBS = ["clean_up_rejected_rows_job", "sync_tables_job", "sync_users_job"]
SCHEDULES = {
    "clean_up_rejected_rows_job_schedule": "0 3 * * 0",
    "sync_tables_job_schedule": "0 0 * * *",
    "sync_users_job_schedule": "0 12 * * *",
}
SENSORS = ["landing_zone_sensor"]


def test_exactly_these_definitions() -> None:
    repository = defs.get_repository_def()
    assert sorted(key.to_user_string() for key in defs.resolve_all_asset_keys()) == ASSETS
    jobs = {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}
    assert sorted(jobs) == JOBS
    assert {one.name: one.cron_schedule for one in repository.schedule_defs} == SCHEDULES
    assert [sensor.name for sensor in repository.sensor_defs] == SENSORS
    dg.Definitions.validate_loadable(defs)


def test_assets_schedules_and_sensors_have_a_description() -> None:
    shown = descriptions(defs)
    assert set(shown) == {*ASSETS, *SCHEDULES, *SENSORS}
    assert [name for name, description in shown.items() if not description] == []


@pytest.mark.parametrize(
    ("name", "next_tick"),
    [
        ("clean_up_rejected_rows_job_schedule", datetime(2026, 1, 4, 3, tzinfo=UTC)),
        ("sync_tables_job_schedule", datetime(2026, 1, 2, tzinfo=UTC)),
        ("sync_users_job_schedule", datetime(2026, 1, 1, 12, tzinfo=UTC)),
    ],
)
def test_schedules_run_by_themselves_in_utc(name: str, next_tick: datetime) -> None:
    schedules = {schedule.name: schedule for schedule in defs.get_all_schedules()}
    schedule = schedules[name]
    assert schedule.execution_timezone == "UTC"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert f"{schedule.job_name}_schedule" == name
    start = datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC).timestamp()
    ticks = schedule_execution_time_iterator(start, SCHEDULES[name], schedule.execution_timezone)
    assert next(ticks) == next_tick


def test_the_sensor_runs_by_itself() -> None:
    sensor = defs.get_repository_def().get_sensor_def("landing_zone_sensor")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.minimum_interval_seconds == 30


def test_orders_are_partitioned_by_day_until_today() -> None:
    graph = defs.resolve_asset_graph()
    partitions = graph.get(dg.AssetKey("orders_table")).partitions_def
    assert isinstance(partitions, dg.DailyPartitionsDefinition)
    assert partitions.timezone == "UTC"
    keys = partitions.get_partition_keys(current_time=datetime(2025, 3, 1, 0, 0, 1, tzinfo=UTC))
    assert (keys[0], keys[-1]) == ("2025-01-01", "2025-03-01")
    assert graph.get(dg.AssetKey("customers_table")).partitions_def is None
    pools = {key.to_user_string(): graph.get(key).pools for key in graph.get_all_asset_keys()}
    assert pools["orders_table"] == {"raw_orders"}
    assert not any(found for name, found in pools.items() if name != "orders_table")


def test_schedules_print_by_name() -> None:
    assert "sync_tables_job_schedule: 0 0 * * * UTC" in str(defs.get_all_schedules())


@pytest.mark.parametrize(
    ("job", "assets"),
    [
        ("sync_tables_job", {"customers_table", "orders_table", "products_table"}),
        ("sync_users_job", {"api_users", "users_in_postgres"}),
    ],
)
def test_jobs_make_their_assets_and_no_others(job: str, assets: set[str]) -> None:
    selected = defs.resolve_job_def(job).asset_layer.executable_asset_keys
    assert {key.to_user_string() for key in selected} == assets


@pytest.mark.parametrize("config", [None, {"execution": {"config": {"multiprocess": {}}}}])
def test_steps_share_the_runs_process_unless_the_run_says_otherwise(
    config: dict[str, object] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOST", "USER", "PASSWORD", "DB"):
        monkeypatch.setenv(f"WAREHOUSE_{name}", "x")
    monkeypatch.setenv("WAREHOUSE_PORT", "5432")
    monkeypatch.setenv("LANDING_ZONE", "file:///x")
    plan = dg.validate_run_config(defs.resolve_job_def("sync_tables_job"), config)
    kind = "multiprocess" if config else "in_process"
    assert list(plan["execution"]["multi_or_in_process_executor"]) == [kind]


def test_dg_lists_them_without_environment_and_network(tmp_path: Path) -> None:
    """`dg list defs --json`, as it is called in the location's folder, in a process of its own."""
    program = """if True:
        import socket, sys
        def refuse(*_): raise AssertionError("the network was touched")
        socket.socket.connect = socket.getaddrinfo = refuse
        from elt.definitions import defs
        defs.get_repository_def().load_all_definitions()
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
    assert sorted(asset["asset_key"] for asset in found["assets"]) == sorted(ASSETS)
    assert [job["name"] for job in found["jobs"]] == JOBS
    assert {one["name"]: one["cron_schedule"] for one in found["schedules"]} == SCHEDULES
    assert [sensor["name"] for sensor in found["sensors"]] == SENSORS
