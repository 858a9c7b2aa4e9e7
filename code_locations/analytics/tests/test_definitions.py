"""What the location offers: exactly this, and without network, settings or secrets."""

import subprocess
import sys
from datetime import UTC, datetime

import dagster as dg
from dagster._utils.schedules import schedule_execution_time_iterator

from analytics.definitions import defs


def test_exactly_these_definitions() -> None:
    graph = defs.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.materializable_asset_keys} == {
        "my_analytics_asset"
    }
    # elt's assets: known by key, made elsewhere.
    assert {key.to_user_string() for key in graph.external_asset_keys} == {
        "customers_table",
        "orders_table",
    }
    assert graph.get(dg.AssetKey("my_analytics_asset")).parent_keys == graph.external_asset_keys
    jobs = {job.name for job in defs.get_repository_def().get_all_jobs()}
    assert {name for name in jobs if not name.startswith("__")} == {"regenerate_analytics_job"}
    assert not defs.get_repository_def().sensor_defs
    dg.Definitions.validate_loadable(defs)


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
