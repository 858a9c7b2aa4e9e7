"""What the location offers: exactly this, and without network, settings or secrets."""

import subprocess
import sys

import dagster as dg

from __name__.definitions import defs

ASSET = "__name___items_table"
SENSOR = "__name___landing_zone_sensor"
JOB = "refresh___name___job"


def test_exactly_these_definitions() -> None:
    graph = defs.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.materializable_asset_keys} == {ASSET}
    jobs = {job.name for job in defs.get_repository_def().get_all_jobs()}
    assert {name for name in jobs if not name.startswith("__")} == {JOB}
    assert [sensor.name for sensor in defs.get_repository_def().sensor_defs] == [SENSOR]
    dg.Definitions.validate_loadable(defs)


def test_the_schedule_runs_by_itself_every_morning_in_utc() -> None:
    (schedule,) = defs.get_all_schedules()
    assert schedule.job_name == JOB
    assert schedule.description
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert str(defs.get_all_schedules()) == f"{JOB}_schedule: 0 6 * * * UTC"


def test_loading_needs_no_environment_and_no_network() -> None:
    program = """if True:
        import socket
        def refuse(*_): raise AssertionError("the network was touched")
        socket.socket.connect = socket.getaddrinfo = refuse
        from __name__.definitions import defs
        defs.get_repository_def().load_all_definitions()
    """
    subprocess.run([sys.executable, "-c", program], check=True, env={"PATH": ""}, timeout=120)
