"""Sessions of a location: how many, what they can lock, and how one that hinders others ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

import psycopg2
import pytest
from conftest import CONNECTIONS, Postgres
from dagster import DagsterInstance
from psycopg2 import errors

from control_plane.pool_default import publish_pool_default
from control_plane.session_limits import SessionLimits

MODES = (
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)
# The only tables that run workers delete from.
LOCKABLE = {"concurrency_slots", "pending_steps", "dynamic_partitions"}


def until(done: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.2)


def test_which_tables_a_location_can_lock(postgres: Postgres) -> None:
    tables = postgres.run(
        "dagster",
        "SELECT relname::text FROM pg_class WHERE relkind = 'r'"
        " AND relnamespace IN ('public'::regnamespace, 'control'::regnamespace)",
    )
    assert len(tables) > 20
    held = set()
    connection = postgres.connect("elt")
    connection.autocommit = False
    with connection.cursor() as cursor:
        for (table,) in tables:
            own = {"run_owner", "pool_default", "removed_run"}
            schema = "control" if table in own else "public"
            for mode in MODES[1:]:
                try:
                    cursor.execute(f"LOCK TABLE {schema}.{table} IN {mode} MODE NOWAIT")
                    held.add(table)
                except errors.InsufficientPrivilege:
                    pass
                connection.rollback()
    assert held == LOCKABLE
    # None of them is one that every run or the queue's look needs.
    assert not LOCKABLE & {"runs", "run_tags", "event_logs", "asset_keys", "concurrency_limits"}


@pytest.mark.parametrize(
    "statement",
    [
        "LOCK TABLE concurrency_slots IN ACCESS EXCLUSIVE MODE",
        "SELECT 1 FROM concurrency_slots FOR UPDATE",
    ],
)
def test_a_lock_that_the_control_plane_waits_for_ends(
    postgres: Postgres,
    dagster: DagsterInstance,
    caplog: pytest.LogCaptureFixture,
    statement: str,
) -> None:
    dagster.event_log_storage.set_concurrency_slots("locked", 1)
    hostile = postgres.connect("elt")
    hostile.autocommit = False
    hostile.cursor().execute(statement)
    limits = SessionLimits(dagster)
    limits.start()
    try:
        with caplog.at_level(logging.WARNING, "control_plane"):
            began = time.monotonic()
            postgres.run("dagster", "UPDATE concurrency_slots SET step_key = step_key")
            waited = time.monotonic() - began
    finally:
        limits.stop()
    assert waited > 1
    with pytest.raises(psycopg2.OperationalError):
        hostile.cursor().execute("SELECT 1")
    until(lambda: "ended a session of code location elt" in caplog.text)
    assert "another role waited 2 s for its lock" in caplog.text
    assert statement in caplog.text


@pytest.fixture
def soon(postgres: Postgres) -> Iterator[None]:
    """A transaction may be idle for half a second, where it is ten in the stack."""
    ask = "SELECT pg_get_functiondef('control.end_hindering_sessions'::regproc)"
    real = postgres.run("postgres", ask)[0][0].replace("%", "%%")
    limit = "state_change < clock_timestamp() - interval '10 s'"
    assert real.count(limit) == 1
    postgres.run("postgres", real.replace(limit, limit.replace("10 s", "0.5 s")))
    yield
    postgres.run("postgres", real)


@pytest.mark.usefixtures("soon")
def test_a_transaction_that_sits_idle_ends_and_no_other_does(
    postgres: Postgres, dagster: DagsterInstance
) -> None:
    hostile, honest, ours = (postgres.connect(role) for role in ("elt", "elt", "dagster"))
    for connection in (hostile, ours):
        connection.autocommit = False
        connection.cursor().execute("SELECT count(*) FROM runs")
    honest.cursor().execute("SELECT 1")
    limits = SessionLimits(dagster)
    until(lambda: limits.look() == 1)
    with pytest.raises(psycopg2.OperationalError):
        hostile.cursor().execute("SELECT 1")
    for connection in (honest, ours):
        connection.cursor().execute("SELECT 1")
    ours.rollback()


@pytest.mark.usefixtures("soon")
def test_the_watch_outlives_the_database(
    postgres: Postgres, dagster: DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    limits = SessionLimits(dagster)
    postgres.run("postgres", "ALTER FUNCTION control.end_hindering_sessions RENAME TO away")
    try:
        with caplog.at_level(logging.WARNING, "control_plane"):
            limits.start()
            until(lambda: "cannot be watched" in caplog.text)
    finally:
        postgres.run("postgres", "ALTER FUNCTION control.away RENAME TO end_hindering_sessions")
    hostile = postgres.connect("elt")
    hostile.autocommit = False
    hostile.cursor().execute("SELECT 1")
    until(lambda: "ended a session of code location elt" in caplog.text)
    limits.stop()


def test_a_location_has_a_limit_of_connections(postgres: Postgres) -> None:
    open_ones = []
    with pytest.raises(psycopg2.OperationalError, match='too many connections for role "elt"'):
        for _ in range(CONNECTIONS + 1):
            open_ones.append(postgres.connect("elt"))
    assert len(open_ones) <= CONNECTIONS
    assert postgres.run("analytics", "SELECT 1") == [(1,)]
    with pytest.raises(errors.InsufficientPrivilege):
        open_ones[0].cursor().execute("ALTER ROLE elt CONNECTION LIMIT -1")
    for connection in open_ones:
        connection.close()


def test_locations_leave_room_for_the_control_plane(postgres: Postgres) -> None:
    """Even if the limits of all locations together are more than there is."""
    open_ones = []
    postgres.run("postgres", "ALTER ROLE elt CONNECTION LIMIT 500")
    try:
        with pytest.raises(psycopg2.OperationalError, match="remaining connection slots are rese"):
            for _ in range(101):
                open_ones.append(postgres.connect("elt"))
        for _ in range(15):
            open_ones.append(postgres.connect("dagster"))
    finally:
        for connection in open_ones:
            connection.close()
        limit = f"ALTER ROLE elt CONNECTION LIMIT {CONNECTIONS}"
        postgres.run("postgres", limit)
    # The server notices a moment later that they are closed.
    count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'elt'"
    until(lambda: postgres.run("postgres", count)[0][0] < CONNECTIONS)


def test_the_default_limit_of_pools_is_the_control_plane_s(
    postgres: Postgres, dagster: DagsterInstance
) -> None:
    postgres.run("dagster", 'UPDATE control.pool_default SET "limit" = 3')
    add = (
        'INSERT INTO concurrency_limits (concurrency_key, "limit", using_default_limit)'
        " VALUES ('made_by_a_step', 0, true)"
    )
    try:
        postgres.run("elt", add)
        assert dagster.event_log_storage.get_concurrency_info("made_by_a_step").limit == 3
    finally:
        publish_pool_default(dagster)
    # What the daemon does at its start, for dagster.yaml's default of 1.
    info = dagster.event_log_storage.get_concurrency_info("made_by_a_step")
    assert (info.limit, info.slot_count, info.using_default_limit) == (1, 1, True)
