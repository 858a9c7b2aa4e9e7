"""The queue: a run is taken at once, a burst in portions, and one that hangs holds up nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.test_utils import create_run_for_test, instance_for_test
from dagster._daemon.run_coordinator import QueuedRunCoordinatorDaemon

from control_plane import queue_daemon
from control_plane.queue_daemon import MOST_STARTING, PromptQueueDaemon, daemons

ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("elt"), "__repository__"), "job"
)


@pytest.fixture
def instance(new_home: Callable[[], str]) -> Iterator[DagsterInstance]:
    coordinator = {"module": "dagster.core.run_coordinator", "class": "QueuedRunCoordinator"}
    limits = {"config": {"max_concurrent_runs": 100}}
    settings = {"run_coordinator": coordinator | limits}
    with instance_for_test(settings, temp_dir=new_home()) as instance:
        yield instance


def runs(instance: DagsterInstance, status: DagsterRunStatus, count: int) -> None:
    for _ in range(count):
        create_run_for_test(instance, job_name="job", status=status, remote_job_origin=ORIGIN)


def taken(instance: DagsterInstance) -> int:
    """How many runs the next round would launch."""
    daemon = PromptQueueDaemon(1)
    found = daemon._get_runs_to_dequeue(
        instance, instance.get_concurrency_config(), fixed_iteration_time=None
    )
    return len(found)


def test_a_burst_is_taken_in_portions(instance: DagsterInstance) -> None:
    runs(instance, DagsterRunStatus.QUEUED, MOST_STARTING + 3)
    assert taken(instance) == MOST_STARTING
    runs(instance, DagsterRunStatus.STARTING, MOST_STARTING - 1)
    assert taken(instance) == 1
    runs(instance, DagsterRunStatus.STARTING, 5)
    assert taken(instance) == 0


def test_runs_that_have_started_do_not_count(instance: DagsterInstance) -> None:
    runs(instance, DagsterRunStatus.STARTED, MOST_STARTING)
    runs(instance, DagsterRunStatus.QUEUED, 2)
    assert taken(instance) == 2


def test_starts_that_take_long_hold_up_nobody(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs(instance, DagsterRunStatus.STARTING, MOST_STARTING)
    runs(instance, DagsterRunStatus.QUEUED, 2)
    assert taken(instance) == 0
    monkeypatch.setattr(queue_daemon, "_STARTS_WITHIN", queue_daemon._STARTS_WITHIN * -1)
    assert taken(instance) == 2


def test_it_ends_when_it_is_told_to(instance: DagsterInstance) -> None:
    """With an empty queue, and at once: a container that is stopped has half a minute."""
    told = threading.Event()
    context: Any = SimpleNamespace(instance=instance)
    loop = PromptQueueDaemon(1).core_loop(context, told)
    next(loop)
    told.set()
    looked = threading.Thread(target=lambda: next(loop), daemon=True)
    looked.start()
    looked.join(timeout=10)
    assert not looked.is_alive()


def test_a_run_that_comes_between_two_rounds_begins_the_next_one(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interval of an hour is no reason to wait."""
    daemon = PromptQueueDaemon(3600)
    rounds: list[int] = []
    monkeypatch.setattr(daemon, "run_iteration", lambda _context: iter([rounds.append(1)]))
    context: Any = SimpleNamespace(instance=instance)
    loop = daemon.core_loop(context, threading.Event())
    for _ in range(3):
        next(loop)
    assert len(rounds) == 1
    runs(instance, DagsterRunStatus.QUEUED, 1)
    for _ in range(3):
        next(loop)
    assert len(rounds) > 1


def test_it_takes_the_place_of_dagsters_own(instance: DagsterInstance) -> None:
    kinds = [type(daemon) for daemon in daemons(instance)]
    assert PromptQueueDaemon in kinds
    assert QueuedRunCoordinatorDaemon not in kinds


def test_the_instance_has_the_daemons_that_its_settings_ask_for() -> None:
    root = Path(__file__).resolve().parents[3]
    settings = yaml.safe_load((root / "dagster.yaml").read_text())
    # What needs a database, an engine or folders of the stack.
    for name in ("storage", "run_launcher", "compute_logs", "local_artifact_storage"):
        del settings[name]
    with instance_for_test(overrides=settings) as instance:
        kinds = {daemon.daemon_type() for daemon in daemons(instance)}
    assert kinds == {
        "ASSET",
        "BACKFILL",
        "EVENT_LOG_CONSUMER",
        "FRESHNESS_DAEMON",
        "MONITORING",
        "QUEUED_RUN_COORDINATOR",
        "SCHEDULER",
        "SENSOR",
    }
