"""ComposeRunLauncher: each run in a container that is a copy of its code location's service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from dagster import DagsterRun, Field, StringSource
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.storage.tags import DOCKER_IMAGE_TAG
from dagster._serdes.config_class import ConfigurableClassData
from dagster_docker import DockerRunLauncher
from dagster_docker.docker_run_launcher import DOCKER_CONTAINER_ID_TAG

from compose_run_launcher import images, labels
from compose_run_launcher.engine import Engine
from compose_run_launcher.service_copy import run_container
from compose_run_launcher.watch import ReleaseWatch


class LaunchRefused(Exception):
    """The run cannot be launched; the message says why and what to do."""


class ComposeRunLauncher(DockerRunLauncher):
    """Launches a run as a copy of the Compose service of the run's code location.

    The image is the one that the run was created with; environment, user, networks, mounts,
    secrets, capabilities and limits are the service's. Nothing is configured here but the
    stack's own name.

    Configuration: ``project``, the Compose project's name.
    """

    def __init__(self, project: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(inst_data=inst_data)
        self._engine = Engine(project)
        # Between the removal of a service's old container and the creation of the new one
        # there is none to copy: then the last known one still says how runs are configured.
        self._last_service: dict[str, dict[str, Any]] = {}
        self._last_image: dict[str, dict[str, Any]] = {}

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        """The one setting."""
        return {"project": Field(StringSource, description="Name of the Compose project.")}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> Self:
        """Built by Dagster from dagster.yaml."""
        return cls(inst_data=inst_data, **config_value)

    def watch(self) -> None:
        """Follow the location's releases; to be called once, by the process that launches."""
        ReleaseWatch(self._engine).start()

    def dispose(self) -> None:
        """Give the engine's sockets back."""
        self._engine.close()
        super().dispose()

    def _launch_container_with_command(
        self, run: DagsterRun, docker_image: str, command: Sequence[str]
    ) -> None:
        """The base class's one way to a container, for launch and resume alike."""
        location = _location_of(run)
        services = self._engine.service_containers(location)
        service, service_image = self._service_to_copy(location, services)
        images.resolve(self._engine, docker_image, location, services)
        container = run_container(
            service,
            service_image,
            image=docker_image,
            command=command,
            environment={"DAGSTER_RUN_JOB_NAME": run.job_name},
            labels=labels.for_run(self._engine.project, location, run.run_id, run.job_name),
        )
        container_id = self._engine.create(self._container_name(run), container)
        self._instance.report_engine_event(
            message=f"Starting the run in container {container_id[:12]}, a copy of service"
            f" {location!r}, with image {docker_image}.",
            dagster_run=run,
            cls=self.__class__,
        )
        self._instance.add_run_tags(
            run.run_id, {DOCKER_CONTAINER_ID_TAG: container_id, DOCKER_IMAGE_TAG: docker_image}
        )
        self._engine.start(container_id)

    def _service_to_copy(
        self, location: str, services: list[dict[str, Any]]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        if services:
            image = self._engine.image(services[0]["Image"])
            self._last_service[location] = services[0]
            self._last_image[location] = image or {}
        if location not in self._last_service:
            raise LaunchRefused(
                f"Code location {location!r} has no service container in Compose project"
                f" {self._engine.project!r} to copy for this run. A location's name and its"
                f" service's must be equal; see `docker compose ps -a {location}`."
            )
        return self._last_service[location], self._last_image[location]

    def _container_name(self, run: DagsterRun) -> str:
        """One name per attempt, so that the engine itself refuses to run anything twice."""
        attempt = run.tags.get("dagster/resume_attempt") or run.tags.get(DOCKER_CONTAINER_ID_TAG)
        suffix = f"-after-{attempt[:12]}" if attempt else ""
        return f"{self._engine.project}-run-{run.run_id}{suffix}"

    def terminate(self, run_id: str) -> bool:
        """Stop the run's container, with the service's own grace; False when there is none."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        container_id = run.tags.get(DOCKER_CONTAINER_ID_TAG)
        if container_id is None or self._engine.container(container_id) is None:
            self._instance.report_engine_event(
                message="The run has no container to stop.", dagster_run=run, cls=self.__class__
            )
            return False
        self._engine.stop(container_id)
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the run's container runs, and if not, how it ended."""
        container_id = run.tags.get(DOCKER_CONTAINER_ID_TAG)
        if container_id is None:
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "The run has no container.")
        container = self._engine.container(container_id)
        if container is None:
            return CheckRunHealthResult(
                WorkerStatus.NOT_FOUND, f"Container {container_id[:12]} is gone."
            )
        state = container["State"]
        if state["Running"]:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        killed = " It was killed for memory." if state.get("OOMKilled") else ""
        return CheckRunHealthResult(
            WorkerStatus.FAILED,
            f"Container {container_id[:12]} is {state['Status']}, exit code"
            f" {state['ExitCode']}.{killed}",
        )


def _location_of(run: DagsterRun) -> str:
    if run.remote_job_origin is None:
        raise LaunchRefused(f"Run {run.run_id} does not say which code location it belongs to.")
    return run.remote_job_origin.location_name
