"""A run worker with its location's role can do all that it does, in every kind of job."""

from __future__ import annotations

import json
from typing import Any

import dagster as dg
import pytest
from conftest import NewRun, Postgres, execute
from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus


@pytest.mark.parametrize("job", ["plain", "retrying", "pooled", "mapped", "instance_user"])
def test_jobs_succeed(
    dagster: DagsterInstance, elt: DagsterInstance, new_run: NewRun, job: str
) -> None:
    run = new_run("elt", job, tags={"team": "a"})
    assert execute(elt, run) == 0
    ended = dagster.get_run_record_by_id(run.run_id)
    assert ended is not None
    assert ended.dagster_run.status == DagsterRunStatus.SUCCESS
    assert ended.start_time is not None and ended.end_time is not None
    assert ended.end_time >= ended.start_time
    # Nothing of it is lost by being rebuilt.
    assert ended.dagster_run.with_tags({}) == run.with_status(DagsterRunStatus.SUCCESS).with_tags(
        {}
    )
    assert ended.dagster_run.tags.items() >= run.tags.items()


def test_a_failure_is_reported_with_its_reason(
    dagster: DagsterInstance, elt: DagsterInstance, new_run: NewRun
) -> None:
    run = new_run("elt", "failing")
    assert execute(elt, run) == 1
    ended = dagster.get_run_by_id(run.run_id)
    assert ended is not None and ended.status == DagsterRunStatus.FAILURE
    assert ended.tags["dagster/failure_reason"] == "STEP_FAILURE"
    assert ended.tags["dagster/will_retry"] == "true"


def test_assets_checks_and_data_versions(
    dagster: DagsterInstance, elt: DagsterInstance, analytics: DagsterInstance, new_run: NewRun
) -> None:
    run = new_run("elt", "assets_job")
    assert execute(elt, run) == 0
    orders = dg.AssetKey("orders")
    for reader in (dagster, elt, analytics):
        # Lineage is read by all locations.
        event = reader.get_latest_materialization_event(orders)
        assert event is not None and event.run_id == run.run_id
        (record,) = reader.get_asset_records([orders])
        assert record.asset_entry.last_run_id == run.run_id
        assert record.asset_entry.last_materialization == event
        check = dg.AssetCheckKey(orders, "not_empty")
        found = reader.event_log_storage.get_latest_asset_check_execution_by_key([check])[check]
        assert found.event is not None
        assert found.event.run_id == run.run_id
        assert reader.get_latest_data_version_record(dg.AssetKey("report")) is not None


def test_partitions(dagster: DagsterInstance, elt: DagsterInstance, new_run: NewRun) -> None:
    run = new_run("elt", "parts_job", tags={"dagster/partition": "a"})
    assert execute(elt, run) == 0
    assert dagster.get_materialized_partitions(dg.AssetKey("parts")) == {"a"}
    record = dagster.get_run_record_by_id(run.run_id)
    assert record is not None and record.dagster_run.tags["dagster/partition"] == "a"


def test_user_code_and_the_instance(
    dagster: DagsterInstance, elt: DagsterInstance, new_run: NewRun
) -> None:
    run = new_run("elt", "instance_user")
    assert execute(elt, run) == 0
    ended = dagster.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.tags["rows"] == "13" and ended.tags["note"] == "ünï"
    found = dagster.get_runs(dg.RunsFilter(tags={"rows": "13"}))
    assert run.run_id in [each.run_id for each in found]
    assert list(dagster.get_dynamic_partitions("regions")) == ["north"]
    assert dagster.fetch_observations(dg.AssetKey("seen"), limit=1).records
    messages = [entry.user_message for entry in dagster.all_logs(run.run_id)]
    assert any("half of one" in message for message in messages)
    numbers = dagster.get_latest_materialization_event(dg.AssetKey("numbers"))
    assert numbers is not None and numbers.asset_materialization is not None
    assert numbers.asset_materialization.metadata["most"].value == float("inf")
    (record,) = dagster.get_asset_records([dg.AssetKey("numbers")])
    assert record.asset_entry.last_materialization_record is not None


def test_pools_get_the_default_limit_and_are_free_afterwards(
    postgres: Postgres, dagster: DagsterInstance, elt: DagsterInstance, new_run: NewRun
) -> None:
    assert execute(elt, new_run("elt", "pooled")) == 0
    for name in ("root_pool", "second_pool"):
        info = dagster.event_log_storage.get_concurrency_info(name)
        assert (info.limit, info.slot_count) == (1, 1)
        assert not info.claimed_slots and not info.pending_steps


def test_a_slot_goes_from_one_location_to_the_other(
    dagster: DagsterInstance, elt: DagsterInstance, analytics: DagsterInstance, new_run: NewRun
) -> None:
    dagster.event_log_storage.set_concurrency_slots("shared", 1)
    mine, theirs = new_run("elt").run_id, new_run("analytics").run_id
    of_elt, of_analytics = elt.event_log_storage, analytics.event_log_storage
    assert of_elt.claim_concurrency_slot("shared", mine, "step").is_claimed
    assert not of_analytics.claim_concurrency_slot("shared", theirs, "step").is_claimed
    of_elt.free_concurrency_slot_for_step(mine, "step")
    assert of_analytics.claim_concurrency_slot("shared", theirs, "step").is_claimed
    of_analytics.free_concurrency_slots_for_run(theirs)
    assert not dagster.event_log_storage.get_concurrency_info("shared").claimed_slots


def test_a_run_that_is_canceled_while_it_starts_stays_canceling(
    dagster: DagsterInstance, elt: DagsterInstance, new_run: NewRun
) -> None:
    run = new_run("elt")
    dagster.report_run_canceling(run)
    elt.run_storage.handle_run_event(run.run_id, _event(DagsterEventType.RUN_START))
    assert _status(dagster, run.run_id) == DagsterRunStatus.CANCELING
    elt.report_run_canceled(run)
    assert _status(dagster, run.run_id) == DagsterRunStatus.CANCELED


def test_a_tag_that_the_control_plane_adds_meanwhile_is_kept(
    postgres: Postgres, dagster: DagsterInstance, new_run: NewRun
) -> None:
    run = new_run("elt")
    ((body,),) = postgres.run("elt", "SELECT run_body FROM runs WHERE run_id = %s", run.run_id)
    dagster.add_run_tags(run.run_id, {"docker/container_id": "abc"})
    statement = "UPDATE runs SET run_body = %s, status = 'STARTED' WHERE run_id = %s"
    assert postgres.run("elt", statement, body, run.run_id) == [(1,)]
    after = dagster.get_run_by_id(run.run_id)
    assert after is not None and after.tags["docker/container_id"] == "abc"


TAG = '"quoted" \\ and\nlines, NaN and Infinity'


def test_run_configuration_keeps_its_text(
    postgres: Postgres, dagster: DagsterInstance, elt: DagsterInstance, new_run: NewRun
) -> None:
    config: dict[str, Any] = {
        "loggers": {"console": {"config": {"name": "é\u0000\U0001f600 Infinity"}}}
    }
    run = new_run("elt", run_config=config, tags={"a": TAG})
    assert execute(elt, run) == 0
    after = dagster.get_run_by_id(run.run_id)
    assert after is not None and after.run_config == config
    assert after.tags["a"] == TAG
    ((body,),) = postgres.run("dagster", "SELECT run_body FROM runs WHERE run_id = %s", run.run_id)
    assert json.loads(body)["status"] == {"__enum__": "PipelineRunStatus.SUCCESS"}


def _event(kind: DagsterEventType) -> Any:
    from dagster._core.events import DagsterEvent

    return DagsterEvent(kind.value, "plain")


def _status(instance: DagsterInstance, run_id: str) -> DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status
