"""Dagster's queue daemon: prompt for one run, moderate with many, fair between locations."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunRecord, RunsFilter
from sqlalchemy.exc import OperationalError

from control_plane.admission import Admission, most_in_progress
from control_plane.internals.daemon import (
    DagsterDaemon,
    IWorkspaceProcessContext,
    QueuedRunCoordinatorDaemon,
    create_daemons_from_instance,
)
from control_plane.queue_signal import QueueSignal
from control_plane.runs import location_of
from control_plane.unreadable_runs import fail, why_unreadable

logger = logging.getLogger(__name__)

_LOOK_S = 0.1
# With runs left over that may not start yet, it is somebody's end that has to be waited for.
_LOOK_WHEN_FULL_S = 0.5
_QUEUED = RunsFilter(statuses=[DagsterRunStatus.QUEUED])
# Starting is importing, and more imports at once than this only take the CPUs' caches from each
# other. One that takes longer waits for something else, and must not hold up the others.
MOST_STARTING = 2 * (os.cpu_count() or 1)
_STARTS_WITHIN = timedelta(seconds=15)
# Threads, made when needed. Of one location no more launches are under way than the setting
# dequeue_num_workers says, so it takes many locations that hang to use these up.
_MOST_LAUNCHES = 64


class PromptQueueDaemon(QueuedRunCoordinatorDaemon):
    """Between two rounds Dagster's own sleeps half a second at least, its whole interval else.

    This one begins the next round when the database says that a run was queued, and after the
    interval in any case. It lets a burst start in portions rather than at once, and code locations
    in turn. A round does not wait for its launches. ``refusal`` says why a run may not begin; that
    one is failed.
    """

    def __init__(
        self, interval_seconds: float, refusal: Callable[[DagsterRun], str | None] = lambda _: None
    ) -> None:
        super().__init__(interval_seconds)
        self._refusal = refusal
        self._admission = Admission()
        # By run, and touched by rounds alone: a run stands here from before its launch begins
        # until a round has seen that the launch has ended.
        self._launches: dict[str, _Launch] = {}

    def core_loop(
        self,
        workspace_process_context: IWorkspaceProcessContext[Any],
        shutdown_event: threading.Event,
    ) -> Generator[Any, None, None]:
        """Rounds and pauses, for ever."""
        instance = workspace_process_context.instance
        signal = QueueSignal.of(instance)
        while True:
            yield from self.run_iteration(workspace_process_context)
            until = time.monotonic() + self.interval_seconds
            left_over = self._has_waiting_runs(instance)
            looked = time.monotonic()
            while True:
                if left_over:
                    shutdown_event.wait(_LOOK_WHEN_FULL_S)
                    may_have_come = True
                else:
                    may_have_come = _may_have_come(signal, shutdown_event, looked)
                # Only here can the daemon be told to end: a round without runs yields nothing.
                yield None
                if left_over or time.monotonic() >= until:
                    break
                if may_have_come:
                    looked = time.monotonic()
                    if self._has_waiting_runs(instance):
                        break

    def _has_waiting_runs(self, instance: DagsterInstance) -> bool:
        """Whether a queued run waits for a round: one that is not being launched already."""
        found = instance.get_run_ids(_QUEUED, limit=len(self._launches) + 1)
        return any(run_id not in self._launches for run_id in found)

    def _get_runs_to_dequeue(
        self, instance: DagsterInstance, concurrency_config: Any, fixed_iteration_time: float | None
    ) -> list[DagsterRun]:
        # Before anything is read: a run that leaves this list later is not queued any more.
        self._forget_ended_launches()
        coordinator: Any = instance.run_coordinator
        self._admission = Admission(
            most_in_progress(concurrency_config.run_queue_config.max_concurrent_runs),
            coordinator.dequeue_num_workers if coordinator.dequeue_use_threads else None,
            launching=Counter(launch.location for launch in self._launches.values()),
        )
        found = super()._get_runs_to_dequeue(instance, concurrency_config, fixed_iteration_time)
        runs = [run for run in found if not self._is_failed(instance, run)]
        if not runs:
            return runs
        return self._admission.admitted(runs)[: MOST_STARTING - self._starting(instance)]

    def _get_in_progress_run_records(self, instance: DagsterInstance) -> Sequence[RunRecord]:
        """With the runs that are being launched and still have the status of queued ones."""
        records = list(super()._get_in_progress_run_records(instance))
        missing = self._launches.keys() - {record.dagster_run.run_id for record in records}
        if missing:
            queued = RunsFilter(run_ids=list(missing), statuses=_QUEUED.statuses)
            # Only of runs that start does Dagster count the pools.
            records += [
                each._replace(dagster_run=each.dagster_run.with_status(DagsterRunStatus.STARTING))
                for each in instance.get_run_records(queued)
            ]
        self._admission.in_progress.update(location_of(each.dagster_run) for each in records)
        return records

    def _priority_sort(self, runs: Iterable[DagsterRun]) -> list[DagsterRun]:
        return self._admission.ordered(run for run in runs if run.run_id not in self._launches)

    def _starting(self, instance: DagsterInstance) -> int:
        """How many runs were launched a moment ago and have not begun."""
        recent = RunsFilter(
            statuses=[DagsterRunStatus.STARTING],
            updated_after=datetime.now(UTC) - _STARTS_WITHIN,
        )
        since = time.monotonic() - _STARTS_WITHIN.total_seconds()
        launching = {run_id for run_id, each in self._launches.items() if each.begun_s > since}
        return min(
            MOST_STARTING, len(launching.union(instance.get_run_ids(recent, limit=MOST_STARTING)))
        )

    def _dequeue_runs_iter_threaded(
        self,
        workspace_process_context: IWorkspaceProcessContext[Any],
        runs_to_dequeue: list[DagsterRun],
        max_workers: int | None,
        concurrency_config: Any,
        fixed_iteration_time: float | None,
    ) -> Iterator[None]:
        """Begin the launches. Dagster's own waits for them: a slow pull would hold up everybody."""
        executor = super()._get_executor(_MOST_LAUNCHES)
        for run in runs_to_dequeue:
            ended = executor.submit(
                super()._dequeue_run_thread,
                *(workspace_process_context, run, concurrency_config, fixed_iteration_time),
            )
            self._launches[run.run_id] = _Launch(location_of(run), time.monotonic(), ended)
        yield None

    def _forget_ended_launches(self) -> None:
        for run_id, launch in list(self._launches.items()):
            if launch.ended.done():
                del self._launches[run_id]
                error = launch.ended.exception()
                if error is not None:
                    logger.error("run %s: its launch broke off", run_id, exc_info=error)

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


def _may_have_come(
    signal: QueueSignal | None, shutdown_event: threading.Event, looked: float
) -> bool:
    """Wait until a run may have been queued, or for half a second.

    At most ten times a second since ``looked`` (monotonic): any role can send such signals.
    """
    came = signal is None
    if signal is not None:
        try:
            came = signal.wait(_LOOK_WHEN_FULL_S)
        except psycopg2.Error:
            came = True
    if came:
        shutdown_event.wait(looked + _LOOK_S - time.monotonic())
    return came


@dataclass(frozen=True)
class _Launch:
    """A launch that is under way: the run's location, since when (monotonic), and its end."""

    location: str | None
    begun_s: float
    ended: Future[bool]


def daemons(
    instance: DagsterInstance, refusal: Callable[[DagsterRun], str | None] = lambda _: None
) -> Iterable[DagsterDaemon[Any]]:
    """The daemons that the instance needs, with this one in the place of Dagster's own."""
    for daemon in create_daemons_from_instance(instance):
        if isinstance(daemon, QueuedRunCoordinatorDaemon):
            yield PromptQueueDaemon(daemon.interval_seconds, refusal)
        else:
            yield daemon
