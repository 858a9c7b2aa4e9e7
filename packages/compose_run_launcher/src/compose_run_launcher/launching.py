"""One run gets one container: a standby worker's when one fits, else one made for it.

Every step may be the last that this process does, and all of them may be repeated. What keeps a
run from running twice is the container's name, which is the run's alone: the engine gives it
once. What keeps it from being lost is that whoever comes next finds by that name how far the
launch has got, and goes on from there.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from docker.errors import APIError
from requests.exceptions import RequestException

from compose_run_launcher import belongs, commands, images, labels
from compose_run_launcher.engine import Engine, may_pass
from compose_run_launcher.internals import DOCKER_CONTAINER_ID_TAG, DOCKER_IMAGE_TAG
from compose_run_launcher.limits import Limits, limits
from compose_run_launcher.limits import apply as apply_limits
from compose_run_launcher.limits import changes as limit_changes
from compose_run_launcher.release import Release, Releases
from compose_run_launcher.service_copy import run_container
from compose_run_launcher.standby import StandbyPool
from compose_run_launcher.standby_worker import Standby
from compose_run_launcher.threads import Locks
from compose_run_launcher.worker import handover_tags

logger = logging.getLogger(__name__)


class LaunchRefused(Exception):
    """The run cannot be launched; the message says why and what to do."""


class Launches:
    """Launches runs, each at most once, whoever asks and however often."""

    def __init__(self, engine: Engine, instance: DagsterInstance) -> None:
        self._engine = engine
        self._instance = instance
        self._locks = Locks()
        self.releases = Releases()
        self.pool: StandbyPool | None = None
        # Between the removal of a service's old container and the creation of the new one
        # there is none to copy: then the last known one still says how runs are configured.
        self._last_known: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}

    def launch(self, run: DagsterRun, image: str, command: Sequence[str]) -> None:
        """Give the run a container. ``command`` is for one that is made for it."""
        with self._locks.of(run.run_id):
            self._launch(run, image, command)

    def launch_again(self, run: DagsterRun, image: str, command: Sequence[str]) -> None:
        """Finish a launch that somebody began, if nothing of the run has been executed yet."""
        with self._locks.of(run.run_id):
            if self._is_starting(run):
                # What ends one standby worker early may end the next one too.
                self._launch(run, image, command, cold=True)

    def take_back(self, run: DagsterRun, image: str, command: Sequence[str]) -> None:
        """Launch a run cold that a standby worker got and has not begun with."""
        with self._locks.of(run.run_id):
            worker = self._engine.container_of(run.run_id)
            if not self._is_starting(run):
                return
            if worker is None or self._end_unused(run, worker["Id"]) is None:
                self._launch(run, image, command, cold=True)

    def is_launching(self, run_id: str) -> bool:
        """Whether a thread of this process is at work on the run's container."""
        return self._locks.is_used(run_id)

    def give_up(self, run: DagsterRun) -> None:
        """End what was made for a run that is to be failed: nothing may go on executing it."""
        with self._locks.of(run.run_id):
            container = self._engine.container_of(run.run_id)
            if container is not None and self._is_starting(run):
                self._end_unused(run, container["Id"])

    def resume(self, run: DagsterRun, image: str, command: Sequence[str]) -> None:
        """Give the run another container, in place of the one that it has lost."""
        former = run.tags.get(DOCKER_CONTAINER_ID_TAG, "")
        name = f"{labels.run_name(self._engine.project, run.run_id)}-after-{former[:12]}"
        with self._locks.of(run.run_id):
            self._launch(run, image, command, name, cold=True)

    def _launch(
        self,
        run: DagsterRun,
        image: str,
        command: Sequence[str],
        name: str | None = None,
        *,
        cold: bool = False,
    ) -> None:
        """Give the run a container of this name, by default the run's; go on with one that is."""
        name = name or labels.run_name(self._engine.project, run.run_id)
        former = self._engine.container(name)
        if former is not None and self._go_on_with(run, former):
            return
        services = self._services(run)
        self._refuse_what_does_not_belong(run, image, services)
        service, _ = self._service_to_copy(location_of(run), services)
        granted = limits(run.tags, service)
        ids = [service["Id"] for service in services]
        standby = None if cold or self.pool is None else self.pool.take(image, ids)
        if standby is not None and self._hand_over_to(standby, run, name, granted):
            return
        self._make(run, image, command, name, services, granted)

    def _refuse_what_does_not_belong(
        self, run: DagsterRun, image: str, services: list[dict[str, Any]]
    ) -> None:
        """Raise LaunchRefused unless the run belongs to its location; asks nobody as a rule."""
        location = location_of(run)
        service, _ = self._service_to_copy(location, services)
        if service["Config"]["Labels"].get(labels.ROLE) != labels.ROLE_CODE_LOCATION:
            raise LaunchRefused(f"run {run.run_id}: service {location} is not a code location.")
        own = belongs.repositories(service, location, self._engine.project)
        found = belongs.foreign_image(run.run_id, image, location, own)
        if found is None:
            known = self._how_it_is_loaded(location, image, services)
            found = belongs.disagreement(run, location, known)
        if found is not None:
            logger.warning("refused: %s", found)
            raise LaunchRefused(f"{found}. Launch the job again to run it as its location is now.")

    def _how_it_is_loaded(
        self, location: str, image: str, services: list[dict[str, Any]]
    ) -> Release | belongs.EntrypointContract:
        """What the release says of itself; else, as of a former one, what its image says."""
        if known := self.releases.with_image(location, image):
            return known
        images.ensure(self._engine, image, location, services, self.releases)
        service, _ = self._service_to_copy(location, services)
        contract = belongs.contract(service, self._engine.image(image) or {})
        if not contract.modules:
            # An image that is started in a way of its own: there is nobody else to ask.
            asked = (self.releases.of(one) for one in services)
            return next((one for one in asked if one and one.image == image), contract)
        return contract

    def _go_on_with(self, run: DagsterRun, container: dict[str, Any]) -> str | None:
        """Go on with a launch that got as far as ``container``; None if that was removed, unused.

        Otherwise the id of the run's container. So answer the others here that end or use one.
        """
        container_id, state = container["Id"], container["State"]
        is_standby = labels.TICKET in container["Config"]["Labels"]
        if state["Status"] == "created":
            # Whoever made it may not have come to join its networks, or to tell the run of it.
            return self._end_unused(run, container_id)
        if not is_standby or not self._is_starting(run):
            return str(container_id)
        if not state["Running"]:
            return self._end_unused(run, container_id)
        try:
            tags = commands.handover_tags(container, run.run_id)
        except ValueError as error:
            logger.warning("standby worker %s is not used: %s", container_id[:12], error)
            return self._end_unused(run, container_id)
        service, _ = self._service_to_copy(location_of(run), self._services(run))
        granted = limits(run.tags, service)
        return self._hand_over(run, container_id, tags, container["Config"]["Image"], granted)

    def _is_starting(self, run: DagsterRun) -> bool:
        """Whether nothing of the run has been executed: Dagster says so before it begins."""
        now = self._instance.get_run_by_id(run.run_id)
        return now is not None and now.status == DagsterRunStatus.STARTING

    def _hand_over_to(
        self, standby: Standby, run: DagsterRun, name: str, granted: Limits
    ) -> str | None:
        """Give the run to a standby worker that was taken; one that cannot be had is forgotten."""
        try:
            self._engine.rename(standby.id, name)
        except (APIError, RequestException) as error:
            # The pool removes it, unless it bears the run's name in spite of the answer.
            if self.pool is not None:
                self.pool.forget(standby)
            if may_pass(error):
                raise
            logger.warning("standby worker %s is not used: %s", standby.id[:12], error)
            return None
        tags = handover_tags(standby.ticket, standby.key, run.run_id)
        return self._hand_over(run, standby.id, tags, standby.image, granted)

    def _hand_over(
        self, run: DagsterRun, worker_id: str, tags: dict[str, str], image: str, granted: Limits
    ) -> str | None:
        """Give the run to the worker that bears its name, or remove that, unused."""
        try:
            self._engine.update(worker_id, limit_changes(granted))
            self._say(run, "Handing the run to standby worker", worker_id, image, granted, tags)
            self._engine.wake(worker_id)
        except APIError as error:
            if may_pass(error):
                raise
            logger.warning("standby worker %s is not used: %s", worker_id[:12], error)
            return self._end_unused(run, worker_id)
        return worker_id

    def _end_unused(self, run: DagsterRun, worker_id: str) -> str | None:
        """End a worker; remove it if it had not begun with the run, so that another one can."""
        self._engine.end(worker_id)
        if not self._is_starting(run):
            return worker_id
        self._engine.discard(worker_id)
        return None

    def _make(
        self,
        run: DagsterRun,
        image: str,
        command: Sequence[str],
        name: str,
        services: list[dict[str, Any]],
        granted: Limits,
    ) -> None:
        """A container of the run's own, from its location's service."""
        location = location_of(run)
        service, service_image = self._service_to_copy(location, services)
        images.ensure(self._engine, image, location, services, self.releases)
        container = run_container(
            service,
            service_image,
            image=image,
            command=command,
            environment={"DAGSTER_RUN_JOB_NAME": run.job_name},
            labels=labels.for_run(self._engine.project, location, run.run_id, run.job_name),
        )
        apply_limits(container.config["HostConfig"], granted)
        container_id = self._engine.create(name, container)
        self._say(run, "Starting the run in container", container_id, image, granted)
        # A pull may take longer than the run was given to start.
        now = self._instance.get_run_by_id(run.run_id)
        if now is None or now.is_finished:
            self._engine.discard(container_id)
            return
        self._start(container_id)

    def _say(
        self,
        run: DagsterRun,
        how: str,
        container_id: str,
        image: str,
        granted: Limits,
        more_tags: dict[str, str] | None = None,
    ) -> None:
        """What people see in the run's events, and programs in its tags."""
        self._instance.report_engine_event(
            message=f"{how} {container_id[:12]}, a copy of service {location_of(run)!r}, with"
            f" image {image}; {granted.describe()}.",
            dagster_run=run,
        )
        tags = {DOCKER_CONTAINER_ID_TAG: container_id, DOCKER_IMAGE_TAG: image}
        self._instance.add_run_tags(run.run_id, tags | granted.tags() | (more_tags or {}))

    def _start(self, container_id: str) -> None:
        try:
            self._engine.start(container_id)
        except APIError as error:
            if not may_pass(error):
                self._engine.remove(container_id)
            raise

    def _services(self, run: DagsterRun) -> list[dict[str, Any]]:
        return self._engine.service_containers(location_of(run))

    def _service_to_copy(
        self, location: str, services: list[dict[str, Any]]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The inspected service container to copy, and its image."""
        if services:
            known, image = self._last_known.get(location, ({}, {}))
            if known.get("Image") != services[0]["Image"]:
                image = self._engine.image(services[0]["Image"]) or {}
            self._last_known[location] = (services[0], image)
        if location not in self._last_known:
            raise LaunchRefused(
                f"Code location {location!r} has no service container in Compose project"
                f" {self._engine.project!r} to copy for this run. A location's name and its"
                f" service's must be equal; see `docker compose ps -a {location}`."
            )
        return self._last_known[location]


def location_of(run: DagsterRun) -> str:
    """The run's code location, which is its Compose service."""
    if run.remote_job_origin is None:
        raise LaunchRefused(f"Run {run.run_id} does not say which code location it belongs to.")
    return run.remote_job_origin.location_name
