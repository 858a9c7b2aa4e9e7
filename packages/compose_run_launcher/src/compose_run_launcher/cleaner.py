"""Ended containers go after a grace; containers of ended runs are stopped."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from docker.errors import DockerException
from requests.exceptions import RequestException

from compose_run_launcher.engine import Engine, RunContainerState
from compose_run_launcher.explanation import ended_at
from compose_run_launcher.threads import Endless

_PAUSE_S = 5
# A run process writes its last event a moment before it ends.
_LEAVE_S = 15

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Grace:
    """How long an ended container is kept, in seconds, for people to look into."""

    succeeded_s: int
    failed_s: int

    def of(self, exit_code: int, run: DagsterRun | None) -> timedelta:
        """By how the container ended, and its run: Dagster exits with 0 when a step fails."""
        failed = exit_code != 0 or (run is not None and run.status == DagsterRunStatus.FAILURE)
        return timedelta(seconds=self.failed_s if failed else self.succeeded_s)


class Cleaner(Endless):
    """Looks at this stack's run containers every few seconds; touches no others."""

    def __init__(self, engine: Engine, instance: DagsterInstance, grace: Grace) -> None:
        super().__init__("cleaner")
        self._engine = engine
        self._instance = instance
        self._grace = grace
        self._over_since: dict[str, float] = {}
        self._stopping: set[str] = set()
        # An ended container does not change, and hundreds of them may be kept.
        self._due: dict[str, datetime] = {}

    def follow(self) -> None:
        """One look, and a pause."""
        # A standby worker without a run is its pool's.
        containers = [container for container in self._engine.run_containers() if container.run_id]
        self._stop_leftovers([container for container in containers if container.running])
        ended = [container for container in containers if container.state in {"exited", "dead"}]
        self._due = {c.id: self._due.get(c.id) or self._due_of(c) for c in ended}
        now = datetime.now(UTC)
        for container in ended:
            if self._due[container.id] < now:
                self._remove(container)
        for container in containers:
            # Made and never started: there is nothing to look into once its run is over.
            if container.state == "created":
                self._remove(container)
        time.sleep(_PAUSE_S)

    def _due_of(self, listed: RunContainerState) -> datetime:
        container = self._engine.container(listed.id)
        end = ended_at(container) if container else None
        if container is None or end is None:
            return datetime.now(UTC)
        run = self._instance.get_run_by_id(listed.run_id)
        return end + self._grace.of(container["State"]["ExitCode"], run)

    def _stop_leftovers(self, running: list[RunContainerState]) -> None:
        """A run that was declared dead must not go on writing."""
        runs = self._runs(running)
        over: dict[str, float] = {}
        for container in running:
            run = runs.get(container.run_id)
            if run is not None and not run.is_finished:
                continue
            since = self._over_since.get(container.id, time.monotonic())
            over[container.id] = since
            if time.monotonic() - since >= _LEAVE_S:
                self._stop_container(container, run)
        self._over_since = over

    def _stop_container(self, container: RunContainerState, run: DagsterRun | None) -> None:
        if container.id in self._stopping:
            return
        self._stopping.add(container.id)
        # It takes as long as the container's grace: nothing else waits for that.
        name = f"stop-{container.id[:12]}"
        threading.Thread(
            target=self._stop_one, args=(container, run), name=name, daemon=True
        ).start()

    def _stop_one(self, container: RunContainerState, run: DagsterRun | None) -> None:
        text = f"Container {container.id[:12]} went on after its run had ended, and was stopped."
        try:
            self._engine.stop(container.id)
            logger.warning("run %s: %s", container.run_id, text)
            if run is not None:
                self._instance.report_engine_event(text, run)
        except Exception as error:  # Whatever it is, the next look tries again.
            logger.warning("container %s is not stopped: %s", container.id[:12], error)
        finally:
            self._stopping.discard(container.id)

    def _runs(self, running: list[RunContainerState]) -> dict[str, DagsterRun]:
        ids = [container.run_id for container in running]
        if not ids:
            return {}
        return {run.run_id: run for run in self._instance.get_runs(RunsFilter(run_ids=ids))}

    def _remove(self, container: RunContainerState) -> None:
        run = self._instance.get_run_by_id(container.run_id)
        # One that has not been settled yet still has to explain its run's end.
        if run is not None and not run.is_finished:
            return
        try:
            self._engine.remove(container.id)
        except (DockerException, RequestException) as error:
            # One that cannot be removed now must not keep the others.
            logger.warning("container %s is not removed: %s", container.id[:12], error)
