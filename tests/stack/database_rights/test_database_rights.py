"""Each role may do what it needs, and not what it does not need."""

from __future__ import annotations

import json

import pytest

from harness import Stack

SCRIPT = """
import json, os, pathlib, sys, psycopg2
role, database, *statements = sys.argv[1:]
password = pathlib.Path(f"/run/secrets/{role}_password").read_text()
answers = []
for statement in statements:
    connection = psycopg2.connect(host="postgres", dbname=database, user=role, password=password)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
        answers.append("done")
    except psycopg2.errors.InsufficientPrivilege as error:
        answers.append(f"refused: {error.diag.message_primary}")
print(json.dumps(answers))
"""

ALLOWED = [
    ("analytics", "warehouse", "SELECT count(*) FROM raw.orders"),
    ("analytics", "warehouse", "CREATE TABLE marts.probe (n int); DROP TABLE marts.probe"),
    ("analytics", "warehouse", "CREATE TABLE staging.probe (n int); DROP TABLE staging.probe"),
    ("analytics", "warehouse", "CREATE TEMPORARY TABLE probe (n int)"),
    ("elt", "warehouse", "CREATE TABLE raw.probe (n int); DROP TABLE raw.probe"),
    ("elt", "dagster", "SELECT count(*) FROM runs"),
    ("analytics", "dagster", "UPDATE runs SET status = status WHERE false"),
    ("analytics", "dagster", "INSERT INTO event_logs (event) SELECT '' WHERE false"),
]

REFUSED = [
    ("analytics", "warehouse", "INSERT INTO raw.orders SELECT * FROM raw.orders LIMIT 0"),
    ("analytics", "warehouse", "UPDATE raw.orders SET amount_cents = 0"),
    ("analytics", "warehouse", "DELETE FROM raw.orders"),
    ("analytics", "warehouse", "TRUNCATE raw.orders"),
    ("analytics", "warehouse", "DROP TABLE raw.orders"),
    ("analytics", "warehouse", "CREATE TABLE raw.mine (n int)"),
    ("analytics", "warehouse", "CREATE TABLE public.mine (n int)"),
    ("analytics", "warehouse", "CREATE SCHEMA mine"),
    ("elt", "warehouse", "SELECT * FROM marts.my_analytics_asset"),
    ("elt", "warehouse", "CREATE TABLE marts.mine (n int)"),
    ("elt", "warehouse", "CREATE TABLE public.mine (n int)"),
    ("elt", "warehouse", "CREATE TEMPORARY TABLE mine (n int)"),
    ("elt", "warehouse", "SET ROLE analytics"),
    ("elt", "dagster", "DELETE FROM runs"),
    ("elt", "dagster", "INSERT INTO runs (run_id) SELECT '' WHERE false"),
    ("elt", "dagster", "UPDATE instigators SET status = status"),
    ("elt", "dagster", "DELETE FROM job_ticks"),
    ("elt", "dagster", "DELETE FROM event_logs"),
    ("elt", "dagster", "UPDATE event_logs SET event = event"),
    ("elt", "dagster", "UPDATE daemon_heartbeats SET body = body"),
    ("elt", "dagster", "UPDATE bulk_actions SET body = body"),
    ("elt", "dagster", "ALTER TABLE runs ADD COLUMN n int"),
    ("elt", "dagster", "DROP TABLE runs"),
    ("elt", "dagster", "CREATE TABLE mine (n int)"),
    ("elt", "dagster", "ALTER ROLE elt SUPERUSER"),
]


Row = tuple[str, str, str]


def attempt(stack: Stack, table: list[Row]) -> dict[Row, str]:
    """Run statements, each as its role, from its location's container: "done" or "refused: ..."."""
    answers: dict[Row, str] = {}
    for role, database in sorted({row[:2] for row in table}):
        rows = [row for row in table if row[:2] == (role, database)]
        command = ["exec", "-T", role, "python", "-c", SCRIPT, role, database]
        said = json.loads(stack.compose(*command, *(statement for *_, statement in rows)))
        answers |= dict(zip(rows, said, strict=True))
    return answers


pytestmark = pytest.mark.usefixtures("marts")


def test_allowed(stack: Stack) -> None:
    assert {row: said for row, said in attempt(stack, ALLOWED).items() if said != "done"} == {}


def test_refused(stack: Stack) -> None:
    said = attempt(stack, REFUSED)
    assert {row for row, answer in said.items() if not answer.startswith("refused:")} == set()


def test_the_control_plane_cannot_reach_the_warehouse(stack: Stack) -> None:
    assert stack.sql("SELECT has_database_privilege('dagster', 'warehouse', 'CONNECT')") == [["f"]]
