"""A run whose container has ended must not look alive: it is failed at once, and explained."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from compose_run_launcher import labels
from compose_run_launcher.engine import Engine, RunContainerState
from compose_run_launcher.explanation import LOG_LINES, explain, is_its_own_fault
from compose_run_launcher.internals import (
    MAX_RETRIES_TAG,
    EngineEventData,
    JobFailureData,
    RunFailureReason,
)
from compose_run_launcher.watch import Watch
from compose_run_launcher.worker import REFUSED

# States in which a run needs a living container.
IN_CONTAINER = (
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
)

_NO_CONTAINER = "The run's container was removed. Launch the run again."

logger = logging.getLogger(__name__)


class RunWatch(Watch):
    """Follows the ends of run containers; begins with a look at all runs that should be alive."""

    def __init__(
        self,
        engine: Engine,
        instance: DagsterInstance,
        launch_again: Callable[[DagsterRun], None],
    ) -> None:
        super().__init__("run-watch", engine)
        self._instance = instance
        self._launch_again = launch_again

    def follow(self) -> None:
        """Settle what ended while nobody watched, then each end as it comes."""
        since = time.time()
        self._catch_up()
        for container_id in self.engine.ended_runs(since):
            self._settle_by_id(container_id)

    def _catch_up(self) -> None:
        # Runs first: the container of one that is here has been made by the time of the listing.
        runs = self._instance.get_runs(RunsFilter(statuses=list(IN_CONTAINER)))
        containers: dict[str, list[RunContainerState]] = {}
        for container in self.engine.run_containers():
            containers.setdefault(container.run_id, []).append(container)
        for run in runs:
            mine = containers.get(run.run_id, [])
            if run.status == DagsterRunStatus.STARTING:
                # The process that launched it may have ended at any point of that.
                self._settle_starting(run, mine)
            elif not mine:
                self._settle_lost(run.run_id)
            elif not any(container.running for container in mine):
                self._settle_by_id(max(mine, key=lambda container: container.created).id)

    def _settle_lost(self, run_id: str) -> None:
        run = self._instance.get_run_by_id(run_id)
        if run is not None and run.status in IN_CONTAINER:
            self._end(run, _NO_CONTAINER)

    def _settle_starting(self, run: DagsterRun, containers: list[RunContainerState]) -> None:
        made = [container for container in containers if not container.ticket]
        if made and made[0].state not in {"created", "running"}:
            self._settle_by_id(made[0].id)
        else:
            self._launch_again(run)

    def _settle_by_id(self, container_id: str) -> None:
        container = self.engine.container(container_id)
        if container is not None:
            self._settle(container)

    def _settle(self, container: Mapping[str, Any]) -> None:
        run_id = self.engine.run_of(container)
        run = self._instance.get_run_by_id(run_id) if run_id else None
        if run is None or run.status not in IN_CONTAINER:
            return
        if any(other.running for other in self.engine.run_containers(run_id=run.run_id)):
            return
        standby = labels.TICKET in container["Config"]["Labels"]
        refused = container["State"]["ExitCode"] == REFUSED
        if standby and run.status == DagsterRunStatus.STARTING and not refused:
            # A standby worker that ended before it began is nothing that a run has to fail for.
            self._launch_again(run)
            return
        if is_its_own_fault(container):
            do_not_retry(self._instance, run)
        self._end(run, explain_end(self.engine, container))

    def _end(self, run: DagsterRun, text: str) -> None:
        logger.warning("run %s: %s", run.run_id, text.splitlines()[0])
        if run.status == DagsterRunStatus.CANCELING:
            self._instance.report_engine_event(text, run, EngineEventData())
            self._instance.report_run_canceled(run)
            return
        failure = JobFailureData(error=None, failure_reason=RunFailureReason.UNEXPECTED_TERMINATION)
        self._instance.report_run_failed(run, text, failure)


def do_not_retry(instance: DagsterInstance, run: DagsterRun) -> None:
    """A run that would fail in the same way again is retried only when it asks for that."""
    if MAX_RETRIES_TAG not in run.tags:
        instance.add_run_tags(run.run_id, {MAX_RETRIES_TAG: "0"})


def explain_end(engine: Engine, container: Mapping[str, Any]) -> str:
    """Why an inspected container ended, with the end of its log."""
    return explain(container, engine.log(container["Id"], LOG_LINES))
