"""The location's dbt project, parsed, and the tables that it reads, in a real PostgreSQL."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from location_kit.postgres import PostgresResource
from location_kit.testing import PASSWORD
from psycopg2.extensions import connection as Connection

LOCATION = Path(__file__).parents[1]
REPOSITORY = LOCATION.parents[1]
PARSE = REPOSITORY / "deploy/code_location/dbt-parse"
# Definitions are made from dbt's manifest, and tests import them.
subprocess.run([PARSE, LOCATION], check=True)

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

INCREMENTAL = "{{ config(materialized='incremental') }}"
ADDED_MODELS = {
    "added": INCREMENTAL + " select order_id from {{ ref('stg_orders') }}",
    "broken": "select nothing from {{ ref('stg_orders') }}",
}


@pytest.fixture(scope="session")
def warm_dbt() -> Iterator[Path]:
    """A folder whose program `dbt` does what the location's own does, without the 5 s of its start.

    The manifest above is made by the location's own, as the image's is.
    """
    # Not pytest's, whose path may be too long for a socket's.
    with tempfile.TemporaryDirectory(prefix="dbt-") as folder:
        command = [sys.executable, str(Path(__file__).with_name("warm_dbt.py")), folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None and server.stdout.readline() == b"ready\n"
            yield Path(folder)
            server.terminate()


@pytest.fixture(scope="session")
def parse() -> Callable[[Path], bool]:
    """Parses a location's dbt project, without settings and beside a secret; False if it fails."""

    def call(location: Path) -> bool:
        environment = {"PATH": "/usr/bin:/bin", "WAREHOUSE_PASSWORD": PASSWORD}
        return subprocess.run([PARSE, location], env=environment, check=False).returncode == 0

    return call


@pytest.fixture(scope="session")
def larger(
    parse: Callable[[Path], bool], warm_dbt: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The location with models added to its dbt project, parsed: for reading alone."""
    location = tmp_path_factory.mktemp("larger")
    shutil.copytree(LOCATION / "dbt", location / "dbt", ignore=shutil.ignore_patterns("target"))
    for name, statement in ADDED_MODELS.items():
        (location / "dbt/models/marts" / f"{name}.sql").write_text(statement)
    (location / ".venv").mkdir()
    (location / ".venv/bin").symlink_to(warm_dbt)
    (location / "uv.lock").touch()
    assert parse(location)
    return location


@pytest.fixture(scope="session")
def schemas() -> tuple[str, ...]:
    return ("marts", "staging")


@pytest.fixture(scope="session")
def database_rights() -> tuple[str, ...]:
    """dbt makes temporary tables."""
    return ("CONNECT", "TEMPORARY")


@pytest.fixture
def warehouse(warehouse: PostgresResource, inside: Connection) -> PostgresResource:
    """Beside the location's schemas, somebody else's schema raw, which it may read."""
    with inside.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS raw CASCADE")
        cursor.execute("CREATE SCHEMA raw; GRANT USAGE ON SCHEMA raw TO PUBLIC")
    return warehouse


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
