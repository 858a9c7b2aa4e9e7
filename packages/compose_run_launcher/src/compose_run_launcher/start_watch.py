"""A launch that nobody goes on with is finished; a standby worker that stays silent is replaced."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from compose_run_launcher.engine import Engine, RunContainerState
from compose_run_launcher.threads import Endless

_PAUSE_S = 2.0
# All that a standby worker has to do is read the run from the database, and all that a launch has
# to do is make a container; what takes longer is looked at.
_PATIENCE_S = 20.0

logger = logging.getLogger(__name__)


class StartWatch(Endless):
    """Looks at the runs that are starting.

    ``is_launching`` says whether a run is being launched at this moment. ``go_on_with`` finishes a
    launch, or settles the end that it came to; ``take_back`` launches a run cold that a standby
    worker has not begun with.
    """

    def __init__(
        self,
        engine: Engine,
        instance: DagsterInstance,
        is_launching: Callable[[str], bool],
        go_on_with: Callable[[DagsterRun, list[RunContainerState]], None],
        take_back: Callable[[DagsterRun], None],
    ) -> None:
        super().__init__("start-watch")
        self._engine = engine
        self._instance = instance
        self._is_launching = is_launching
        self._go_on_with = go_on_with
        self._take_back = take_back
        # Since when (monotonic time) a run has been starting without being launched.
        self._since: dict[str, float] = {}

    def follow(self) -> None:
        """One look, and a pause."""
        starting = self._instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTING]))
        idle = [run for run in starting if not self._is_launching(run.run_id)]
        now = time.monotonic()
        self._since = {run.run_id: self._since.get(run.run_id, now) for run in idle}
        for run in idle:
            if now - self._since[run.run_id] > _PATIENCE_S:
                del self._since[run.run_id]
                self._look_at(run)
        time.sleep(_PAUSE_S)

    def _look_at(self, run: DagsterRun) -> None:
        containers = self._engine.run_containers(run_id=run.run_id)
        if any(container.running and container.ticket for container in containers):
            logger.warning("run %s: its standby worker does not begin; it starts cold", run.run_id)
            self._take_back(run)
        elif not any(container.running for container in containers):
            logger.warning("run %s: its launch is finished, which nobody went on with", run.run_id)
            self._go_on_with(run, containers)
