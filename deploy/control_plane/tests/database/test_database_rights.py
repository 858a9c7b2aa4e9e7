"""What each role may do in Postgres, with Dagster's tables, as a migration leaves it."""

from __future__ import annotations

from contextlib import closing

import psycopg2
import pytest
from conftest import CONNECTIONS, LOCATIONS, PASSWORD, SQL, Postgres
from psycopg2.errors import InsufficientPrivilege

from control_plane.database import Server, connect, grant_run_rights, provision
from control_plane.errors import StackError

PASSWORDS = dict.fromkeys(LOCATIONS, PASSWORD)

ELT_OWNS = """
CREATE TABLE IF NOT EXISTS raw.orders (order_id int PRIMARY KEY, amount_cents int);
INSERT INTO raw.orders VALUES (1, 100) ON CONFLICT DO NOTHING
"""
ANALYTICS_OWNS = "CREATE TABLE IF NOT EXISTS marts.my_analytics_asset (customer_id int)"


def again(server: Server, passwords: dict[str, str] = PASSWORDS) -> None:
    """What a further start does."""
    provision(server, PASSWORD, passwords, SQL, CONNECTIONS)


def execute(server: Server, role: str, database: str, statement: str) -> None:
    """One transaction as a role that logs in."""
    login = {"host": server.host, "port": server.port, "user": role, "password": PASSWORD}
    with (
        closing(psycopg2.connect(**login, dbname=database)) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


@pytest.fixture(scope="module")
def migrated(postgres: Postgres) -> Server:
    """As `control-plane migrate` leaves it at a second start, with a table of each location."""
    server = postgres.server()
    execute(server, "elt", "warehouse", ELT_OWNS)
    execute(server, "analytics", "warehouse", ANALYTICS_OWNS)
    again(server)
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
    again(migrated, PASSWORDS | {"eu_sales": "another"})
    try:
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            execute(migrated, "eu_sales", "warehouse", "SELECT 1")
    finally:
        again(migrated)
    execute(migrated, "eu_sales", "warehouse", "SELECT 1")


def test_the_superusers_password_is_changed_by_the_former_one(migrated: Server) -> None:
    rotated = Server(migrated.host, migrated.port, "rotated", former=PASSWORD)
    again(rotated)
    try:
        with connect(Server(migrated.host, migrated.port, "rotated"), "postgres"):
            pass
        refused = pytest.raises(StackError, match="password authentication failed")
        with refused, connect(migrated, "postgres"):
            pass
    finally:
        back = Server(migrated.host, migrated.port, PASSWORD, former="rotated")
        again(back)


def test_a_server_that_knows_neither_password_is_named(migrated: Server) -> None:
    stranger = Server(migrated.host, migrated.port, "wrong", former="wrong too")
    with pytest.raises(StackError) as refusal, connect(stranger, "postgres"):
        pass
    assert f"Postgres at 127.0.0.1:{migrated.port}, database 'postgres'" in str(refusal.value)
    assert "wrong" not in str(refusal.value)
