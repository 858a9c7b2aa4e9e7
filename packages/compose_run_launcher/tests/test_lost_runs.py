"""What is lost on the way, in a launch or at the end of a run, is found and gone on with."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import dagster as dg
import pytest
import sqlalchemy.exc
from dagster import DagsterEvent, DagsterInstance, DagsterRun, DagsterRunStatus, EventLogEntry
from dagster._core.execution.plan.objects import StepFailureData, StepSuccessData
from dagster._core.launcher import WorkerStatus
from dagster._core.test_utils import create_run_for_test
from stand_in import StandIn, a_run, again, fault, launched, launcher, look, said

from compose_run_launcher import labels, start_watch
from compose_run_launcher.losses import Decision, Fault
from compose_run_launcher.start_watch import StartWatch


@dg.op
def first() -> int:
    return 1


@dg.op
def second(value: int) -> None:
    pass


@dg.job
def two_steps() -> None:
    second(first())


def event(instance: DagsterInstance, run: DagsterRun, kind: str, step: str | None = None) -> None:
    """Store an event without telling the run of it, as a worker that dies in between."""
    data = {
        "STEP_SUCCESS": StepSuccessData(duration_ms=1.0),
        "STEP_FAILURE": StepFailureData(error=None, user_failure_data=None),
        "STEP_RESTARTED": None,
    }
    stored = DagsterEvent(kind, run.job_name, step_key=step, event_specific_data=data.get(kind))
    entry = EventLogEntry(
        error_info=None,
        level="INFO",
        user_message="",
        run_id=run.run_id,
        timestamp=time.time(),
        dagster_event=stored,
    )
    instance.event_log_storage.store_event(entry)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("PIPELINE_SUCCESS", DagsterRunStatus.SUCCESS),
        ("PIPELINE_FAILURE", DagsterRunStatus.FAILURE),
        ("PIPELINE_CANCELED", DagsterRunStatus.CANCELED),
    ],
)
def test_a_run_ends_as_its_log_says_and_once(
    instance: DagsterInstance, kind: str, status: DagsterRunStatus
) -> None:
    engine, run = StandIn(), a_run(instance)
    event(instance, run, kind)
    engine.put(run, ExitCode=137)
    look(instance, engine)
    now = again(instance, run)
    assert now.status == status
    finals = [e.dagster_event_type for e in instance.all_logs(run.run_id) if e.is_dagster_event]
    assert [kind] == [one.value for one in finals if one]
    if status == DagsterRunStatus.FAILURE:
        # Whoever reads that event next must find it decided.
        assert "dagster/will_retry" in now.tags


def a_run_of_two_steps(instance: DagsterInstance, ended: dict[str, str]) -> DagsterRun:
    run = instance.create_run_for_job(two_steps, status=DagsterRunStatus.STARTED)
    for step, kind in ended.items():
        event(instance, run, "STEP_START", step)
        event(instance, run, kind, step)
    return run


def test_a_worker_that_was_lost_after_its_last_step_has_succeeded(
    instance: DagsterInstance,
) -> None:
    run = a_run_of_two_steps(instance, {"first": "STEP_SUCCESS", "second": "STEP_SUCCESS"})
    engine = StandIn()
    engine.put(run, ExitCode=137)
    look(instance, engine)
    assert again(instance, run).status == DagsterRunStatus.SUCCESS
    assert said(instance, run) == []


@pytest.mark.parametrize(
    "ended",
    [
        {},
        {"first": "STEP_SUCCESS"},
        {"first": "STEP_SUCCESS", "second": "STEP_FAILURE"},
        {"first": "STEP_SUCCESS", "second": "STEP_RESTARTED"},
    ],
    ids=lambda ended: " ".join(ended.values()) or "none",
)
def test_one_that_was_lost_before_has_not(instance: DagsterInstance, ended: dict[str, str]) -> None:
    run = a_run_of_two_steps(instance, ended)
    engine = StandIn()
    engine.put(run, ExitCode=137)
    look(instance, engine)
    assert again(instance, run).status == DagsterRunStatus.FAILURE


def test_what_monitoring_declares_dead_is_ended_first_and_said_once(
    instance: DagsterInstance,
) -> None:
    engine, run = StandIn(), a_run(instance, DagsterRunStatus.STARTING)
    container = engine.put(run, Running=True, Status="running")
    made = launcher(instance, engine)
    info = made.get_run_worker_debug_info(run)
    assert info is not None
    assert "was ended" in info
    assert not container["State"]["Running"]
    # The engine's event and a look at starting runs come before Dagster has failed the run.
    for _ in range(2):
        assert made._run_watch.settle(container)
        made._run_watch.go_on_with(run, [])
    assert again(instance, run).status == DagsterRunStatus.STARTING
    assert engine.made == []


def test_a_container_is_found_by_its_name_where_no_tag_says_it(instance: DagsterInstance) -> None:
    engine, run = StandIn(), a_run(instance)
    engine.put(run, Running=True, Status="running")
    health = launcher(instance, engine).check_run_worker_health(run)
    assert health.status == WorkerStatus.RUNNING


def test_a_run_without_a_container_is_lost(instance: DagsterInstance) -> None:
    run = a_run(instance)
    health = launcher(instance, StandIn()).check_run_worker_health(run)
    assert health.status == WorkerStatus.NOT_FOUND
    assert fault(instance, run) is Fault.LOST


def test_one_whose_end_nobody_saw_is_ended_with_its_reason(instance: DagsterInstance) -> None:
    engine, run = StandIn(), a_run(instance)
    engine.put(run, ExitCode=3)
    launcher(instance, engine).check_run_worker_health(run)
    [message] = said(instance, run)
    assert "exit code 3" in message
    assert fault(instance, run) is Fault.OWN


@pytest.mark.parametrize(
    ("losses", "hours", "words"),
    [
        (1, 0, ""),
        (2, 0, "2 were lost in a row: the run is tried again in 10 s"),
        (4, 1, "4 were lost in a row: the run is tried again in 40 s"),
        (30, 25, "for longer than a day: the run is not tried again"),
    ],
)
def test_what_is_lost_again_and_again_is_told_what_follows(
    instance: DagsterInstance, losses: int, hours: float, words: str
) -> None:
    former = a_run(instance, DagsterRunStatus.FAILURE)
    before = Decision(former.run_id, Fault.LOST, losses - 1, time.time() - hours * 3600, 0)
    tags = before.tags if losses > 1 else {}
    run = create_run_for_test(
        instance,
        job_name="job",
        status=DagsterRunStatus.STARTED,
        tags=tags,
        parent_run_id=former.run_id,
        root_run_id=former.run_id,
    )
    engine = StandIn()
    engine.put(run, ExitCode=137)
    look(instance, engine)
    [message] = said(instance, run)
    assert words in message
    assert ("in a row" in message) == bool(words)


def test_a_container_that_was_made_and_not_started_is_made_anew(instance: DagsterInstance) -> None:
    """It may lack networks, and the run may not know of it."""
    engine, run = StandIn(), a_run(instance, DagsterRunStatus.STARTING)
    half = engine.put(run, Status="created")
    launched(instance, engine, run)
    assert half["Id"] not in engine.known
    assert engine.made == engine.started == [labels.run_name("s", run.run_id)]


def test_a_run_that_ended_while_its_image_was_pulled_is_not_started(
    instance: DagsterInstance,
) -> None:
    engine, run = StandIn(), a_run(instance, DagsterRunStatus.STARTING)
    create = engine.create

    def slow(name: str, container: Any) -> str:
        instance.report_run_failed(run)
        return create(name, container)

    engine.create = slow  # type: ignore[method-assign]
    launched(instance, engine, run)
    assert engine.made
    assert engine.started == []


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_launch_waits_for_the_database(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch, goes_on: bool
) -> None:
    """What cannot be said now is neither failed nor given up: the next look goes on with it."""
    away = sqlalchemy.exc.OperationalError("", {}, Exception("connection refused"))
    answers: list[Exception | None] = [away, None if goes_on else away]

    def launch(*_: Any) -> None:
        answer = answers.pop(0)
        if answer:
            raise answer

    launchers = "compose_run_launcher.launcher"
    monkeypatch.setattr(f"{launchers}.wait_exponential", lambda **_: lambda _state: 0)
    monkeypatch.setattr(f"{launchers}.stop_after_delay", lambda _: lambda _: not answers)
    run = a_run(instance, DagsterRunStatus.STARTING)
    tried = launcher(instance, StandIn())._try_until_given_up
    with contextlib.nullcontext() if goes_on else pytest.raises(type(away)):
        tried(launch, run)
    assert answers == []
    assert again(instance, run).status == DagsterRunStatus.STARTING


@pytest.mark.parametrize("how", ["_launch_again", "_take_back"])
def test_a_launch_of_a_run_whose_log_holds_its_end_is_not_gone_on_with(
    instance: DagsterInstance, how: str
) -> None:
    """Whoever failed it was killed before the run's state was written."""
    engine, run = StandIn(), a_run(instance, DagsterRunStatus.STARTING)
    event(instance, run, "PIPELINE_FAILURE")
    getattr(launcher(instance, engine), how)(run)
    assert len(said(instance, run)) == 1
    assert again(instance, run).status == DagsterRunStatus.FAILURE


def test_a_launch_that_is_given_up_leaves_nothing_that_executes(instance: DagsterInstance) -> None:
    engine, run = StandIn(), a_run(instance, DagsterRunStatus.STARTING)
    container = engine.put(run, Running=True, Status="running")

    def launch(*_: Any) -> None:
        raise RuntimeError("what nobody thought of")

    launcher(instance, engine)._try_until_given_up(launch, run)
    assert container["Id"] not in engine.known
    assert "what nobody thought of" in said(instance, run)[0]


@pytest.mark.parametrize(
    ("container", "does"),
    [
        (None, "go on"),
        ({"Status": "created"}, "go on"),
        ({"ExitCode": 137}, "go on"),
        ({"Running": True}, "nothing"),
        ({"Running": True, "standby": True}, "take back"),
    ],
    ids=["none", "made and not started", "ended", "it imports", "a silent standby worker"],
)
def test_a_start_that_takes_long_is_looked_at(
    instance: DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    container: dict[str, Any] | None,
    does: str,
) -> None:
    engine, run = StandIn(), a_run(instance, DagsterRunStatus.STARTING)
    if container is not None:
        engine.put(run, **container)
    now, done = 1000.0, []
    monkeypatch.setattr(start_watch.time, "monotonic", lambda: now)
    monkeypatch.setattr(start_watch, "_PAUSE_S", 0)
    launching = {run.run_id}
    looks = StartWatch(
        engine,
        instance,
        launching.__contains__,
        lambda *_: done.append("go on"),
        lambda _: done.append("take back"),
    )
    looks.follow()
    now += 100
    looks.follow()
    assert done == [], "somebody is launching it"
    launching.clear()
    looks.follow()
    now += 19
    looks.follow()
    assert done == []
    now += 2
    looks.follow()
    assert done == ([] if does == "nothing" else [does])
