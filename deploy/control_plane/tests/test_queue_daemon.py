"""The queue: a run is taken at once, a burst in portions, and one that hangs holds up nobody."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from datetime import timedelta
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
from sqlalchemy.exc import OperationalError

from control_plane import queue_daemon
from control_plane.queue_daemon import MOST_STARTING, PromptQueueDaemon, daemons

COORDINATOR = {"module": "dagster.core.run_coordinator", "class": "QueuedRunCoordinator"}
# Launches of one location at a time.
NUM_WORKERS = 4
QUEUED, STARTED = DagsterRunStatus.QUEUED, DagsterRunStatus.STARTED


def with_slots(count: int, **more: Any) -> dict[str, Any]:
    """Settings of an instance that runs so many at once."""
    return {"run_coordinator": COORDINATOR | {"config": {"max_concurrent_runs": count} | more}}


@pytest.fixture
def instance(new_home: Callable[[], str]) -> Iterator[DagsterInstance]:
    with instance_for_test(with_slots(100), temp_dir=new_home()) as instance:
        yield instance


@pytest.fixture
def ten_slots(new_home: Callable[[], str]) -> Iterator[DagsterInstance]:
    """As many runs at once as dagster.yaml allows."""
    settings = with_slots(10, dequeue_use_threads=True, dequeue_num_workers=NUM_WORKERS)
    settings["run_launcher"] = {
        "module": "dagster._core.test_utils",
        "class": "MockedRunLauncher",
    }
    with instance_for_test(settings, temp_dir=new_home()) as instance:
        yield instance


def runs(
    instance: DagsterInstance,
    status: DagsterRunStatus,
    count: int,
    location: str = "elt",
    priority: int | None = None,
) -> list[str]:
    origin = RemoteJobOrigin(
        RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), "__repository__"), "job"
    )
    tags = {} if priority is None else {"dagster/priority": str(priority)}
    made = (
        create_run_for_test(
            instance, job_name="job", status=status, remote_job_origin=origin, tags=tags
        )
        for _ in range(count)
    )
    return [run.run_id for run in made]


def next_runs(instance: DagsterInstance) -> list[str]:
    """The runs that the next round would launch."""
    found = PromptQueueDaemon(1)._get_runs_to_dequeue(
        instance, instance.get_concurrency_config(), fixed_iteration_time=None
    )
    return [run.run_id for run in found]


def taken(instance: DagsterInstance) -> int:
    """How many runs the next round would launch."""
    return len(next_runs(instance))


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


def test_a_run_starts_beside_a_backfill_of_another_location(ten_slots: DagsterInstance) -> None:
    """Of 100 partitions; and also when the run is on the second page of the queue."""
    # Once for 0, 8 and 9 runs in progress: to make a hundred runs takes long.
    runs(ten_slots, QUEUED, 100)
    (other,) = runs(ten_slots, QUEUED, 1, "analytics")
    for more in (0, 8, 1):
        runs(ten_slots, STARTED, more)
        assert other in next_runs(ten_slots)


def test_one_location_never_holds_all_slots(ten_slots: DagsterInstance) -> None:
    runs(ten_slots, STARTED, 8)
    runs(ten_slots, QUEUED, 20)
    assert taken(ten_slots) == 1
    runs(ten_slots, STARTED, 1)
    assert taken(ten_slots) == 0


def test_a_run_with_a_priority_goes_first(ten_slots: DagsterInstance) -> None:
    """And may take the slot that is kept for other locations."""
    runs(ten_slots, STARTED, 9)
    runs(ten_slots, QUEUED, 20)
    runs(ten_slots, QUEUED, 1, "analytics")
    urgent = runs(ten_slots, QUEUED, 1, priority=1)
    assert next_runs(ten_slots) == urgent


def test_a_low_priority_waits_for_its_betters_but_not_beside_a_free_slot(
    ten_slots: DagsterInstance,
) -> None:
    runs(ten_slots, STARTED, 8)
    former = runs(ten_slots, QUEUED, 20)[:1]
    low = runs(ten_slots, QUEUED, 1, "analytics", priority=-1)
    assert next_runs(ten_slots) == former + low


def test_runs_that_a_limit_blocks_hold_up_nobody(new_home: Callable[[], str]) -> None:
    """Their location's turn goes to its next run."""
    limits = [{"key": "dagster/priority", "limit": 1}]
    settings = with_slots(10, tag_concurrency_limits=limits)
    with instance_for_test(settings, temp_dir=new_home()) as instance:
        runs(instance, STARTED, 1, "analytics", priority=0)
        runs(instance, QUEUED, 20, priority=0)
        free = runs(instance, QUEUED, 1)
        assert next_runs(instance) == free


def one_round(daemon: PromptQueueDaemon, instance: DagsterInstance) -> None:
    context: Any = SimpleNamespace(instance=instance, create_request_context=lambda: None)
    list(daemon.run_iteration(context))


@pytest.fixture
def held_up(
    ten_slots: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> Iterator[queue.Queue[str]]:
    """Launches of elt do not end while the test runs, as if they pulled; those that began."""
    begun: queue.Queue[str] = queue.Queue()
    over = threading.Event()
    launch = ten_slots.run_launcher.launch_run

    def launch_run(context: Any) -> None:
        run = context.dagster_run
        begun.put(run.run_id)
        if run.remote_job_origin.location_name == "elt":
            over.wait(60)
        launch(context)

    monkeypatch.setattr(ten_slots.run_launcher, "launch_run", launch_run)
    # Longer ago than the moment in which launches are let in by portions.
    monkeypatch.setattr(queue_daemon, "_STARTS_WITHIN", timedelta(0))
    monkeypatch.setattr(queue_daemon, "MOST_STARTING", 10)
    yield begun
    over.set()


def test_a_launch_that_takes_long_holds_up_nobody(
    ten_slots: DagsterInstance, held_up: queue.Queue[str]
) -> None:
    """A pull of minutes: rounds go on, others start, and nothing is launched twice."""
    daemon = PromptQueueDaemon(1)
    pulling = runs(ten_slots, QUEUED, 8)
    one_round(daemon, ten_slots)
    first = {held_up.get(timeout=60) for _ in range(NUM_WORKERS)}
    assert first == set(pulling[:NUM_WORKERS])
    others = runs(ten_slots, QUEUED, 2, "analytics")
    one_round(daemon, ten_slots)
    assert {held_up.get(timeout=60) for _ in others} == set(others)
    # As many of one location at a time as the setting says; the rest wait in the queue.
    one_round(daemon, ten_slots)
    assert held_up.empty()


def test_a_run_that_is_being_launched_takes_a_slot(
    ten_slots: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while it still has the status of those that wait, and it is not taken again."""
    told = threading.Event()
    daemon = PromptQueueDaemon(1)
    handed_over: list[str] = []

    def _dequeue_run(_instance: Any, _workspace: Any, run: Any, *_: Any, **__: Any) -> bool:
        handed_over.append(run.run_id)
        return told.wait(60)

    monkeypatch.setattr(daemon, "_dequeue_run", _dequeue_run)
    monkeypatch.setattr(queue_daemon, "_STARTS_WITHIN", timedelta(0))
    runs(ten_slots, STARTED, 8)
    waiting = [run for name in ("a", "b", "c") for run in runs(ten_slots, QUEUED, 1, name)]
    try:
        for _ in range(2):
            one_round(daemon, ten_slots)
            assert sorted(daemon._launches) == sorted(waiting[:2])
        records = daemon._get_in_progress_run_records(ten_slots)
        statuses = Counter(record.dagster_run.status for record in records)
        assert statuses == {STARTED: 8, DagsterRunStatus.STARTING: 2}
        assert daemon._has_waiting_runs(ten_slots)
    finally:
        told.set()
    assert len(handed_over) == len({*handed_over})


def test_a_launch_that_breaks_off_is_logged_and_the_run_is_taken_again(
    ten_slots: DagsterInstance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    daemon = PromptQueueDaemon(1)
    tried: queue.Queue[str] = queue.Queue()

    def _dequeue_run(_instance: Any, _workspace: Any, run: Any, *_: Any, **__: Any) -> bool:
        tried.put(run.run_id)
        raise OperationalError("SELECT 1", {}, Exception("the database is away"))

    monkeypatch.setattr(daemon, "_dequeue_run", _dequeue_run)
    (run_id,) = runs(ten_slots, QUEUED, 1)
    for _ in range(2):
        one_round(daemon, ten_slots)
        assert tried.get(timeout=60) == run_id
        wait([launch.ended for launch in daemon._launches.values()], timeout=60)
    assert f"run {run_id}: its launch broke off" in caplog.text
    assert "Traceback" in caplog.text


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
    """An interval of an hour does not make it wait."""
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
