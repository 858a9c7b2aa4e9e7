"""A run that the database cannot hold is refused by one sentence, and nothing of it is left."""

from __future__ import annotations

import json
import logging
import random
import string
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy
from conftest import JOBS, NewRun, Postgres
from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import (
    InProcessTestWorkspaceLoadTarget,
    create_test_daemon_workspace_context,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import (
    consume_new_runs_for_automatic_reexecution,
)
from dagster_webserver.webserver import DagsterWebserver
from starlette.testclient import TestClient

from control_plane import run_writes
from control_plane.internals import run_writes as internals
from control_plane.internals.webserver import shown_to_the_user
from control_plane.planned_events import write_planned_events_at_once
from control_plane.retries import Retries
from control_plane.run_writes import TAG_LIMIT, Unstorable, write_runs_whole

SHORTER = "Fix: shorten it; long values belong into the run configuration or the metadata"
TOO_LARGE = f'tag "k" with its value is 6001 bytes; the limit is 2600 bytes. {SHORTER}'
# Postgres compresses what repeats itself before it compares it with what an index takes.
RANDOM = "".join(random.Random(1).choices(string.ascii_letters, k=5000))
LAUNCH = """
mutation ($tags: [ExecutionTag!]!, $config: RunConfigData!) {
  launchRun(executionParams: {
    selector: {repositoryLocationName: "elt", repositoryName: "__repository__", jobName: "plain"}
    runConfigData: $config
    executionMetadata: {tags: $tags}
  }) { __typename ... on PythonError { message stack } }
}
"""
BACKFILL = """
mutation ($tags: [ExecutionTag!]!) {
  launchPartitionBackfill(backfillParams: {
    assetSelection: [{path: ["parts"]}], partitionNames: ["a"], tags: $tags
  }) { __typename ... on PythonError { message stack } }
}
"""


@pytest.fixture
def unpatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test patches is undone afterwards."""
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    for hook in internals.HOOKS:
        monkeypatch.setattr(hook.owner, hook.name, hook.original())


@pytest.fixture
def as_in_the_daemon(unpatched: None) -> None:
    write_runs_whole()


@pytest.fixture(scope="module")
def workspace(dagster: DagsterInstance) -> Iterator[WorkspaceProcessContext]:
    target = LoadableTargetOrigin(executable_path=sys.executable, python_file=str(JOBS))
    origin = InProcessCodeLocationOrigin(target, location_name="elt")
    load = InProcessTestWorkspaceLoadTarget([origin])
    with create_test_daemon_workspace_context(load, dagster) as context:
        yield context


@pytest.fixture
def webserver(workspace: WorkspaceProcessContext, unpatched: None) -> TestClient:
    write_runs_whole(shown_to_the_user)
    return TestClient(DagsterWebserver(workspace).create_asgi_app())


def stored(postgres: Postgres) -> list[tuple[Any, ...]]:
    """How many runs, tags and backfills there are."""
    tables = ("runs", "run_tags", "bulk_actions", "backfill_tags")
    counts = ", ".join(f"(SELECT count(*) FROM {table})" for table in tables)
    return postgres.run("dagster", f"SELECT {counts}")


def tags(key: str, value: str) -> list[dict[str, str]]:
    return [{"key": key, "value": value}]


@pytest.mark.parametrize(
    ("mutation", "variables", "said"),
    [
        (LAUNCH, {"tags": tags("k", "v" * 6000), "config": {}}, f"Run of job plain: {TOO_LARGE}"),
        (LAUNCH, {"tags": tags("k", "ü" * 3000), "config": {}}, f"Run of job plain: {TOO_LARGE}"),
        (
            LAUNCH,
            {"tags": tags("k", "a\0b"), "config": {}},
            r"""Run of job plain: tag "k" contains '\x00', which the database cannot hold. Fix: """,
        ),
        (
            LAUNCH,
            {"tags": tags("dagster/backfill", "b" * 256), "config": {}},
            'Run of job plain: the value of tag "dagster/backfill" is 256 bytes; the limit is 255',
        ),
        (
            LAUNCH,
            {
                "tags": tags("dagster/partition", RANDOM[:2500])
                + tags("dagster/partition_set", RANDOM[2500:]),
                "config": {},
            },
            'Run of job plain: the pair of tags "dagster/partition_set" and "dagster/partition" is'
            " 5000 bytes; the limit is 2600",
        ),
        (
            LAUNCH,
            {
                "tags": [],
                "config": {"loggers": {"console": {"config": {"name": "x" * 5_000_000}}}},
            },
            "Run of job plain: the run with its configuration is 500",
        ),
        (BACKFILL, {"tags": tags("k", "v" * 6000)}, TOO_LARGE),
    ],
)
def test_people_are_shown_one_sentence(
    webserver: TestClient, postgres: Postgres, mutation: str, variables: Any, said: str
) -> None:
    """And no HTTP 500, by which the user interface shows SQL or nothing at all."""
    before = stored(postgres)
    answer = webserver.post("/graphql", json={"query": mutation, "variables": variables})
    assert answer.status_code == 200, answer.text[:1000]
    (result,) = answer.json()["data"].values()
    assert result["__typename"] == "PythonError"
    assert said in result["message"]
    assert "\n" not in result["message"] and result["stack"] == []
    assert stored(postgres) == before


def test_the_largest_tag_that_is_let_through_is_stored(
    as_in_the_daemon: None, dagster: DagsterInstance, new_run: NewRun
) -> None:
    """So the limit is not larger than the database's own."""
    key, value = "large", "v" * (TAG_LIMIT - len("large"))
    run = new_run("elt", tags={key: value})
    assert dagster.get_run_tags([key], limit=5) == [(key, {value})]
    dagster.add_run_tags(run.run_id, {key: value.upper()})
    with pytest.raises(Unstorable, match=f'Run {run.run_id}: tag "large" with its value is 2601'):
        dagster.add_run_tags(run.run_id, {key: value + "v"})
    with pytest.raises(Unstorable, match='Run of job plain: tag "large" with its value is 2601'):
        new_run("elt", tags={key: value + "v"})


def test_a_run_is_stored_with_its_tags_or_not_at_all(
    as_in_the_daemon: None,
    monkeypatch: pytest.MonkeyPatch,
    postgres: Postgres,
    dagster: DagsterInstance,
    new_run: NewRun,
) -> None:
    """Whatever breaks between the two; a tag that nobody has looked at, here."""
    monkeypatch.setattr(run_writes, "problem_of_tags", lambda _: None)
    before = stored(postgres)
    with pytest.raises(ValueError, match="NUL"):
        new_run("elt", tags={"k": "a\0b"})
    assert stored(postgres) == before
    run = new_run("elt", tags={"k": "v"})
    assert dagster.get_run_tags(["k"], limit=5)
    assert dagster.get_run_by_id(run.run_id)


def test_a_retry_that_cannot_be_made_is_the_last_one(
    as_in_the_daemon: None,
    workspace: WorkspaceProcessContext,
    postgres: Postgres,
    dagster: DagsterInstance,
    new_run: NewRun,
) -> None:
    """Of a run that an earlier release stored without its tags."""
    run = new_run("elt")
    body = dagster.get_run_by_id(run.run_id)
    assert body is not None
    half_made = internals.serialize_value(body.with_tags({"k": "v" * 6000}))
    postgres.run("dagster", "DELETE FROM run_tags WHERE run_id = %s", run.run_id)
    postgres.run(
        "dagster", "UPDATE runs SET run_body = %s WHERE run_id = %s", half_made, run.run_id
    )
    dagster.report_run_failed(body.with_tags({"k": "v" * 6000}), "it timed out")
    before = stored(postgres)[0][0]
    for _ in range(2):
        records = [dagster.get_run_record_by_id(run.run_id)]
        list(
            consume_new_runs_for_automatic_reexecution(
                workspace,
                records,  # type: ignore[arg-type]
                logging.getLogger("test"),
            )
        )
    assert stored(postgres)[0][0] == before
    ended = dagster.get_run_by_id(run.run_id)
    assert ended is not None and ended.status == DagsterRunStatus.FAILURE
    assert ended.tags["dagster/will_retry"] == "false"
    said = [
        event.dagster_event.engine_event_data.error.message
        for event in dagster.all_logs(run.run_id)
        if event.message == "Failed to retry run" and event.dagster_event
    ]
    assert len(said) == 1 and f"Unstorable: Run of job plain: {TOO_LARGE}" in said[0]


def rows_of(postgres: Postgres, run_id: str) -> dict[str, str]:
    """A run's tags, as they are found by."""
    query = "SELECT key, value FROM run_tags WHERE run_id = %s AND key IN ('a', 'b')"
    return dict(postgres.run("dagster", query, run_id))


def test_tags_are_written_whole_or_not_at_all(
    as_in_the_daemon: None, postgres: Postgres, dagster: DagsterInstance, new_run: NewRun
) -> None:
    run_id = new_run("elt").run_id
    dagster.add_run_tags(run_id, {"a": "1"})
    # What is cut off after the first of both statements.
    postgres.run("dagster", "ALTER TABLE run_tags RENAME TO run_tags_away")
    try:
        with pytest.raises(sqlalchemy.exc.ProgrammingError):
            dagster.add_run_tags(run_id, {"a": "2", "b": "2"})
    finally:
        postgres.run("dagster", "ALTER TABLE run_tags_away RENAME TO run_tags")
    run = dagster.get_run_by_id(run_id)
    assert run is not None and run.tags["a"] == "1" and "b" not in run.tags
    assert rows_of(postgres, run_id) == {"a": "1"}


def test_a_tag_without_a_row_gets_one(
    as_in_the_daemon: None, postgres: Postgres, dagster: DagsterInstance, new_run: NewRun
) -> None:
    run_id = new_run("elt").run_id
    dagster.add_run_tags(run_id, {"a": "1", "b": "1"})
    # As a process that was killed has left it.
    postgres.run("dagster", "DELETE FROM run_tags WHERE run_id = %s AND key = 'a'", run_id)
    dagster.add_run_tags(run_id, {"a": "1"})
    assert rows_of(postgres, run_id) == {"a": "1", "b": "1"}


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "by an earlier daemon"])
def test_a_run_that_says_so_in_its_own_row_alone_is_retried(
    as_in_the_daemon: None,
    postgres: Postgres,
    dagster: DagsterInstance,
    new_run: NewRun,
    monkeypatch: pytest.MonkeyPatch,
    is_told: bool,
) -> None:
    run = new_run("elt")
    dagster.report_run_failed(run, "lost")
    dagster.add_run_tags(run.run_id, {"dagster/will_retry": "true"})
    delete = "DELETE FROM run_tags WHERE run_id = %s AND key = 'dagster/will_retry'"
    retried: list[str] = []
    monkeypatch.setattr(
        "control_plane.retries.retry_run", lambda failed, _workspace: retried.append(failed.run_id)
    )
    monkeypatch.setattr("control_plane.retries.is_to_be_retried", lambda _run, _instance: True)
    thread = Retries(dagster, lambda: None)  # type: ignore[arg-type, return-value]
    if is_told:
        thread.look()
        retried.clear()
        dagster.add_run_tags(run.run_id, {"dagster/will_retry": "true"})
        postgres.run("dagster", delete, run.run_id)
        thread.wake(run, None)
    else:
        postgres.run("dagster", delete, run.run_id)
    thread.look()
    assert run.run_id in retried


def planned(postgres: Postgres, run_id: str) -> list[Any]:
    """What is stored of the assets and checks that a run intends to make, without its own id."""
    events = postgres.run(
        "dagster",
        "SELECT dagster_event_type, step_key, asset_key, partition, event, id FROM event_logs"
        " WHERE run_id = %s AND dagster_event_type LIKE '%%PLANNED' ORDER BY id",
        run_id,
    )
    numbers = {row[-1]: number for number, row in enumerate(events)}
    checks = postgres.run(
        "dagster",
        "SELECT asset_key, check_name, partition, execution_status, evaluation_event,"
        " evaluation_event_storage_id FROM asset_check_executions WHERE run_id = %s"
        " ORDER BY check_name, partition",
        run_id,
    )
    assets = postgres.run(
        "dagster", "SELECT asset_key FROM asset_keys WHERE last_run_id = %s ORDER BY 1", run_id
    )
    rows = [(*row[:-2], _without_run(row[-2]), numbers[row[-1]]) for row in events + checks]
    return [*rows, *assets]


def _without_run(event: str) -> Any:
    return json.loads(event) | {"run_id": "", "timestamp": 0}


@pytest.mark.parametrize("job", ["assets_job", "parts_job"])
def test_planned_events_are_stored_at_once_as_dagster_stores_each(
    unpatched: None,
    monkeypatch: pytest.MonkeyPatch,
    postgres: Postgres,
    new_run: NewRun,
    job: str,
) -> None:
    one_by_one = planned(postgres, new_run("elt", job).run_id)
    write_planned_events_at_once()
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", note)
    try:
        run = new_run("elt", job, launched=False)
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", note)
    at_once = planned(postgres, run.run_id)
    assert at_once == one_by_one and len(at_once) >= 2
    for table in ("event_logs", "asset_check_executions", "asset_keys"):
        assert sum(f"INSERT INTO {table}" in each for each in statements) <= 1
