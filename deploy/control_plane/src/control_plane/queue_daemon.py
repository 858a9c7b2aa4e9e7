"""Dagster's queue daemon, which looks at the queue as soon as there is something in it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._daemon.controller import create_daemons_from_instance
from dagster._daemon.daemon import DagsterDaemon
from dagster._daemon.run_coordinator import QueuedRunCoordinatorDaemon

_LOOK_S = 0.1
_QUEUED = RunsFilter(statuses=[DagsterRunStatus.QUEUED])


class PromptQueueDaemon(QueuedRunCoordinatorDaemon):
    """Between two rounds Dagster's own sleeps half a second at least, its whole interval else.

    This one asks ten times a second whether a run waits, by one indexed query, and begins the
    next round when one does; and after the interval in any case.
    """

    def core_loop(
        self, workspace_process_context: IWorkspaceProcessContext, shutdown_event: threading.Event
    ) -> Iterator[Any]:
        """Rounds and pauses, for ever."""
        instance = workspace_process_context.instance
        while True:
            yield from self.run_iteration(workspace_process_context)
            until = time.monotonic() + self.interval_seconds
            while not shutdown_event.wait(_LOOK_S):
                yield None
                if time.monotonic() >= until or instance.get_run_ids(_QUEUED, limit=1):
                    break


def daemons(instance: DagsterInstance) -> Iterable[DagsterDaemon[Any]]:
    """The daemons that the instance needs, with this one in the place of Dagster's own."""
    for daemon in create_daemons_from_instance(instance):
        if isinstance(daemon, QueuedRunCoordinatorDaemon):
            yield PromptQueueDaemon(daemon.interval_seconds)
        else:
            yield daemon
