"""How long an ended container is kept, and what happens to one that outlives its run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import docker.errors
import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.test_utils import create_run_for_test

from compose_run_launcher import cleaner
from compose_run_launcher.cleaner import Cleaner, Grace
from compose_run_launcher.engine import Engine, RunContainerState

GRACE = Grace(succeeded_s=300, failed_s=86_400)


class StandIn(Engine):
    """An engine that has these containers."""

    def __init__(self) -> None:
        super().__init__("s")
        self.listed: dict[str, RunContainerState] = {}
        self.inspected: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.stopped: list[str] = []
        self.removed: list[str] = []
        self.refuses = ""
        self.let_go = threading.Event()
        self.let_go.set()

    def put(self, name: str, run_id: str, state: str, code: int = 0, ago_s: float = 0) -> None:
        """A container, and how long ago it ended."""
        end = datetime.now(UTC) - timedelta(seconds=ago_s)
        self.listed[name] = RunContainerState(name, run_id, state, 0)
        running = state == "running"
        self.inspected[name] = {
            "State": {"Running": running, "ExitCode": code, "FinishedAt": end.isoformat()}
        }

    def run_containers(self, run_id: str | None = None) -> list[RunContainerState]:
        return list(self.listed.values())

    def container(self, container_id: str) -> dict[str, Any] | None:
        self.asked.append(container_id)
        return self.inspected.get(container_id)

    def stop(self, container_id: str) -> None:
        self.stopped.append(container_id)
        if container_id == self.refuses:
            raise docker.errors.APIError("it does not end")
        self.let_go.wait(10)

    def remove(self, container_id: str) -> None:
        if container_id == self.refuses:
            raise docker.errors.APIError("in use")
        self.removed.append(container_id)


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    monkeypatch.setattr(cleaner, "_PAUSE_S", 0)
    return StandIn()


def a_run(instance: DagsterInstance, status: DagsterRunStatus) -> DagsterRun:
    return create_run_for_test(instance, job_name="job", status=status)


@pytest.mark.parametrize(
    ("code", "status", "seconds"),
    [
        (0, DagsterRunStatus.SUCCESS, 300),
        (0, DagsterRunStatus.CANCELED, 300),
        # Dagster's process ends well when a step has failed.
        (0, DagsterRunStatus.FAILURE, 86_400),
        (1, DagsterRunStatus.SUCCESS, 86_400),
        (137, DagsterRunStatus.FAILURE, 86_400),
        # The run was deleted.
        (0, None, 300),
        (1, None, 86_400),
    ],
)
def test_a_failure_is_kept_for_longer(
    instance: DagsterInstance, code: int, status: DagsterRunStatus | None, seconds: int
) -> None:
    run = a_run(instance, status) if status else None
    assert GRACE.of(code, run) == timedelta(seconds=seconds)


def test_ended_containers_go_when_their_time_is_over(
    instance: DagsterInstance, engine: StandIn
) -> None:
    run = a_run(instance, DagsterRunStatus.SUCCESS)
    engine.put("long ago", run.run_id, "exited", ago_s=310)
    engine.put("just now", run.run_id, "exited", ago_s=280)
    engine.put("failed", run.run_id, "exited", code=1, ago_s=310)
    engine.put("dead", run.run_id, "dead", ago_s=310)
    engine.put("made", run.run_id, "created", ago_s=310)
    engine.put("of a pool", "", "exited", ago_s=310)
    engine.put("of a deleted run", "no-such-run", "exited", ago_s=310)
    Cleaner(engine, instance, GRACE).follow()
    assert engine.removed == ["long ago", "dead", "of a deleted run", "made"]
    assert engine.stopped == []


def test_one_whose_run_has_not_been_settled_stays(
    instance: DagsterInstance, engine: StandIn
) -> None:
    run = a_run(instance, DagsterRunStatus.STARTED)
    engine.put("ended", run.run_id, "exited", ago_s=10**6)
    Cleaner(engine, instance, GRACE).follow()
    assert engine.removed == []


def test_one_that_was_seen_before_it_was_started_is_kept_like_others(
    instance: DagsterInstance, engine: StandIn
) -> None:
    run = a_run(instance, DagsterRunStatus.STARTING)
    engine.put("made", run.run_id, "created")
    looks = Cleaner(engine, instance, GRACE)
    looks.follow()
    instance.report_run_failed(run)
    engine.put("made", run.run_id, "exited", code=137, ago_s=1)
    looks.follow()
    assert engine.removed == []


def test_one_that_cannot_be_removed_keeps_no_other(
    instance: DagsterInstance, engine: StandIn
) -> None:
    run = a_run(instance, DagsterRunStatus.SUCCESS)
    for name in ("first", "second"):
        engine.put(name, run.run_id, "exited", ago_s=310)
    engine.refuses = "first"
    Cleaner(engine, instance, GRACE).follow()
    assert engine.removed == ["second"]


def test_one_that_is_kept_is_inspected_once(instance: DagsterInstance, engine: StandIn) -> None:
    run = a_run(instance, DagsterRunStatus.SUCCESS)
    engine.put("kept", run.run_id, "exited", ago_s=1)
    watch = Cleaner(engine, instance, GRACE)
    for _ in range(3):
        watch.follow()
    assert engine.asked == ["kept"]


@pytest.mark.parametrize("status", [DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED, None])
def test_one_that_outlives_its_run_is_stopped_after_a_moment(
    instance: DagsterInstance,
    engine: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    status: DagsterRunStatus | None,
) -> None:
    now = 1000.0
    monkeypatch.setattr(cleaner.time, "monotonic", lambda: now)
    run = a_run(instance, status) if status else None
    engine.put("goes on", run.run_id if run else "no-such-run", "running")
    watch = Cleaner(engine, instance, GRACE)
    watch.follow()
    now += 14
    watch.follow()
    assert engine.stopped == []
    now += 1
    watch.follow()
    end_threads()
    assert engine.stopped == ["goes on"]
    if run:
        said = [entry.message for entry in instance.all_logs(run.run_id)]
        assert any("went on after its run had ended" in message for message in said)


def test_one_that_does_not_end_keeps_nothing_else(
    instance: DagsterInstance, engine: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one that takes its grace, nor one that the engine cannot stop."""
    now = 1000.0
    monkeypatch.setattr(cleaner.time, "monotonic", lambda: now)
    run = a_run(instance, DagsterRunStatus.FAILURE)
    for name in ("slow", "stuck"):
        engine.put(name, run.run_id, "running")
    engine.put("long ago", run.run_id, "exited", ago_s=10**6)
    engine.refuses = "stuck"
    engine.let_go.clear()
    watch = Cleaner(engine, instance, GRACE)
    for _ in range(3):
        watch.follow()
        now += 15
    assert "long ago" in engine.removed
    engine.let_go.set()
    end_threads()
    assert engine.stopped.count("slow") == 1
    assert engine.stopped.count("stuck") >= 1


def end_threads() -> None:
    """Wait for all containers that are being stopped."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.name.startswith("stop-"):
            thread.join()


def test_one_whose_run_goes_on_is_not_stopped(
    instance: DagsterInstance, engine: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(cleaner.time, "monotonic", lambda: now)
    run = a_run(instance, DagsterRunStatus.STARTED)
    engine.put("goes on", run.run_id, "running")
    watch = Cleaner(engine, instance, GRACE)
    for _ in range(3):
        watch.follow()
        now += 60
    assert engine.stopped == []
