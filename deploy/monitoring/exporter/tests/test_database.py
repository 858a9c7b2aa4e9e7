"""What the exporter says of a real database, and what its role may do there."""

from __future__ import annotations

import os
import signal
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import pytest
from dagster import (
    AssetKey,
    AssetMaterialization,
    DagsterEventType,
    DagsterInstance,
)
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import RemoteInstigatorOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    TickData,
    TickStatus,
)
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo
from prometheus_client import CollectorRegistry

from conftest import NewRun, code, execute, report
from stack_exporter.__main__ import of_database
from stack_exporter.counted import Counted
from stack_exporter.database import Database
from stack_exporter.groups import Group, Snapshot, work
from stack_exporter.queries import QUERIES
from stack_postgres import Postgres


class Exporter:
    """All groups of the database, and what a scrape shows."""

    def __init__(self, database: Database, limit: int = 50) -> None:
        self.registry = CollectorRegistry()
        self.groups = of_database(database, Counted(self.registry, limit))
        self.registry.register(Snapshot(self.groups, limit))
        self.said: list[str] = []

    def look(self) -> None:
        for group in self.groups:
            group.run(time.monotonic, self.said.append)
        assert self.said == []

    def value(self, name: str, /, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def exporter(database: Database) -> Exporter:
    found = Exporter(database)
    found.look()
    return found


def test_runs_that_ended(exporter: Exporter, dagster: DagsterInstance, new_run: NewRun) -> None:
    assert (
        exporter.value("dagster_runs_ended_total", location="elt", job="plain", status="SUCCESS")
        is None
    )
    execute(dagster, new_run("elt"))
    execute(dagster, new_run("elt"), "Handing the run to standby worker")
    execute(dagster, new_run("analytics", "failing"))
    for _ in range(2):
        exporter.look()
    ended = "dagster_runs_ended_total"
    assert exporter.value(ended, location="elt", job="plain", status="SUCCESS") == 2
    assert exporter.value(ended, location="analytics", job="failing", status="FAILURE") == 1
    for mode in ("standby", "cold"):
        labels = {"location": "elt", "mode": mode}
        assert exporter.value("dagster_run_launches_total", **labels) == 1
        assert exporter.value("dagster_run_launch_seconds_count", **labels) == 1
        assert exporter.value("dagster_run_first_step_seconds_count", **labels) == 1
    assert exporter.value("dagster_run_queue_wait_seconds_count", location="elt") == 2
    assert exporter.value("dagster_run_duration_seconds_count", location="elt", job="plain") == 2
    took = exporter.value("dagster_run_duration_seconds_sum", location="elt", job="plain")
    assert took is not None and 0 < took < 60


def test_the_queue(exporter: Exporter, dagster: DagsterInstance, new_run: NewRun) -> None:
    run = new_run("elt", "failing")
    labels = {"location": "elt", "job": "failing", "status": "QUEUED"}
    exporter.look()
    assert exporter.value("dagster_active_runs", **labels) == 1
    age = exporter.value("dagster_active_run_oldest_age_seconds", **labels)
    assert age is not None and -1 < age < 60
    report(dagster, run, DagsterEventType.PIPELINE_CANCELED)
    exporter.look()
    assert exporter.value("dagster_active_runs", **labels) is None
    ended = {"location": "elt", "job": "failing", "status": "CANCELED"}
    assert exporter.value("dagster_runs_ended_total", **ended) == 1
    assert exporter.value("dagster_run_launches_total", location="elt", mode="cold") is None


def test_ticks_by_result_and_lateness(exporter: Exporter, dagster: DagsterInstance) -> None:
    origin = RemoteInstigatorOrigin(code("elt"), "hourly")
    state = InstigatorState(
        origin,
        InstigatorType.SCHEDULE,
        InstigatorStatus.RUNNING,
        ScheduleInstigatorData("0 * * * *"),
    )
    dagster.add_instigator_state(state)
    due = datetime.now(UTC).timestamp() - 90
    data = TickData(
        instigator_origin_id=origin.get_id(),
        instigator_name="hourly",
        instigator_type=InstigatorType.SCHEDULE,
        status=TickStatus.STARTED,
        timestamp=due,
        selector_id=state.selector_id,
    )
    tick = dagster.create_tick(data)
    exporter.look()
    labels = {"location": "elt", "type": "schedule", "name": "hourly"}
    assert exporter.value("dagster_instigator_running", **labels) == 1
    assert exporter.value("dagster_ticks_total", **labels, result="FAILURE") is None
    failed = tick.with_status(TickStatus.FAILURE, error=SerializableErrorInfo("m", [], None))
    dagster.update_tick(failed)
    for _ in range(2):
        exporter.look()
    assert exporter.value("dagster_ticks_total", **labels, result="FAILURE") == 1
    assert exporter.value("dagster_instigator_failing", **labels) == 1
    last = exporter.value("dagster_instigator_last_tick_timestamp_seconds", **labels)
    assert last == pytest.approx(due, abs=1)
    late = exporter.value("dagster_schedule_tick_lateness_seconds_sum", location="elt")
    assert late == pytest.approx(90, abs=30)
    dagster.create_tick(data.with_status(TickStatus.SKIPPED, timestamp=due + 60))
    exporter.look()
    assert exporter.value("dagster_instigator_failing", **labels) == 0


def test_assets_checks_and_freshness(
    exporter: Exporter, dagster: DagsterInstance, new_run: NewRun
) -> None:
    execute(dagster, new_run("elt", "__ASSET_JOB"))
    key = AssetKey("table")
    dagster.report_runless_asset_event(
        FreshnessStateChange(
            key=key,
            new_state=FreshnessState.FAIL,
            previous_state=FreshnessState.PASS,
            state_change_timestamp=time.time(),
        )
    )
    exporter.look()
    asset = '["table"]'
    at = exporter.value("dagster_asset_last_materialization_timestamp_seconds", asset=asset)
    assert at == pytest.approx(time.time(), abs=60)
    assert exporter.value("dagster_asset_check_failed", asset=asset, check="has_rows") == 1
    assert exporter.value("dagster_asset_stale", asset=asset, state="FAIL") == 1
    dagster.report_runless_asset_event(AssetMaterialization("table"))


def test_daemons_pools_and_the_server(exporter: Exporter, dagster: DagsterInstance) -> None:
    dagster.run_storage.add_daemon_heartbeat(DaemonHeartbeat(time.time(), "SENSOR", "id", []))
    dagster.event_log_storage.set_concurrency_slots("heavy", 3)
    exporter.look()
    at = exporter.value("dagster_daemon_heartbeat_timestamp_seconds", daemon="sensor")
    assert at == pytest.approx(time.time(), abs=60)
    assert exporter.value("dagster_daemon_errors", daemon="sensor") == 0
    assert exporter.value("dagster_pool_slots", pool="heavy") == 3
    assert exporter.value("dagster_pool_slots_used", pool="heavy") == 0
    assert exporter.value("postgres_max_connections") == 100
    assert (exporter.value("postgres_database_size_bytes", database="dagster") or 0) > 1e6
    assert (exporter.value("dagster_table_bytes", table="event_logs") or 0) > 0


def test_more_jobs_than_the_bound(
    database: Database, dagster: DagsterInstance, new_run: NewRun
) -> None:
    exporter = Exporter(database, limit=1)
    exporter.look()
    execute(dagster, new_run("elt"))
    execute(dagster, new_run("analytics"))
    exporter.look()
    other = {"location": "other", "job": "other", "status": "SUCCESS"}
    assert exporter.value("dagster_runs_ended_total", **other) == 1
    assert exporter.value("dagster_exporter_folded_counters") == 1


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT run_body FROM runs",
        "SELECT event FROM event_logs",
        "SELECT value FROM run_tags",
        "SELECT tick_body FROM job_ticks",
        "SELECT value FROM kvs",
        "SELECT * FROM control.run_owner",
        "UPDATE runs SET status = status",
        "CREATE TABLE mine (n int)",
        "CREATE TABLE monitoring.mine (n int)",
        "SELECT control.end_hindering_sessions()",
        "SET ROLE dagster",
        "SELECT pg_read_file('/etc/hostname')",
    ],
)
def test_its_role_reads_names_and_times_alone(postgres: Postgres, statement: str) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        postgres.run(statement, role="dagster_monitoring")


def test_locations_cannot_read_what_it_reads(postgres: Postgres) -> None:
    for statement in ("SELECT * FROM monitoring.active_runs", "SELECT monitoring.sessions()"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            postgres.run(statement, role="elt")


def test_what_is_shown_of_sessions_holds_no_statement(database: Database) -> None:
    [first, *_] = database.ask("SELECT * FROM monitoring.sessions()")
    times = {"longest_statement_s", "longest_transaction_s"}
    assert set(first) == {"role", "database", "state", "sessions", "waiting", *times}


def test_a_database_that_hangs_is_a_metric_and_no_hanging_scrape(
    postgres: Postgres, database: Database
) -> None:
    registry = CollectorRegistry()
    query = QUERIES[0]
    group = Group("queue", 0.1, lambda: database.ask(query.sql), query.families, timeout_s=0.3)
    registry.register(Snapshot([group], 10))
    stop = threading.Event()
    thread = threading.Thread(target=work, args=([group], stop, print), daemon=True)
    thread.start()

    def up() -> float | None:
        return registry.get_sample_value("dagster_exporter_group_up", {"group": "queue"})

    pids = postgres.pids()
    try:
        _until(lambda: up() == 1)
        pids = postgres.pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        _until(lambda: up() == 0)
        began = time.monotonic()
        assert up() == 0
        assert time.monotonic() - began < 0.2
    finally:
        for pid in reversed(pids):
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGCONT)
    _until(lambda: up() == 1)
    stop.set()
    thread.join(30)


def _until(what: object, seconds: float = 20) -> None:
    assert callable(what)
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)
