"""ComposeRunLauncher: each run in a container that is a copy of its code location's service."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from dagster import DagsterRun, Field, IntSource, StringSource
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.storage.tags import DOCKER_IMAGE_TAG
from dagster._serdes.config_class import ConfigurableClassData
from dagster_docker import DockerRunLauncher
from dagster_docker.docker_run_launcher import DOCKER_CONTAINER_ID_TAG
from docker.errors import APIError, DockerException
from requests.exceptions import RequestException
from tenacity import (
    Retrying,
    before_sleep_log,
    retry_if_exception,
    stop_after_delay,
    wait_exponential,
)

from compose_run_launcher import images, labels
from compose_run_launcher.cleaner import Cleaner, Grace
from compose_run_launcher.engine import Engine, may_pass
from compose_run_launcher.explanation import LOG_LINES, ended_at
from compose_run_launcher.limits import BadLimit, limits
from compose_run_launcher.limits import apply as apply_limits
from compose_run_launcher.run_watch import RunWatch, explain_end
from compose_run_launcher.service_copy import run_container
from compose_run_launcher.watch import ReleaseWatch

logger = logging.getLogger(__name__)

# How long an end may take to be noticed and explained by the watch.
_LEFT_TO_THE_WATCH = timedelta(seconds=30)


class LaunchRefused(Exception):
    """The run cannot be launched; the message says why and what to do."""


# What stops a launch for a reason that says all there is to say.
_CLEAR_FAILURES = (
    LaunchRefused,
    BadLimit,
    images.ImageUnavailable,
    DockerException,
    RequestException,
)


class ComposeRunLauncher(DockerRunLauncher):
    """Launches a run as a copy of the Compose service of the run's code location.

    The image is the one that the run was created with; environment, user, networks, mounts,
    secrets, capabilities and limits are the service's. Nothing is configured here but the
    stack's own name.

    Configuration: ``project``, the Compose project's name; ``keep_succeeded_seconds`` and
    ``keep_failed_seconds``, how long ended containers are kept.
    """

    def __init__(
        self,
        project: str,
        keep_succeeded_seconds: int = 300,
        keep_failed_seconds: int = 86_400,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        super().__init__(inst_data=inst_data)
        self._engine = Engine(project)
        self._grace = Grace(keep_succeeded_seconds, keep_failed_seconds)
        # Between the removal of a service's old container and the creation of the new one
        # there is none to copy: then the last known one still says how runs are configured.
        self._last_known: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        """The settings."""
        return {
            "project": Field(StringSource, description="Name of the Compose project."),
            "keep_succeeded_seconds": Field(
                IntSource,
                default_value=300,
                description="How long a container is kept after its run's process succeeded.",
            ),
            "keep_failed_seconds": Field(
                IntSource,
                default_value=86_400,
                description="How long a container is kept after its run's process failed.",
            ),
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> Self:
        """Built by Dagster from dagster.yaml."""
        return cls(inst_data=inst_data, **config_value)

    def watch(self) -> None:
        """Follow releases and the ends of runs, and clean up after them.

        To be called once, by the process that launches.
        """
        ReleaseWatch(self._engine).start()
        RunWatch(self._engine, self._instance).start()
        Cleaner(self._engine, self._instance, self._grace).start()

    def dispose(self) -> None:
        """Give the engine's sockets back."""
        self._engine.close()
        super().dispose()

    def _launch_container_with_command(
        self, run: DagsterRun, docker_image: str, command: Sequence[str]
    ) -> None:
        """The base class's one way to a container, for launch and resume alike."""
        try:
            # An engine that restarts is back within this time; one that is not is a failure.
            Retrying(
                retry=retry_if_exception(may_pass),
                stop=stop_after_delay(60),
                wait=wait_exponential(max=8),
                before_sleep=before_sleep_log(logger, logging.WARNING),
                reraise=True,
            )(self._launch, run, docker_image, command)
        except _CLEAR_FAILURES as error:
            # Said in the run's own words; an exception here would show a daemon's traceback.
            failure = JobFailureData(
                error=None, failure_reason=RunFailureReason.JOB_INITIALIZATION_FAILURE
            )
            self._instance.report_run_failed(
                run, f"The run could not be launched: {error}", failure
            )

    def _launch(self, run: DagsterRun, docker_image: str, command: Sequence[str]) -> None:
        """Create and start the run's container. Safe to repeat: its name is the run's alone."""
        location = _location_of(run)
        name = self._container_name(run)
        existing = self._engine.container(name)
        if existing is not None and existing["State"]["Status"] != "created":
            return
        services = self._engine.service_containers(location)
        service, service_image = self._service_to_copy(location, services)
        granted = limits(run.tags, service)
        images.ensure(self._engine, docker_image, location, services)
        container = run_container(
            service,
            service_image,
            image=docker_image,
            command=command,
            environment={"DAGSTER_RUN_JOB_NAME": run.job_name},
            labels=labels.for_run(self._engine.project, location, run.run_id, run.job_name),
        )
        apply_limits(container.config["HostConfig"], granted)
        container_id = existing["Id"] if existing else self._engine.create(name, container)
        self._instance.report_engine_event(
            message=f"Starting the run in container {container_id[:12]}, a copy of service"
            f" {location!r}, with image {docker_image}; {granted.describe()}.",
            dagster_run=run,
            cls=self.__class__,
        )
        self._instance.add_run_tags(
            run.run_id, {DOCKER_CONTAINER_ID_TAG: container_id, DOCKER_IMAGE_TAG: docker_image}
        )
        self._start(container_id)

    def _start(self, container_id: str) -> None:
        try:
            self._engine.start(container_id)
        except APIError as error:
            if not may_pass(error):
                self._engine.remove(container_id)
            raise

    def _service_to_copy(
        self, location: str, services: list[dict[str, Any]]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The inspected service container to copy, and its image."""
        if services:
            image = self._engine.image(services[0]["Image"]) or {}
            self._last_known[location] = (services[0], image)
        if location not in self._last_known:
            raise LaunchRefused(
                f"Code location {location!r} has no service container in Compose project"
                f" {self._engine.project!r} to copy for this run. A location's name and its"
                f" service's must be equal; see `docker compose ps -a {location}`."
            )
        return self._last_known[location]

    def _container_name(self, run: DagsterRun) -> str:
        """One name per attempt, so that the engine itself refuses to run anything twice."""
        former = run.tags.get(DOCKER_CONTAINER_ID_TAG)
        suffix = f"-after-{former[:12]}" if former else ""
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
        """Whether the run's container runs.

        One that has just ended is left to the watch, which explains it; this is for the case
        that the watch does not.
        """
        container_id = run.tags.get(DOCKER_CONTAINER_ID_TAG)
        if container_id is None:
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "The run has no container.")
        container = self._engine.container(container_id)
        if container is None:
            return CheckRunHealthResult(
                WorkerStatus.NOT_FOUND, f"Container {container_id[:12]} is gone."
            )
        end = ended_at(container)
        if container["State"]["Running"] or (
            end is not None and datetime.now(UTC) - end < _LEFT_TO_THE_WATCH
        ):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, explain_end(self._engine, container))

    def get_run_worker_debug_info(
        self, run: DagsterRun, include_container_logs: bool | None = True
    ) -> str | None:
        """What Dagster appends when a run does not start or does not end in time."""
        container_id = run.tags.get(DOCKER_CONTAINER_ID_TAG)
        container = self._engine.container(container_id) if container_id else None
        if container is None:
            return "The run has no container."
        if not container["State"]["Running"]:
            return explain_end(self._engine, container)
        log = self._engine.log(container["Id"], LOG_LINES) if include_container_logs else ""
        return f"Its container {container['Id'][:12]} still runs. Last lines of its log:\n{log}"


def _location_of(run: DagsterRun) -> str:
    if run.remote_job_origin is None:
        raise LaunchRefused(f"Run {run.run_id} does not say which code location it belongs to.")
    return run.remote_job_origin.location_name
