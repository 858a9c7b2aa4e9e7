"""The database tells the daemon that a run was queued."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from conftest import NewRun, Postgres
from dagster import (
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    RunsFilter,
)

from control_plane.queue_daemon import PromptQueueDaemon
from control_plane.queue_signal import QueueSignal

END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"


@pytest.fixture
def signal(dagster: DagsterInstance) -> QueueSignal:
    signal = QueueSignal.of(dagster)
    assert signal is not None
    # What was queued before it listened is not told.
    assert signal.wait(0)
    return signal


@pytest.fixture
def queue(dagster: DagsterInstance, new_run: NewRun) -> Iterator[Callable[[], DagsterRun]]:
    """Put a run into the queue, as the run coordinator does; it is empty before and after."""
    for run in dagster.get_runs(RunsFilter(statuses=[DagsterRunStatus.QUEUED])):
        dagster.delete_run(run.run_id)
    queued: list[str] = []

    def put() -> DagsterRun:
        run = new_run("elt", launched=False)
        event = DagsterEvent(DagsterEventType.PIPELINE_ENQUEUED.value, run.job_name)
        dagster.run_storage.handle_run_event(run.run_id, event)
        queued.append(run.run_id)
        return run

    yield put
    for run_id in queued:
        dagster.delete_run(run_id)


def test_it_waits_until_a_run_is_queued(
    signal: QueueSignal, queue: Callable[[], DagsterRun], new_run: NewRun
) -> None:
    new_run("elt")
    assert not signal.wait(0.5)
    queue()
    assert signal.wait(60)
    # A burst is one wake-up, or two.
    for _ in range(3):
        queue()
    assert signal.wait(60)


def test_after_a_loss_of_its_connection_it_listens_again(
    signal: QueueSignal, queue: Callable[[], DagsterRun], postgres: Postgres
) -> None:
    assert postgres.run("postgres", END, "queue-signal")
    with pytest.raises(psycopg2.Error):
        # The server's last words come first.
        for _ in range(2):
            signal.wait(60)
    queue()
    assert signal.wait(60)
    assert not signal.wait(0)
    queue()
    assert signal.wait(60)


def test_a_run_that_is_queued_begins_the_next_round(
    dagster: DagsterInstance,
    queue: Callable[[], DagsterRun],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a question to the database while none comes."""
    daemon = PromptQueueDaemon(3600)
    rounds: list[int] = []
    asked: list[int] = []
    monkeypatch.setattr(daemon, "run_iteration", lambda _context: iter([rounds.append(1)]))
    look = daemon._has_waiting_runs
    monkeypatch.setattr(daemon, "_has_waiting_runs", lambda one: [asked.append(1), look(one)][1])
    context: Any = SimpleNamespace(instance=dagster)
    loop = daemon.core_loop(context, threading.Event())
    for _ in range(4):
        next(loop)
    assert (len(rounds), len(asked)) == (1, 2)
    queue()
    for _ in range(3):
        next(loop)
    assert len(rounds) == 2
