"""A run whose container has ended must not look alive: it is failed at once, and explained."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.events import EngineEventData, JobFailureData, RunFailureReason

from compose_run_launcher import labels
from compose_run_launcher.engine import Engine, RunContainerState
from compose_run_launcher.explanation import LOG_LINES, explain
from compose_run_launcher.watch import Watch

# States in which a run needs a living container.
IN_CONTAINER = (
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
)

_NO_CONTAINER = (
    "The run has no container: it was removed, or the daemon ended before it made one. Launch the"
    " run again."
)

logger = logging.getLogger(__name__)


class RunWatch(Watch):
    """Follows the ends of run containers; begins with a look at all runs that should be alive."""

    def __init__(self, engine: Engine, instance: DagsterInstance) -> None:
        super().__init__("run-watch", engine)
        self._instance = instance
        # A launch that this process has under way is nobody's leftover.
        self._born = time.time()

    def follow(self) -> None:
        """Settle what ended while nobody watched, then each end as it comes."""
        since = time.time()
        self._catch_up()
        for container_id in self.engine.ended_runs(since):
            container = self.engine.container(container_id)
            if container is not None:
                self._settle(container)

    def _catch_up(self) -> None:
        containers: dict[str, list[RunContainerState]] = {}
        for container in self.engine.run_containers():
            containers.setdefault(container.run_id, []).append(container)
        records = self._instance.get_run_records(RunsFilter(statuses=list(IN_CONTAINER)))
        for record in records:
            run = record.dagster_run
            mine = containers.get(run.run_id, [])
            if any(container.running for container in mine):
                continue
            if mine:
                self._settle_unwatched(max(mine, key=lambda container: container.created))
            elif record.update_timestamp.timestamp() < self._born:
                self._end(run, _NO_CONTAINER)

    def _settle_unwatched(self, newest: RunContainerState) -> None:
        """The newest container of a run that should be alive, which does not run."""
        if newest.state != "created":
            container = self.engine.container(newest.id)
            if container is not None:
                self._settle(container)
        elif newest.created < self._born - 1:
            # The daemon ended between making the container and starting it. It has run nothing,
            # so that starting it now runs nothing twice.
            self.engine.start(newest.id)

    def _settle(self, container: Mapping[str, Any]) -> None:
        run = self._instance.get_run_by_id(container["Config"]["Labels"].get(labels.RUN_ID, ""))
        if run is None or run.status not in IN_CONTAINER:
            return
        if any(other.running for other in self.engine.run_containers(run_id=run.run_id)):
            return
        self._end(run, explain_end(self.engine, container))

    def _end(self, run: DagsterRun, text: str) -> None:
        logger.warning("run %s: %s", run.run_id, text.splitlines()[0])
        if run.status == DagsterRunStatus.CANCELING:
            self._instance.report_engine_event(text, run, EngineEventData())
            self._instance.report_run_canceled(run)
            return
        failure = JobFailureData(error=None, failure_reason=RunFailureReason.UNEXPECTED_TERMINATION)
        self._instance.report_run_failed(run, text, failure)


def explain_end(engine: Engine, container: Mapping[str, Any]) -> str:
    """Why an inspected container ended, with the end of its log."""
    return explain(container, engine.log(container["Id"], LOG_LINES))
