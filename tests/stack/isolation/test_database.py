"""What code of elt can do to others through Dagster's database: tried from inside its container.

Each guard by itself is shown in deploy/control_plane/tests/database; here, that the stack has them.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import Stack, until
from runs import Run, load

SCRIPT = """
import os, sys, psycopg2
connection = psycopg2.connect(
    host="postgres", dbname=sys.argv[1], user=os.environ["DAGSTER_POSTGRES_USER"],
    password=open(os.environ["DAGSTER_POSTGRES_PASSWORD_FILE"]).read())
with connection, connection.cursor() as cursor:
    try:
        cursor.execute(sys.argv[2])
        print("rows:", cursor.rowcount)
    except psycopg2.Error as error:
        print("refused:", error.diag.message_primary)
"""
HOLD = """
import os, sys, time, psycopg2
connection = psycopg2.connect(
    host="postgres", dbname="dagster", user=os.environ["DAGSTER_POSTGRES_USER"],
    password=open(os.environ["DAGSTER_POSTGRES_PASSWORD_FILE"]).read())
cursor = connection.cursor()
cursor.execute("LOCK TABLE concurrency_slots IN ACCESS EXCLUSIVE MODE")
try:
    while True:
        time.sleep(1)
        cursor.execute("SELECT 1")
except psycopg2.OperationalError:
    print("ended")
"""


def attempt(stack: Stack, statement: str, database: str = "dagster") -> str:
    """Run a statement with elt's role: "rows: n", or "refused: ..."."""
    return stack.compose("exec", "-T", "elt", "python", "-c", SCRIPT, database, statement).strip()


@pytest.fixture(scope="module")
def theirs(stack: Stack, marts: None) -> str:
    """A run of analytics that has ended: whichever made its mart last."""
    last = "SELECT last_run_id FROM asset_keys WHERE asset_key LIKE '%\"my_analytics_asset\"%'"
    run = Run(stack, stack.sql(last, "dagster")[0][0])
    run.wait(seconds=240)
    return run.id


def test_a_run_of_another_location_is_out_of_reach(stack: Stack, theirs: str) -> None:
    for statement in (
        f"SELECT 1 FROM runs WHERE run_id = '{theirs}'",
        f"SELECT 1 FROM run_tags WHERE run_id = '{theirs}'",
        f"SELECT 1 FROM event_logs WHERE run_id = '{theirs}' AND asset_key IS NULL",
        f"UPDATE runs SET status = 'QUEUED' WHERE run_id = '{theirs}'",
    ):
        assert attempt(stack, statement) == "rows: 0"
    add = f"INSERT INTO event_logs (run_id, event) VALUES ('{theirs}', '')"
    assert "does not belong to code location elt" in attempt(stack, add)


def test_an_own_run_keeps_its_location_and_its_tickets(stack: Stack) -> None:
    run = load(stack, "customers")
    run.wait(seconds=240)
    query = f"SELECT run_body FROM runs WHERE run_id = '{run.id}'"
    ((before,),) = stack.sql(query, "dagster")
    forged = before.replace('"location_name": "elt"', '"location_name": "analytics"')
    assert forged != before
    quoted = forged.replace("'", "''")
    assert attempt(stack, f"UPDATE runs SET run_body = '{quoted}' WHERE run_id = '{run.id}'")
    ((after,),) = stack.sql(query, "dagster")
    assert json.loads(after) == json.loads(before)
    tag = f"'{run.id}', '.dagster/standby_ticket', 'x'"
    refusal = attempt(stack, f"INSERT INTO run_tags (run_id, key, value) VALUES ({tag})")
    assert "cannot be changed by the run" in refusal


def test_a_lock_does_not_hold_up_the_control_plane(stack: Stack) -> None:
    with ThreadPoolExecutor() as pool:
        holder = pool.submit(stack.compose, "exec", "-T", "elt", "python", "-c", HOLD)
        locked = "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"
        until(lambda: stack.sql(locked, "dagster"), 30)
        # As the queue does; answered once the daemon has ended the session that holds the lock.
        stack.sql("SELECT count(*) FROM concurrency_slots", "dagster")
        assert holder.result(60).strip() == "ended"
    assert "ended a session of code location elt" in stack.compose("logs", "daemon")


def test_databases_without_business(stack: Stack) -> None:
    for database in ("postgres", "template1"):
        query = f"SELECT has_database_privilege('elt', '{database}', 'CONNECT')"
        assert stack.sql(query) == [["f"]]
