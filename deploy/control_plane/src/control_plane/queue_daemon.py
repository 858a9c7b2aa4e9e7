"""Dagster's queue daemon, prompt when one run comes and moderate when many do."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from sqlalchemy.exc import OperationalError

from control_plane.internals.daemon import (
    DagsterDaemon,
    IWorkspaceProcessContext,
    QueuedRunCoordinatorDaemon,
    create_daemons_from_instance,
)
from control_plane.unreadable_runs import fail, why_unreadable

_LOOK_S = 0.1
# With runs left over that may not start yet, it is somebody's end that has to be waited for.
_LOOK_WHEN_FULL_S = 0.5
_QUEUED = RunsFilter(statuses=[DagsterRunStatus.QUEUED])
# Starting is importing, and more imports at once than this only take the CPUs' caches from each
# other. One that takes longer waits for something else, and must not hold up the others.
MOST_STARTING = 2 * (os.cpu_count() or 1)
_STARTS_WITHIN = timedelta(seconds=15)


class PromptQueueDaemon(QueuedRunCoordinatorDaemon):
    """Between two rounds Dagster's own sleeps half a second at least, its whole interval else.

    This one asks ten times a second whether a run waits, by one indexed query, and begins the
    next round when one does; and after the interval in any case. It lets a burst start in
    portions rather than at once. ``refusal`` says why a run may not begin; that one is failed.
    """

    def __init__(
        self, interval_seconds: float, refusal: Callable[[DagsterRun], str | None] = lambda _: None
    ) -> None:
        super().__init__(interval_seconds)
        self._refusal = refusal

    def core_loop(
        self,
        workspace_process_context: IWorkspaceProcessContext[Any],
        shutdown_event: threading.Event,
    ) -> Generator[Any, None, None]:
        """Rounds and pauses, for ever."""
        instance = workspace_process_context.instance
        while True:
            yield from self.run_iteration(workspace_process_context)
            until = time.monotonic() + self.interval_seconds
            left_over = bool(instance.get_run_ids(_QUEUED, limit=1))
            while True:
                shutdown_event.wait(_LOOK_WHEN_FULL_S if left_over else _LOOK_S)
                # Only here can the daemon be told to end: a round without runs yields nothing.
                yield None
                if left_over or time.monotonic() >= until or instance.get_run_ids(_QUEUED, limit=1):
                    break

    def _get_runs_to_dequeue(
        self, instance: DagsterInstance, *arguments: Any, **named: Any
    ) -> list[DagsterRun]:
        found = super()._get_runs_to_dequeue(instance, *arguments, **named)
        runs = [run for run in found if not self._is_failed(instance, run)]
        if not runs:
            return runs
        recent = RunsFilter(
            statuses=[DagsterRunStatus.STARTING],
            updated_after=datetime.now(UTC) - _STARTS_WITHIN,
        )
        starting = len(instance.get_run_ids(recent, limit=MOST_STARTING))
        return runs[: MOST_STARTING - starting]

    def _is_failed(self, instance: DagsterInstance, run: DagsterRun) -> bool:
        """Whether the run cannot be read or may not begin; then it has ended."""
        unreadable = why_unreadable(run)
        why = (
            self._refusal(run)
            if unreadable is None
            else f"The run's row in Dagster's database cannot be read: {unreadable}"
        )
        if why is not None:
            fail(instance, run, why)
        return why is not None

    def _dequeue_run(
        self, instance: DagsterInstance, workspace: Any, run: DagsterRun, *rest: Any, **named: Any
    ) -> bool:
        """A run that cannot be dequeued ends, and does not take its place in the next round."""
        try:
            return super()._dequeue_run(instance, workspace, run, *rest, **named)
        except OperationalError:
            # The database is away: that is nothing of the run's.
            raise
        except Exception as error:
            fail(instance, run, f"The run cannot be taken from the queue: {error}")
            return False


def daemons(
    instance: DagsterInstance, refusal: Callable[[DagsterRun], str | None] = lambda _: None
) -> Iterable[DagsterDaemon[Any]]:
    """The daemons that the instance needs, with this one in the place of Dagster's own."""
    for daemon in create_daemons_from_instance(instance):
        if isinstance(daemon, QueuedRunCoordinatorDaemon):
            yield PromptQueueDaemon(daemon.interval_seconds, refusal)
        else:
            yield daemon
