"""A real Postgres with Dagster's storage, and runs in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from control_plane.connections import keep_connections
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
from stack_postgres import PASSWORD, Postgres, migrated

JOBS = Path(__file__).with_name("jobs_of_a_location.py")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with migrated("exporter-postgres-") as found:
        yield found


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
    """The control plane's instance, which keeps its connections."""
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
        keep_connections(instance)
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
