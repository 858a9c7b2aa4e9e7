"""A run whose container has ended must not look alive: it is failed at once, and explained."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from compose_run_launcher import labels
from compose_run_launcher.engine import Engine, RunContainerState
from compose_run_launcher.run_ends import IN_CONTAINER, RunEnds
from compose_run_launcher.threads import Endless
from compose_run_launcher.worker import REFUSED


class RunWatch(Endless):
    """Follows the ends of run containers; begins with a look at all runs that should be alive."""

    def __init__(
        self,
        engine: Engine,
        instance: DagsterInstance,
        ends: RunEnds,
        launch_again: Callable[[DagsterRun], None],
    ) -> None:
        super().__init__("run-watch")
        self._engine = engine
        self._instance = instance
        self._ends = ends
        self._launch_again = launch_again

    def follow(self) -> None:
        """Settle what ended while nobody watched, then each end as it comes."""
        since = time.time()
        self._catch_up()
        for container_id in self._engine.ended_runs(since):
            self._settle_by_id(container_id)

    def _catch_up(self) -> None:
        # Runs first: the container of one that is here has been made by the time of the listing.
        runs = self._instance.get_runs(RunsFilter(statuses=list(IN_CONTAINER)))
        containers: dict[str, list[RunContainerState]] = {}
        for container in self._engine.run_containers():
            containers.setdefault(container.run_id, []).append(container)
        for run in runs:
            mine = containers.get(run.run_id, [])
            if run.status == DagsterRunStatus.STARTING:
                # The process that launched it may have ended at any point of that.
                self.go_on_with(run, mine)
            elif not mine:
                self._ends.settle(run, None)
            elif not any(container.running for container in mine):
                self._settle_by_id(max(mine, key=lambda container: container.created).id)

    def go_on_with(self, run: DagsterRun, containers: list[RunContainerState]) -> None:
        """Finish the launch of a run that is starting, or settle the end that it came to."""
        made = [container for container in containers if not container.ticket]
        if made and made[0].state not in {"created", "running"}:
            self._settle_by_id(made[0].id)
        else:
            self._launch_again(run)

    def settle(self, container: Mapping[str, Any]) -> bool:
        """End the run of a container that has ended; whether it is over now."""
        run_id = self._engine.run_of(container)
        run = self._instance.get_run_by_id(run_id) if run_id else None
        if run is None or run.status not in IN_CONTAINER:
            return True
        if any(other.running for other in self._engine.run_containers(run_id=run.run_id)):
            return False
        standby = labels.TICKET in container["Config"]["Labels"]
        refused = container["State"]["ExitCode"] == REFUSED
        if standby and run.status == DagsterRunStatus.STARTING and not refused:
            # A standby worker that ended before it began is nothing that a run has to fail for.
            self._launch_again(run)
            return False
        self._ends.settle(run, container)
        return True

    def _settle_by_id(self, container_id: str) -> None:
        container = self._engine.container(container_id)
        if container is not None:
            self.settle(container)
