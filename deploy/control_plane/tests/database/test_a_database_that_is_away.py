"""A run worker outlives the database: nothing of its run is lost, and nothing stands twice."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import dagster as dg
import dagster_postgres.utils
import psycopg2
import pytest
from compose_run_launcher import worker
from conftest import NewRun, Postgres, execute
from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus
from dagster._serdes import serialize_value
from psycopg2 import errors
from sqlalchemy import event, exc

LONG_S = 60


@pytest.fixture(autouse=True)
def dagsters_own_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster itself tries to connect for some twelve seconds before a worker waits: here, one."""
    shorter = SimpleNamespace(sleep=lambda seconds: time.sleep(seconds / 12))
    monkeypatch.setattr(dagster_postgres.utils, "time", shorter)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set as soon as a worker has found the database away."""
    found = threading.Event()

    def is_away(error: BaseException | None) -> bool:
        away: bool = original(error)
        if away:
            found.set()
        return away

    original = worker.is_away
    monkeypatch.setattr(worker, "is_away", is_away)
    return found


@pytest.fixture
def beside() -> Iterator[Callable[..., None]]:
    """Does something in a thread; the test ends with it, and with what it raises."""
    with ThreadPoolExecutor() as pool:
        begun: list[Future[None]] = []
        yield lambda function, *arguments: begun.append(pool.submit(function, *arguments))
        for each in begun:
            each.result(LONG_S)


@pytest.fixture
def patient(postgres: Postgres) -> Iterator[DagsterInstance]:
    """elt's instance, as the worker program opens it."""
    with postgres.instance("elt") as own:
        instance: DagsterInstance = worker.open_instance(serialize_value(own.get_ref()))
    with instance:
        yield instance


def start_again(postgres: Postgres, waits: threading.Event) -> None:
    """Start the server when the worker waits for it."""
    try:
        assert waits.wait(LONG_S)
    finally:
        postgres.start()


def crash(postgres: Postgres, run_id: str, waits: threading.Event) -> None:
    """End the server as a crash does, while the run writes; start it when the worker waits."""
    deadline = time.monotonic() + LONG_S
    count = "SELECT count(*) FROM event_logs WHERE run_id = %s AND event LIKE '%%number %%'"
    with closing(postgres.connect("dagster")) as connection, connection.cursor() as cursor:
        written = 0
        while written < 10:
            assert time.monotonic() < deadline
            time.sleep(0.02)
            cursor.execute(count, (run_id,))
            (written,) = cursor.fetchone()
    postgres.stop("immediate")
    start_again(postgres, waits)


def counted(instance: DagsterInstance, run_id: str) -> Counter[str]:
    return Counter(entry.message for entry in instance.all_logs(run_id))


def test_a_run_goes_on_through_a_crash(
    postgres: Postgres,
    dagster: DagsterInstance,
    patient: DagsterInstance,
    new_run: NewRun,
    waits: threading.Event,
    beside: Callable[..., None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    run = new_run("elt", "talking")
    beside(crash, postgres, run.run_id, waits)
    assert execute(patient, run) == 0
    ended = dagster.get_run_by_id(run.run_id)
    assert ended is not None and ended.status == DagsterRunStatus.SUCCESS
    logs = dagster.all_logs(run.run_id)
    messages = Counter(entry.message for entry in logs)
    assert {f"number {n}": 1 for n in range(60)}.items() <= messages.items()
    kinds = Counter(entry.dagster_event_type for entry in logs)
    for once in (DagsterEventType.RUN_SUCCESS, DagsterEventType.STEP_SUCCESS):
        assert kinds[once] == 1
    assert "run worker: waits for the database: " in capfd.readouterr().err


def test_steps_in_processes_of_their_own_go_on(
    postgres: Postgres,
    dagster: DagsterInstance,
    patient: DagsterInstance,
    new_run: NewRun,
    beside: Callable[..., None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A project that sets no executor has these."""

    class SaidByTheStep:
        """Set as soon as the step's process has said that it waits."""

        said = ""

        def wait(self, seconds: float) -> bool:
            deadline = time.monotonic() + seconds
            while "waits for the database: PostgresEventLogStorage.store_event" not in self.said:
                if time.monotonic() > deadline:
                    return False
                self.said += capfd.readouterr().err
                time.sleep(0.05)
            return True

    run = new_run("elt", "talking_apart")
    beside(crash, postgres, run.run_id, SaidByTheStep())
    assert execute(patient, run) == 0
    ended = dagster.get_run_by_id(run.run_id)
    assert ended is not None and ended.status == DagsterRunStatus.SUCCESS
    messages = counted(dagster, run.run_id)
    assert {f"number {n}": 1 for n in range(60)}.items() <= messages.items()


def test_a_worker_that_starts_meanwhile_waits(
    postgres: Postgres,
    dagster: DagsterInstance,
    patient: DagsterInstance,
    new_run: NewRun,
    waits: threading.Event,
    beside: Callable[..., None],
) -> None:
    run = new_run("elt", "plain")
    postgres.stop("fast")
    beside(start_again, postgres, waits)
    assert execute(patient, run) == 0
    ended = dagster.get_run_by_id(run.run_id)
    assert ended is not None and ended.status == DagsterRunStatus.SUCCESS


def test_what_was_stored_before_the_answer_was_lost_stands_once(
    dagster: DagsterInstance, patient: DagsterInstance, new_run: NewRun
) -> None:
    """And what belongs to it is there: the asset."""
    run = new_run("elt", "plain")
    storage: Any = patient.event_log_storage
    with storage.index_connection() as connection:
        engine = connection.engine
    lost: list[str] = []

    def lose(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO event_logs") and not lost:
            lost.append(statement)
            cause = psycopg2.OperationalError("server closed the connection unexpectedly")
            raise exc.OperationalError(statement, {}, cause)

    event.listen(engine, "after_cursor_execute", lose)
    made = dg.AssetMaterialization("made_once")
    patient.report_dagster_event(
        dagster_event=dg.DagsterEvent(
            DagsterEventType.ASSET_MATERIALIZATION.value,
            "plain",
            event_specific_data=_materialized(made),
        ),
        run_id=run.run_id,
    )
    assert lost
    found = dagster.get_event_records(
        dg.EventRecordsFilter(DagsterEventType.ASSET_MATERIALIZATION, dg.AssetKey("made_once"))
    )
    assert len(found) == 1
    (record,) = dagster.get_asset_records([dg.AssetKey("made_once")])
    assert record.asset_entry.last_run_id == run.run_id


def _materialized(made: dg.AssetMaterialization) -> Any:
    from dagster._core.events import StepMaterializationData

    return StepMaterializationData(made)


@pytest.mark.parametrize(
    ("cause", "away"),
    [
        (psycopg2.OperationalError("connection refused"), True),
        (psycopg2.OperationalError('could not translate host name "postgres"'), True),
        (psycopg2.InterfaceError("connection already closed"), True),
        (errors.AdminShutdown(), True),
        (psycopg2.OperationalError('password authentication failed for user "elt"'), False),
        (psycopg2.OperationalError('FATAL: database "dagster" does not exist'), False),
    ],
)
def test_what_is_waited_for(cause: Exception, away: bool) -> None:
    kind = exc.InterfaceError if isinstance(cause, psycopg2.InterfaceError) else None
    error = (kind or exc.OperationalError)("SELECT 1", {}, cause)
    assert worker.is_away(error) == away
    try:
        raise RuntimeError("too many retries for DB connection") from error
    except RuntimeError as outer:
        assert worker.is_away(outer) == away
    assert not worker.is_away(ValueError("anything else"))


def test_it_is_not_waited_for_without_end(
    postgres: Postgres, patient: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_AWAY_S", 0)
    postgres.stop("fast")
    try:
        with pytest.raises(Exception, match="too many retries for DB connection"):
            patient.get_runs(limit=1)
    finally:
        postgres.start()
