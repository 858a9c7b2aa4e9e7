"""Events, assets and pools: what code of one location tries with its role, and cannot do."""

from __future__ import annotations

import dagster as dg
import psycopg2
import pytest
from conftest import ADD_EVENT, NewRun, Postgres, event, execute
from dagster import DagsterInstance
from psycopg2 import errors


def test_events_that_cannot_be_read(postgres: Postgres, new_run: NewRun) -> None:
    run_id = new_run("elt").run_id
    for bad in (
        "",
        "{",
        "{}",
        event("another run"),
        event(run_id, dagster_event={"event_type_value": "RUN_SUCCESS"}),
    ):
        with pytest.raises(psycopg2.DataError, match="is not a serialized Dagster event"):
            postgres.run("elt", ADD_EVENT, run_id, bad, None)
    assert postgres.run("elt", ADD_EVENT, run_id, event(run_id), None)
    with pytest.raises(errors.InsufficientPrivilege):
        postgres.run(
            "elt", "INSERT INTO event_logs (id, run_id, event) VALUES (9e15, %s, '')", run_id
        )


def test_large_events_end_the_event_and_not_the_web_server(
    postgres: Postgres, dagster: DagsterInstance, new_run: NewRun
) -> None:
    run_id = new_run("elt").run_id
    kind = "ENGINE_EVENT"
    large = event(run_id, dagster_event={"event_type_value": kind}, user_message="x" * 3_000_000)
    with pytest.raises(
        psycopg2.DataError,
        match=rf"run {run_id}: event {kind} is 30\d+ bytes; the limit is 2097152 bytes. Fix: ",
    ):
        postgres.run("elt", ADD_EVENT, run_id, large, kind)
    # A log message is replaced, and the run goes on.
    postgres.run("elt", ADD_EVENT, run_id, event(run_id, user_message="x" * 3_000_000), None)
    message = dagster.all_logs(run_id)[-1].user_message
    assert "A log message of 30" in message and "left out" in message
    many = event(run_id, user_message="x" * 2_000_000)
    with pytest.raises(psycopg2.DataError, match="its events of more than 65536 bytes is"):
        for _ in range(40):
            postgres.run("elt", ADD_EVENT, run_id, many, None)


def test_assets_say_what_their_events_say(
    postgres: Postgres, dagster: DagsterInstance, analytics: DagsterInstance, new_run: NewRun
) -> None:
    run = new_run("analytics", "assets_job")
    assert execute(analytics, run) == 0
    orders = dg.AssetKey("orders")
    for assignment in ("wipe_timestamp = now()", "asset_details = 'x'", "asset_key = 'x'"):
        with pytest.raises(errors.InsufficientPrivilege):
            postgres.run("elt", f"UPDATE asset_keys SET {assignment}")
    postgres.run(
        "elt",
        "UPDATE asset_keys SET last_materialization = 'poison', last_run_id = 'x',"
        " cached_status_data = 'poison', last_materialization_timestamp = '1999-01-01'",
    )
    (record,) = dagster.get_asset_records([orders])
    assert record.asset_entry.last_run_id == run.run_id
    assert record.asset_entry.last_materialization_record is not None
    assert record.asset_entry.last_materialization_record.run_id == run.run_id
    for key in ("poison", "[", "[1]", "[]", '{"a": 1}'):
        with pytest.raises(psycopg2.DataError, match="is not a JSON list of strings"):
            postgres.run("elt", "INSERT INTO asset_keys (asset_key) VALUES (%s)", key)
    changed = "UPDATE asset_check_executions SET evaluation_event = 'poison' WHERE run_id = %s"
    assert postgres.run("elt", changed, run.run_id) == [(0,)]
    elsewhere = changed.replace("SET", "SET evaluation_event_storage_id = 1,")
    with pytest.raises(errors.InsufficientPrivilege, match="no event of this run evaluates"):
        postgres.run("analytics", elsewhere, run.run_id)


def test_pools_keep_their_limits_and_slots(
    postgres: Postgres, dagster: DagsterInstance, analytics: DagsterInstance, new_run: NewRun
) -> None:
    storage = dagster.event_log_storage
    storage.set_concurrency_slots("guarded", 2)
    theirs, mine = new_run("analytics").run_id, new_run("elt").run_id
    claimed = analytics.event_log_storage.claim_concurrency_slot("guarded", theirs, "step")
    assert claimed.is_claimed
    postgres.run("elt", 'UPDATE concurrency_limits SET "limit" = 0')
    postgres.run("elt", "UPDATE concurrency_slots SET deleted = true")
    with pytest.raises(errors.InsufficientPrivilege, match="limit of pool mine cannot be set"):
        add = 'INSERT INTO concurrency_limits (concurrency_key, "limit") VALUES (%s, 0)'
        postgres.run("elt", add, "mine")
    postgres.run("elt", "DELETE FROM concurrency_slots")
    postgres.run(
        "elt",
        "INSERT INTO concurrency_slots (concurrency_key, deleted)"
        " SELECT 'guarded', false FROM generate_series(1, 9)",
    )
    claim = "UPDATE concurrency_slots SET run_id = %s, step_key = 's' WHERE concurrency_key = %s"
    for run_id in (theirs, mine):
        with pytest.raises(errors.InsufficientPrivilege):
            postgres.run("elt", claim, run_id, "guarded")
    with pytest.raises(errors.InsufficientPrivilege):
        postgres.run("elt", "UPDATE concurrency_slots SET step_key = 'nobody'")
    assert postgres.run("elt", "DELETE FROM pending_steps WHERE run_id = %s", theirs) == [(0,)]
    postgres.run("elt", "UPDATE pending_steps SET assigned_timestamp = NULL")
    info = storage.get_concurrency_info("guarded")
    assert (info.limit, info.slot_count) == (2, 2)
    assert [slot.run_id for slot in info.claimed_slots] == [theirs]
    assert [step.run_id for step in info.pending_steps if step.assigned_timestamp] == [theirs]
    analytics.event_log_storage.free_concurrency_slots_for_run(theirs)


def test_a_step_cannot_keep_a_slot_that_nobody_would_free(
    postgres: Postgres, dagster: DagsterInstance, elt: DagsterInstance, new_run: NewRun
) -> None:
    dagster.event_log_storage.set_concurrency_slots("kept", 1)
    run_id = new_run("elt").run_id
    assert elt.event_log_storage.claim_concurrency_slot("kept", run_id, "step").is_claimed
    assert postgres.run("elt", "DELETE FROM pending_steps WHERE run_id = %s", run_id) == [(0,)]
    assert run_id in dagster.event_log_storage.get_concurrency_run_ids()
    elt.event_log_storage.free_concurrency_slots_for_run(run_id)
    assert run_id not in dagster.event_log_storage.get_concurrency_run_ids()
