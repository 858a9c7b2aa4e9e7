"""Ended containers go after a grace; containers of ended runs are stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dagster import DagsterInstance, DagsterRun, RunsFilter

from compose_run_launcher import labels
from compose_run_launcher.engine import Engine
from compose_run_launcher.explanation import ended_at
from compose_run_launcher.watch import Watch

_PAUSE_S = 5
# A run process writes its last event a moment before it ends.
_LEAVE_S = 15

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Grace:
    """How long an ended container is kept, in seconds, for people to look into."""

    succeeded_s: int
    failed_s: int

    def of(self, container: Mapping[str, Any]) -> timedelta:
        """By exit code."""
        succeeded = container["State"]["ExitCode"] == 0
        return timedelta(seconds=self.succeeded_s if succeeded else self.failed_s)


class Cleaner(Watch):
    """Looks at this stack's run containers every few seconds; touches no others."""

    def __init__(self, engine: Engine, instance: DagsterInstance, grace: Grace) -> None:
        super().__init__("cleaner", engine)
        self._instance = instance
        self._grace = grace
        self._over_since: dict[str, float] = {}

    def follow(self) -> None:
        """One look, and a pause."""
        containers = self.engine.run_containers()
        running = [container for container in containers if container["State"]["Running"]]
        self._stop_leftovers(running)
        now = datetime.now(UTC)
        for container in containers:
            end = ended_at(container)
            if end is not None and end + self._grace.of(container) < now:
                self._remove(container)
        time.sleep(_PAUSE_S)

    def _stop_leftovers(self, running: list[dict[str, Any]]) -> None:
        """A run that was declared dead must not go on writing."""
        runs = self._runs(running)
        over: dict[str, float] = {}
        for container in running:
            run = runs.get(container["Config"]["Labels"].get(labels.RUN_ID, ""))
            if run is not None and not run.is_finished:
                continue
            since = self._over_since.get(container["Id"], time.monotonic())
            over[container["Id"]] = since
            if time.monotonic() - since >= _LEAVE_S:
                logger.warning("container %s outlived its run: stopped", container["Name"])
                self.engine.stop(container["Id"])
                if run is not None:
                    self._instance.report_engine_event(
                        f"Container {container['Id'][:12]} went on after the run had ended, and"
                        " was stopped.",
                        run,
                    )
        self._over_since = over

    def _runs(self, containers: list[dict[str, Any]]) -> dict[str, DagsterRun]:
        ids = [c["Config"]["Labels"].get(labels.RUN_ID, "") for c in containers]
        if not ids:
            return {}
        return {run.run_id: run for run in self._instance.get_runs(RunsFilter(run_ids=ids))}

    def _remove(self, container: Mapping[str, Any]) -> None:
        run_id = container["Config"]["Labels"].get(labels.RUN_ID, "")
        run = self._instance.get_run_by_id(run_id)
        # One that has not been settled yet still has to explain its run's end.
        if run is None or run.is_finished:
            self.engine.remove(container["Id"])
