"""A stand-in for the engine, which holds what a real one would say; and runs to end with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import docker.errors
import requests
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.test_utils import create_run_for_test

from compose_run_launcher import labels
from compose_run_launcher.engine import Engine, RunContainerState
from compose_run_launcher.launcher import ComposeRunLauncher
from compose_run_launcher.launching import Launches
from compose_run_launcher.losses import Decision, Fault
from compose_run_launcher.run_ends import RunEnds
from compose_run_launcher.run_watch import RunWatch

ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("elt"), "__repository__"), "job"
)
CODE = JobPythonOrigin(
    "job", RepositoryPythonOrigin("/app/python", ModuleCodePointer("elt.definitions", "defs"))
)
SERVICE: dict[str, Any] = {
    "Id": "service",
    "Image": "sha256:image",
    "HostConfig": {"Memory": 512 * 2**20, "NetworkMode": "s_core"},
    "Config": {
        "Env": ["DAGSTER_MODULE_NAME=elt.definitions"],
        "Labels": {
            labels.COMPOSE_SERVICE: "elt",
            labels.ROLE: labels.ROLE_CODE_LOCATION,
        },
        "WorkingDir": "/app",
    },
    "NetworkSettings": {"Networks": {"s_core": {}}},
}


class StandIn(Engine):
    """What an engine knows of one service and of some run containers."""

    def __init__(self) -> None:
        super().__init__("s")
        self.known: dict[str, dict[str, Any]] = {}
        self.made: list[str] = []
        self.started: list[str] = []

    def put(
        self, run: DagsterRun, name: str = "", standby: bool = False, **state: Any
    ) -> dict[str, Any]:
        """A container of the run: ended, unless its ``state`` says otherwise."""
        id = f"{len(self.known):012d}"
        self.known[id] = {
            "Id": id,
            "Name": "/" + (name or labels.run_name("s", run.run_id)),
            "HostConfig": {"Memory": 512 * 2**20},
            "Config": {"Labels": {labels.TICKET: "t"} if standby else {}},
            "State": {
                "Status": "exited",
                "Running": False,
                "ExitCode": 0,
                "OOMKilled": False,
                "Error": "",
                "StartedAt": "2026-01-01T00:00:00Z",
                "FinishedAt": "2026-01-01T00:00:12.5Z",
                **state,
            },
        }
        return self.known[id]

    def container(self, container_id: str) -> dict[str, Any] | None:
        named = {container["Name"].lstrip("/"): container for container in self.known.values()}
        return self.known.get(container_id) or named.get(container_id)

    def run_containers(self, run_id: str | None = None) -> list[RunContainerState]:
        found = [
            RunContainerState(
                id=container["Id"],
                run_id=self.run_of(container),
                state="running" if container["State"]["Running"] else container["State"]["Status"],
                created=float(container["Id"]),
                ticket=container["Config"]["Labels"].get(labels.TICKET, ""),
            )
            for container in self.known.values()
        ]
        return [one for one in found if run_id in {None, one.run_id}]

    def ended_runs(self, since: float) -> Iterator[str]:
        return iter(())

    def log(self, container_id: str, lines: int) -> str:
        return "leaving now\n"

    def service_containers(self, location: str) -> list[dict[str, Any]]:
        return [SERVICE] if location == "elt" else []

    def image(self, reference: str) -> dict[str, Any] | None:
        image = {"Id": "sha256:image", "Config": {"Env": ["PATH=/app"], "WorkingDir": "/app"}}
        return image if reference in {"sha256:image", "s/elt:1"} else None

    def create(self, name: str, container: Any) -> str:
        self.made.append(name)
        return name

    def start(self, container_id: str) -> None:
        self.started.append(container_id)

    def end(self, container_id: str) -> None:
        state = self.known[container_id]["State"]
        if state["Running"]:
            state |= {"Running": False, "Status": "exited", "ExitCode": 137}

    def discard(self, container_id: str) -> None:
        self.known.pop(container_id, None)


def a_run(
    instance: DagsterInstance, status: DagsterRunStatus = DagsterRunStatus.STARTED, **tags: str
) -> DagsterRun:
    return create_run_for_test(
        instance,
        job_name="job",
        status=status,
        tags=tags,
        remote_job_origin=ORIGIN,
        job_code_origin=CODE,
    )


def again(instance: DagsterInstance, run: DagsterRun) -> DagsterRun:
    """The run as it is now."""
    now = instance.get_run_by_id(run.run_id)
    assert now is not None
    return now


def said(instance: DagsterInstance, run: DagsterRun) -> list[str]:
    """What the run's failure events say."""
    records = instance.get_records_for_run(run.run_id).records
    events = (record.event_log_entry.dagster_event for record in records)
    return [event.message or "" for event in events if event and event.is_run_failure]


def look(instance: DagsterInstance, engine: StandIn) -> list[str]:
    """One look at all that should be alive; the ids of runs that were launched again."""
    launched: list[str] = []
    watch(instance, engine, launched).follow()
    return launched


def watch(instance: DagsterInstance, engine: StandIn, launched: list[str]) -> RunWatch:
    """One that notes what it launches again."""
    ends = RunEnds(engine, instance)
    return RunWatch(engine, instance, ends, lambda run: launched.append(run.run_id))


def fault(instance: DagsterInstance, run: DagsterRun) -> Fault:
    """Whose fault its end was, as it is written down; it decides on retries."""
    decision = Decision.of(again(instance, run))
    assert decision is not None
    return decision.fault


def launcher(instance: DagsterInstance, engine: Engine) -> ComposeRunLauncher:
    made = ComposeRunLauncher("s")
    made._engine = engine
    made.register_instance(instance)
    return made


def refused(status: int, explanation: str) -> docker.errors.APIError:
    """An answer of the engine."""
    response = requests.Response()
    response.status_code = status
    return docker.errors.APIError("refused", response, explanation)


def launched(instance: DagsterInstance, engine: StandIn, run: DagsterRun) -> None:
    """Launch it as the daemon does."""
    launch: Callable[..., None] = Launches(engine, instance).launch
    launcher(instance, engine)._try_until_given_up(launch, run, "s/elt:1", ["true"])
