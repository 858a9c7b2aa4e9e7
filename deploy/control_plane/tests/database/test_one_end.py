"""A run ends once, whoever ends it and however many do so at the same time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg2
import pytest
from compose_run_launcher import worker
from compose_run_launcher.testing import Python
from conftest import ADD_EVENT, SQL, NewRun, Postgres, execute
from conftest import event as serialized
from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.events.log import EventLogEntry
from dagster._daemon.monitoring.run_monitoring import monitor_canceling_run, monitor_starting_run
from dagster._serdes import serialize_value
from sqlalchemy import event, exc

from control_plane import one_end
from control_plane.database import grant_run_rights
from control_plane.internals import retries
from control_plane.internals import run_writes as internals
from control_plane.one_end import end_runs_once
from control_plane.retries import decide_by_fault

ENDS = {
    DagsterEventType.RUN_SUCCESS: DagsterRunStatus.SUCCESS,
    DagsterEventType.RUN_FAILURE: DagsterRunStatus.FAILURE,
    DagsterEventType.RUN_CANCELED: DagsterRunStatus.CANCELED,
}
LOGGER = logging.getLogger("test")


@pytest.fixture(autouse=True)
def as_in_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undone afterwards."""
    for hook in internals.HOOKS:
        monkeypatch.setattr(hook.owner, hook.name, hook.original())
    for hook in retries.HOOKS:
        monkeypatch.setattr(hook.owner, hook.name, hook.original())
    end_runs_once()
    decide_by_fault()
    monkeypatch.setattr(one_end, "_STATE_FOLLOWS_WITHIN_S", 0.5)


@pytest.fixture
def own(postgres: Postgres) -> Iterator[DagsterInstance]:
    """elt's instance, as the worker program opens it, in a process of its own."""
    with postgres.instance("elt") as plain, pytest.MonkeyPatch.context() as elsewhere:
        elsewhere.setattr(DagsterInstance, "handle_new_event", internals.handle_new_event)
        instance: DagsterInstance = worker.open_instance(serialize_value(plain.get_ref()))
    with instance:
        yield instance


@pytest.fixture
def starting(dagster: DagsterInstance, new_run: NewRun) -> Any:
    """Make a run that has been starting for an hour, and give its record as monitoring reads it."""

    def make(job: str = "plain") -> Any:
        run = new_run("elt", job)
        since = time.time() - 3600
        launched = DagsterEvent(DagsterEventType.RUN_STARTING.value, job)
        dagster.report_dagster_event(launched, run.run_id, timestamp=since)
        record = dagster.get_run_record_by_id(run.run_id)
        assert record is not None
        assert record.dagster_run.status == DagsterRunStatus.STARTING
        return record

    return make


def ends(instance: DagsterInstance, run: DagsterRun) -> list[DagsterEventType]:
    """The final events in the run's log."""
    logs = instance.all_logs(run.run_id, of_type=set(ENDS))
    return [entry.get_dagster_event().event_type for entry in logs]


def now(instance: DagsterInstance, run: DagsterRun) -> DagsterRun:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found


def report(instance: DagsterInstance, run: DagsterRun, kind: DagsterEventType) -> None:
    instance.report_dagster_event(DagsterEvent(kind.value, run.job_name), run.run_id)


def store(instance: DagsterInstance, run: DagsterRun, kind: DagsterEventType) -> None:
    """An end that is stored by a process which dies before it changes the run's state."""
    reason = JobFailureData(error=None, failure_reason=RunFailureReason.STEP_FAILURE)
    failed = kind == DagsterEventType.RUN_FAILURE
    end = DagsterEvent(
        kind.value, run.job_name, event_specific_data=reason if failed else None, message="first"
    )
    entry = EventLogEntry(
        error_info=None,
        level=20,
        user_message="",
        run_id=run.run_id,
        timestamp=time.time(),
        dagster_event=end,
    )
    instance.event_log_storage.store_event(entry)


@pytest.mark.parametrize("second", ENDS)
@pytest.mark.parametrize("first", ENDS)
def test_the_first_end_is_the_only_one(
    dagster: DagsterInstance, new_run: NewRun, first: DagsterEventType, second: DagsterEventType
) -> None:
    run = new_run("elt")
    report(dagster, run, first)
    before = now(dagster, run)
    report(dagster, run, second)
    assert ends(dagster, run) == [first]
    assert now(dagster, run) == before
    assert before.status == ENDS[first]


def test_of_many_at_once_one_ends_it(
    postgres: Postgres, dagster: DagsterInstance, own: DagsterInstance, new_run: NewRun
) -> None:
    """Each with a connection of its own, as different processes have."""
    run = new_run("elt")
    with postgres.instance("dagster") as other, ThreadPoolExecutor(9) as threads:
        together = threading.Barrier(9)

        def end(instance: DagsterInstance, kind: DagsterEventType) -> None:
            together.wait()
            report(instance, run, kind)

        writers = [threads.submit(end, who, what) for who in (dagster, other, own) for what in ENDS]
        for writer in writers:
            writer.result()
    [first] = ends(dagster, run)
    assert now(dagster, run).status == ENDS[first]


@pytest.mark.parametrize("kind", ENDS)
def test_monitoring_does_not_end_again_what_ended_since_it_looked(
    dagster: DagsterInstance,
    own: DagsterInstance,
    starting: Any,
    kind: DagsterEventType,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Monitoring reads all runs, asks the launcher about each, and writes then."""
    record = starting()
    report(own, record.dagster_run, kind)
    before = now(dagster, record.dagster_run)
    monitor_starting_run(dagster, record, LOGGER)
    assert ends(dagster, record.dagster_run) == [kind]
    assert now(dagster, record.dagster_run) == before
    assert f"run {record.dagster_run.run_id} has ended before" in caplog.text
    assert "Run timed out due to taking longer than" in caplog.text


def test_a_run_that_ended_while_it_was_canceled_stays_as_it_ended(
    dagster: DagsterInstance, own: DagsterInstance, new_run: NewRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run("elt")
    dagster.report_run_canceling(run)
    record = dagster.get_run_record_by_id(run.run_id)
    assert record is not None
    report(own, run, DagsterEventType.RUN_SUCCESS)
    monkeypatch.setattr("time.time", lambda: record.update_timestamp.timestamp() + 3600)
    monitor_canceling_run(dagster, record, LOGGER)
    assert ends(dagster, run) == [DagsterEventType.RUN_SUCCESS]
    assert now(dagster, run).status == DagsterRunStatus.SUCCESS


@pytest.mark.parametrize("kind", ENDS)
def test_a_run_whose_end_is_stored_gets_the_state_of_that_end(
    dagster: DagsterInstance, own: DagsterInstance, starting: Any, kind: DagsterEventType
) -> None:
    """A worker was killed before it wrote the state, and its run looks alive."""
    record = starting()
    store(own, record.dagster_run, kind)
    monitor_starting_run(dagster, record, LOGGER)
    assert ends(dagster, record.dagster_run) == [kind]
    ended = now(dagster, record.dagster_run)
    assert ended.status == ENDS[kind]
    # Decided by what it failed for, which is neither a lost worker nor a start that took too long.
    failed = kind == DagsterEventType.RUN_FAILURE
    assert ended.tags.get("dagster/failure_reason") == ("STEP_FAILURE" if failed else None)
    assert ("dagster/will_retry" in ended.tags) == failed


def test_whoever_stored_the_end_is_given_the_time_to_write_the_state(
    dagster: DagsterInstance, own: DagsterInstance, starting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that write the same tags at the same time write them twice."""
    record = starting()
    run = record.dagster_run
    store(own, run, DagsterEventType.RUN_FAILURE)
    looks: list[float] = []

    def pause(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            failed = DagsterEvent(DagsterEventType.RUN_FAILURE.value, run.job_name)
            own.run_storage.handle_run_event(run.run_id, failed)

    monkeypatch.setattr(one_end.time, "sleep", pause)
    monitor_starting_run(dagster, record, LOGGER)
    assert len(looks) == 2
    assert "dagster/will_retry" not in now(dagster, run).tags


def test_an_end_that_was_stored_before_the_answer_was_lost_is_stored_once(
    dagster: DagsterInstance, starting: Any
) -> None:
    """The daemon's monitoring comes again."""
    record = starting()
    storage: Any = dagster.event_log_storage
    with storage.index_connection() as connection:
        engine = connection.engine

    def lose(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO event_logs"):
            event.remove(engine, "after_cursor_execute", lose)
            cause = psycopg2.OperationalError("server closed the connection unexpectedly")
            raise exc.OperationalError(statement, {}, cause)

    event.listen(engine, "after_cursor_execute", lose)
    with pytest.raises(exc.OperationalError):
        monitor_starting_run(dagster, record, LOGGER)
    assert now(dagster, record.dagster_run).status == DagsterRunStatus.STARTING
    monitor_starting_run(dagster, record, LOGGER)
    assert ends(dagster, record.dagster_run) == [DagsterEventType.RUN_FAILURE]
    ended = now(dagster, record.dagster_run)
    assert ended.status == DagsterRunStatus.FAILURE
    assert ended.tags["dagster/failure_reason"] == "START_TIMEOUT"
    assert ended.tags["dagster/will_retry"] == "true"


@pytest.mark.parametrize("opened", ["own", "elt"])
def test_a_worker_whose_run_was_failed_meanwhile_ends_it_no_second_time(
    dagster: DagsterInstance,
    request: pytest.FixtureRequest,
    new_run: NewRun,
    opened: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As our program opens the instance, and as Dagster's own command does."""
    monkeypatch.setattr(DagsterInstance, "handle_new_event", internals.handle_new_event)
    instance = request.getfixturevalue(opened)
    run = new_run("elt", "talking")

    def fail() -> None:
        while now(dagster, run).status != DagsterRunStatus.STARTED:
            time.sleep(0.05)
        dagster.report_run_failed(run, "it was declared dead")

    failing = threading.Thread(target=fail)
    failing.start()
    execute(instance, run)
    failing.join()
    assert ends(dagster, run) == [DagsterEventType.RUN_FAILURE]
    assert now(dagster, run).status == DagsterRunStatus.FAILURE
    said = capfd.readouterr().err
    if opened == "own":
        assert f"run worker: run {run.run_id} has ended before: PIPELINE_SUCCESS" in said
        assert "framework error" not in " ".join(e.message for e in dagster.all_logs(run.run_id))


def test_a_run_that_has_ended_is_not_canceled_or_started_again(
    dagster: DagsterInstance, own: DagsterInstance, new_run: NewRun
) -> None:
    """Monitoring cancels what ran for too long, and the queue starts what was not canceled."""
    run = new_run("elt")
    report(own, run, DagsterEventType.RUN_SUCCESS)
    before = dagster.get_run_record_by_id(run.run_id)
    dagster.report_run_canceling(run)
    report(dagster, run, DagsterEventType.RUN_STARTING)
    assert dagster.get_run_record_by_id(run.run_id) == before


def test_a_run_is_retried_by_its_first_end(dagster: DagsterInstance, new_run: NewRun) -> None:
    run = new_run("elt")
    reason = JobFailureData(error=None, failure_reason=RunFailureReason.START_TIMEOUT)
    dagster.report_run_failed(run, "it did not start", reason)
    dagster.report_run_failed(run, "it was killed")
    assert now(dagster, run).tags["dagster/will_retry"] == "true"
    assert now(dagster, run).tags["dagster/failure_reason"] == "START_TIMEOUT"


def test_an_end_that_cannot_be_read_is_a_failure(
    postgres: Postgres, dagster: DagsterInstance, starting: Any
) -> None:
    """A location writes it, and its run must not hold a slot for ever."""
    record = starting()
    run_id = record.dagster_run.run_id
    kind = DagsterEventType.RUN_SUCCESS.value
    text = serialized(run_id, dagster_event={"event_type_value": kind}, timestamp=None)
    postgres.run("elt", ADD_EVENT, run_id, text, kind)
    with pytest.raises(Exception, match=r".*"):
        dagster.all_logs(run_id)
    monitor_starting_run(dagster, record, LOGGER)
    assert now(dagster, record.dagster_run).status == DagsterRunStatus.FAILURE
    assert now(dagster, record.dagster_run).tags["dagster/will_retry"] == "false"


def test_ends_of_former_releases_stay(
    postgres: Postgres, dagster: DagsterInstance, new_run: NewRun
) -> None:
    """Of a run with two, none is removed; and runs that end from now on end once."""
    postgres.run("dagster", "DROP INDEX one_end_per_run")
    postgres.run("postgres", "COMMENT ON SCHEMA control IS NULL")
    old, run = new_run("elt"), new_run("elt")
    for _ in range(2):
        report(dagster, old, DagsterEventType.RUN_FAILURE)
    grant_run_rights(postgres.server(), SQL)
    for _ in range(2):
        report(dagster, run, DagsterEventType.RUN_FAILURE)
    assert len(ends(dagster, old)) == 2
    assert len(ends(dagster, run)) == 1


def test_other_events_may_come_again(dagster: DagsterInstance, new_run: NewRun) -> None:
    run = new_run("elt")
    for _ in range(2):
        dagster.report_engine_event("again", run)
        dagster.report_run_canceling(run)
    messages = [entry.message for entry in dagster.all_logs(run.run_id)]
    assert messages.count("again") == 2


def test_another_refusal_is_no_second_end(postgres: Postgres) -> None:
    """Whatever its text says."""
    add = "INSERT INTO kvs (key, value) VALUES ('one_end_per_run', '')"
    postgres.run("dagster", add)
    with pytest.raises(psycopg2.errors.UniqueViolation) as refused:
        postgres.run("dagster", add)
    assert not worker.is_second_end(exc.IntegrityError(add, {}, refused.value))


@pytest.mark.parametrize(
    ("module", "begins"),
    [
        ("control_plane.daemon", "D.get = told"),
        ("control_plane.webserver", "webserver.main = told"),
    ],
)
def test_each_process_that_ends_runs_begins_with_it(
    python: Python, module: str, begins: str
) -> None:
    program = f"""
import runpy, sys
from control_plane.internals import webserver
from dagster import DagsterInstance as D

def told():
    sys.exit("with " + D.handle_new_event.__module__)

{begins}
sys.argv[1:] = ["--workspace", "/dev/null"]
runpy.run_module({module!r}, run_name="__main__")
"""
    done = python(program)
    assert done.stderr.splitlines()[-1] == "with control_plane.one_end"
