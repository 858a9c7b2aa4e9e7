"""Rows that cannot be read: they end by themselves, and the others go on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.runs.schema import RunsTable
from dagster._core.test_utils import create_run_for_test, instance_for_test
from dagster._serdes import serialize_value

from control_plane.internals import run_rows
from control_plane.queue_daemon import PromptQueueDaemon
from control_plane.unreadable_runs import read_around_unreadable_runs, why_unreadable

ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("elt"), "__repository__"), "job"
)
POISON = {
    "no JSON": "{",
    "no run": '{"__class__": "AssetKey", "path": ["x"]}',
    "an unknown class": '{"__class__": "NoSuchClass"}',
    "nested": "[" * 100_000,
    "empty": "",
}


@pytest.fixture(scope="module")
def instance() -> Iterator[DagsterInstance]:
    overrides = {
        "run_coordinator": {
            "module": "dagster.core.run_coordinator",
            "class": "QueuedRunCoordinator",
            "config": {"max_concurrent_runs": 100},
        },
        "run_launcher": {"module": "dagster._core.test_utils", "class": "MockedRunLauncher"},
    }
    with instance_for_test(overrides=overrides) as instance:
        yield instance


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in daemon and webserver; undone afterwards."""
    for hook in run_rows.HOOKS:
        monkeypatch.setattr(hook.owner, hook.name, hook.original())
    read_around_unreadable_runs()


def queued(instance: DagsterInstance) -> DagsterRun:
    return create_run_for_test(
        instance, job_name="job", status=DagsterRunStatus.QUEUED, remote_job_origin=ORIGIN
    )


def set_body(instance: DagsterInstance, run_id: str, body: str) -> None:
    storage: Any = instance.run_storage
    with storage.connect() as connection:
        is_it = RunsTable.c.run_id == run_id
        connection.execute(sqlalchemy.update(RunsTable).where(is_it).values(run_body=body))


def launched(instance: DagsterInstance) -> list[str]:
    """Ids of the runs that two rounds of the queue launch."""
    launcher: Any = instance.run_launcher
    before = len(launcher.queue())
    context: Any = SimpleNamespace(instance=instance, create_request_context=lambda: None)
    for _ in range(2):
        list(PromptQueueDaemon(1).run_iteration(context))
    return [run.run_id for run in launcher.queue()[before:]]


def test_dagsters_own_reads_stop_at_one_row(instance: DagsterInstance) -> None:
    """When this fails, Dagster reads around such rows itself: then this module can go."""
    run = queued(instance)
    set_body(instance, run.run_id, POISON["no JSON"])
    try:
        for read in (instance.get_runs, instance.get_run_records):
            with pytest.raises(Exception, match="line 1"):
                read()
    finally:
        instance.delete_run(run.run_id)


def test_the_queue_goes_on(
    instance: DagsterInstance, patched: None, caplog: pytest.LogCaptureFixture
) -> None:
    poisoned = {}
    for what, body in POISON.items():
        poisoned[what] = queued(instance).run_id
        set_body(instance, poisoned[what], body)
    other = queued(instance)
    poisoned["another's id"] = queued(instance).run_id
    set_body(instance, poisoned["another's id"], serialize_value(other))
    honest = queued(instance)
    with caplog.at_level(logging.ERROR):
        assert set(launched(instance)) == {other.run_id, honest.run_id}
    for run_id in poisoned.values():
        now = instance.get_run_by_id(run_id)
        assert now is not None
        assert now.status == DagsterRunStatus.FAILURE
        assert f"run {run_id}: its row in the database cannot be read" in caplog.text
        messages = [event.message for event in instance.all_logs(run_id)]
        assert any("cannot be read" in message for message in messages)
    # For good: their rows can be read now, by those who have no such patch, too.
    caplog.clear()
    assert launched(instance) == []
    assert not caplog.records


def test_reading_changes_nothing(instance: DagsterInstance, patched: None) -> None:
    run = create_run_for_test(instance, job_name="job", status=DagsterRunStatus.STARTED)
    set_body(instance, run.run_id, "{")
    wanted = RunsFilter(run_ids=[run.run_id])
    by_id = instance.get_run_by_id(run.run_id)
    (listed,), (record,) = instance.get_runs(wanted), instance.get_run_records(wanted)
    assert by_id is not None
    for found in (by_id, listed, record.dagster_run):
        assert found.run_id == run.run_id
        assert found.status == DagsterRunStatus.STARTED
        assert why_unreadable(found)
    assert listed.job_name == "job"
    storage: Any = instance.run_storage
    query = sqlalchemy.select(RunsTable.c.run_body).where(RunsTable.c.run_id == run.run_id)
    assert storage.fetchone(query)["run_body"] == "{"
    instance.delete_run(run.run_id)


def test_a_run_that_cannot_be_dequeued_ends(
    instance: DagsterInstance, patched: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong with it, the next round does not meet it again."""
    bad, good = queued(instance), queued(instance)
    report = instance.report_dagster_event

    def refuse_one(event: Any, run_id: str, *rest: Any, **named: Any) -> Any:
        if run_id == bad.run_id and event.is_engine_event is False and not event.is_job_failure:
            raise ValueError("no event for this one")
        return report(event, run_id, *rest, **named)

    monkeypatch.setattr(instance, "report_dagster_event", refuse_one)
    assert launched(instance) == [good.run_id]
    now = instance.get_run_by_id(bad.run_id)
    assert now is not None
    assert now.status == DagsterRunStatus.FAILURE
