"""What code of one location tries with its role in Dagster's database, and cannot do.

Each attack succeeds with the rights as they were before row security; what an honest run does in
its place is in test_runs_of_a_location.py, or beside the attack.
"""

from __future__ import annotations

import json
from typing import Any

import psycopg2
import pytest
from conftest import ADD_EVENT, SQL, NewRun, Postgres, event, execute
from dagster import DagsterInstance, DagsterRunStatus
from psycopg2 import errors

from control_plane import database

UPDATE_BODY = "UPDATE runs SET run_body = %s WHERE run_id = %s"
ADD_TAG = "INSERT INTO run_tags (run_id, key, value) VALUES (%s, %s, %s)"


def body(postgres: Postgres, run_id: str) -> dict[str, Any]:
    ((text,),) = postgres.run("dagster", "SELECT run_body FROM runs WHERE run_id = %s", run_id)
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def test_runs_of_others_are_not_seen_and_not_changed(postgres: Postgres, new_run: NewRun) -> None:
    theirs = new_run("analytics", tags={"secret": "s"}).run_id
    for table in ("runs", "run_tags", "event_logs"):
        query = f"SELECT 1 FROM {table} WHERE run_id = %s"
        assert postgres.run("analytics", query, theirs)
        assert not postgres.run("elt", query, theirs)
    for statement in (
        "UPDATE runs SET status = 'CANCELED' WHERE run_id = %s",
        "UPDATE run_tags SET value = 'other' WHERE run_id = %s",
    ):
        assert postgres.run("elt", statement, theirs) == [(0,)]
    with pytest.raises(errors.InsufficientPrivilege, match="does not belong to code location elt"):
        postgres.run("elt", ADD_EVENT, theirs, event(theirs), None)
    with pytest.raises(errors.InsufficientPrivilege):
        postgres.run("elt", ADD_TAG, theirs, "a", "b")


def test_another_role_does_not_help(postgres: Postgres, new_run: NewRun) -> None:
    theirs = new_run("analytics").run_id
    connection = postgres.connect("elt")
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE dagster_run")
        cursor.execute("SELECT 1 FROM runs WHERE run_id = %s", (theirs,))
        assert cursor.fetchall() == []
        for statement in (
            "SET ROLE dagster",
            "SET SESSION AUTHORIZATION analytics",
            "SET session_replication_role = replica",
            "INSERT INTO control.run_owner VALUES ('x', 'elt')",
            "UPDATE control.run_owner SET location = 'elt'",
            "SELECT * FROM control.run_owner",
            "ALTER TABLE runs DISABLE ROW LEVEL SECURITY",
            "SELECT control.end_hindering_sessions()",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                cursor.execute(statement)


def test_own_run_cannot_become_one_of_another_location(
    postgres: Postgres, dagster: DagsterInstance, elt: DagsterInstance, new_run: NewRun
) -> None:
    run = new_run("elt")
    before = body(postgres, run.run_id)
    forged = json.loads(json.dumps(before))
    origin = forged["external_pipeline_origin"]["external_repository_origin"]
    origin["repository_location_origin"]["location_name"] = "analytics"
    forged["pipeline_code_origin"]["repository_origin"]["code_pointer"] = {
        "__class__": "CustomPointer",
        "reconstructable_args": ["id"],
        "reconstructor_pointer": {
            "__class__": "ModuleCodePointer",
            "fn_name": "system",
            "module": "os",
            "working_directory": None,
        },
    }
    forged["pipeline_code_origin"]["repository_origin"]["container_image"] = "evil"
    forged["run_id"] = "other"
    forged["run_config"] = {"ops": {}}
    postgres.run("elt", UPDATE_BODY, json.dumps(forged), run.run_id)
    assert body(postgres, run.run_id) == before
    for assignment in ("run_id = 'x'", "pipeline_name = 'x'", "snapshot_id = NULL", "id = 1"):
        with pytest.raises(errors.InsufficientPrivilege):
            postgres.run("elt", f"UPDATE runs SET {assignment}")
    assert execute(elt, run) == 0


@pytest.mark.parametrize("poison", ["", "{", "null", "[]", '{"tags": null}', '{"tags": {"a": []}}'])
def test_a_run_that_cannot_be_read_is_refused(
    postgres: Postgres, dagster: DagsterInstance, new_run: NewRun, poison: str
) -> None:
    run = new_run("elt", launched=False)
    with pytest.raises(psycopg2.DataError, match=run.run_id):
        postgres.run("elt", UPDATE_BODY, poison, run.run_id)
    # Python reads what Postgres drops: the first of two values of one key.
    deep = '{"tags": ' + "[" * 5000 + "]" * 5000 + ', "tags": {"a": "b"}}'
    postgres.run("elt", UPDATE_BODY, deep, run.run_id)
    assert dagster.get_run_by_id(run.run_id) is not None


@pytest.mark.parametrize(
    ("former", "status"),
    [
        ("NOT_STARTED", "QUEUED"),
        ("QUEUED", "STARTED"),
        ("QUEUED", "CANCELED"),
        ("STARTED", "QUEUED"),
        ("STARTED", "NOT_STARTED"),
        ("STARTED", "nonsense"),
        ("STARTED", None),
        ("SUCCESS", "STARTED"),
        ("FAILURE", "SUCCESS"),
        ("CANCELED", "SUCCESS"),
    ],
)
def test_transitions_that_are_not_a_run_s(
    postgres: Postgres, new_run: NewRun, former: str, status: str | None
) -> None:
    run_id = new_run("elt").run_id
    statement = "UPDATE runs SET status = %s WHERE run_id = %s"
    postgres.run("dagster", statement, former, run_id)
    with pytest.raises(errors.InsufficientPrivilege, match=rf"run {run_id} is {former}"):
        postgres.run("elt", statement, status, run_id)


def test_times_that_would_outwit_timeouts(postgres: Postgres, new_run: NewRun) -> None:
    run_id = new_run("elt").run_id
    postgres.run(
        "elt",
        "UPDATE runs SET status = 'STARTED', update_timestamp = now() + interval '9 years',"
        " start_time = 'NaN', end_time = 'infinity' WHERE run_id = %s",
        run_id,
    )
    query = (
        "SELECT update_timestamp <= now() AT TIME ZONE 'UTC',"
        " extract(epoch FROM now()) - start_time BETWEEN 0 AND 60, end_time < 9e9"
        " FROM runs WHERE run_id = %s"
    )
    assert postgres.run("elt", query, run_id) == [(True, True, True)]
    postgres.run("elt", "UPDATE runs SET start_time = 5 WHERE run_id = %s", run_id)
    assert postgres.run("elt", query, run_id) == [(True, True, True)]


@pytest.mark.parametrize(
    "key",
    [
        ".dagster/standby_ticket",
        ".dagster/repository",
        "dagster/image",
        "dagster/priority",
        "dagster/max_retries",
        "dagster/code_location",
        "docker/memory",
        "docker/container_id",
        "dagster-k8s/config",
    ],
)
def test_tags_that_the_control_plane_acts_on(
    postgres: Postgres, elt: DagsterInstance, dagster: DagsterInstance, new_run: NewRun, key: str
) -> None:
    run = new_run("elt")
    with pytest.raises(errors.InsufficientPrivilege, match=f'tag "{key}" cannot be changed'):
        postgres.run("elt", ADD_TAG, run.run_id, key, "stolen")
    dagster.add_run_tags(run.run_id, {key: "given"})
    with pytest.raises(errors.InsufficientPrivilege, match=f'tag "{key}" cannot be changed'):
        postgres.run("elt", "UPDATE run_tags SET value = 'x' WHERE key = %s", key)
    with pytest.raises(Exception, match=f'tag "{key}" cannot be changed'):
        elt.add_run_tags(run.run_id, {key: "other"})
    without = body(postgres, run.run_id)
    without["tags"] = {"mine": "1"}
    postgres.run("elt", UPDATE_BODY, json.dumps(without), run.run_id)
    assert body(postgres, run.run_id)["tags"].items() >= {key: "given", "mine": "1"}.items()
    with pytest.raises(errors.InsufficientPrivilege):
        postgres.run("elt", "DELETE FROM run_tags WHERE key = %s", key)


@pytest.mark.parametrize("value", ["nonsense", "", None])
def test_a_reported_reason_is_one_that_the_daemon_can_read(
    postgres: Postgres, new_run: NewRun, value: str | None
) -> None:
    run_id = new_run("elt").run_id
    with pytest.raises(errors.InsufficientPrivilege):
        postgres.run("elt", ADD_TAG, run_id, "dagster/failure_reason", value)


def test_large_tags_and_runs(
    postgres: Postgres, dagster: DagsterInstance, elt: DagsterInstance, new_run: NewRun
) -> None:
    run = new_run("elt")
    said = r'tag "k" with its value is 3001 bytes; the limit is 2600 bytes. Fix: '
    with pytest.raises(Exception, match=said):
        elt.add_run_tags(run.run_id, {"k": "v" * 3000})
    with pytest.raises(psycopg2.DataError, match=said):
        postgres.run("elt", ADD_TAG, run.run_id, "k", "v" * 3000)
    # Asked for by a sensor, say: refused before anything of the run is written.
    with pytest.raises(Exception, match=said):
        new_run("elt", tags={"k": "v" * 3000})
    with pytest.raises(Exception, match="the run with its configuration is 5"):
        new_run("elt", run_config={"loggers": {"console": {"config": {"name": "x" * 5_000_000}}}})
    elt.add_run_tags(run.run_id, {"k": "v" * 2500})


@pytest.mark.parametrize("table", ["instigators", "job_ticks", "daemon_heartbeats"])
def test_what_is_the_control_plane_s_alone(postgres: Postgres, table: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        postgres.run("elt", f"SELECT 1 FROM {table}")


def test_cursors_are_not_seen_and_versions_of_state_are(postgres: Postgres) -> None:
    for key in ("a cursor", "__latest_defs_state_info__"):
        postgres.run("dagster", "INSERT INTO kvs (key, value) VALUES (%s, '')", key)
    try:
        seen = postgres.run("elt", "SELECT key FROM kvs")
        assert seen == [("__latest_defs_state_info__",)]
        with pytest.raises(errors.InsufficientPrivilege):
            postgres.run("elt", "UPDATE kvs SET value = 'x'")
    finally:
        postgres.run("dagster", "DELETE FROM kvs WHERE value = ''")


def test_backfills_of_others_are_not_seen(postgres: Postgres, new_run: NewRun) -> None:
    for key, location in (("theirs", "analytics"), ("ours", "elt")):
        postgres.run(
            "dagster",
            "INSERT INTO bulk_actions (key, status, timestamp, body) VALUES (%s, '', now(), '')",
            key,
        )
        new_run(location, tags={"dagster/backfill": key})
    assert postgres.run("elt", "SELECT key FROM bulk_actions") == [("ours",)]


def test_large_objects_cannot_be_made(postgres: Postgres) -> None:
    for call in ("lo_create(0)", "lo_creat(-1)", "lo_from_bytea(0, 'x')"):
        with pytest.raises(errors.InsufficientPrivilege):
            postgres.run("elt", f"SELECT {call}")


@pytest.mark.parametrize("name", ["postgres", "template1"])
def test_databases_without_business(postgres: Postgres, name: str) -> None:
    for role in ("elt", "dagster"):
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
            postgres.connect(role, name)


def test_rights_can_be_brought_up_to_date_again(
    postgres: Postgres, dagster: DagsterInstance, elt: DagsterInstance, new_run: NewRun
) -> None:
    """As a later release of the stack does it, with runs there that nobody had recorded."""
    run = new_run("elt")
    postgres.run("dagster", "DELETE FROM control.run_owner WHERE run_id = %s", run.run_id)
    assert elt.get_run_by_id(run.run_id) is None
    postgres.run("dagster", "COMMENT ON SCHEMA control IS 'of an earlier release'")
    database.grant_run_rights(postgres.server(), SQL)
    assert execute(elt, run) == 0
    ended = dagster.get_run_by_id(run.run_id)
    assert ended is not None and ended.status == DagsterRunStatus.SUCCESS
