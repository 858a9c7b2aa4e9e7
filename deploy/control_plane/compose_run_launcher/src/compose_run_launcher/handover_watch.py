"""A standby worker that does not begin with its run is not waited for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus

from compose_run_launcher.engine import Engine
from compose_run_launcher.watch import Watch

_PAUSE_S = 2.0
# All that a worker has to do is read the run from the database; a cold start takes as long as
# importing does, and is not watched here.
_PATIENCE_S = 20.0

logger = logging.getLogger(__name__)


class HandoverWatch(Watch):
    """Gives runs to containers of their own whose standby workers stay silent."""

    def __init__(
        self,
        engine: Engine,
        instance: DagsterInstance,
        handed: dict[str, float],
        take_back: Callable[[DagsterRun], None],
    ) -> None:
        super().__init__("handover-watch", engine)
        self._instance = instance
        self._handed = handed
        self._take_back = take_back

    def follow(self) -> None:
        """One look, and a pause."""
        for run_id, since in list(self._handed.items()):
            if time.monotonic() - since > _PATIENCE_S:
                self._look_at(run_id)
                self._handed.pop(run_id, None)
        time.sleep(_PAUSE_S)

    def _look_at(self, run_id: str) -> None:
        run = self._instance.get_run_by_id(run_id)
        if run is not None and run.status == DagsterRunStatus.STARTING:
            logger.warning("run %s: its standby worker does not begin; it starts cold", run_id)
            self._take_back(run)
