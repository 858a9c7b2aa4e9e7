"""Ticks launch what their own repository defines, and nothing of another location's."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from compose_run_launcher.belongs import REQUESTED_BY_TAG
from dagster import AssetKey, AssetMaterialization, DagsterInstance, RunRequest
from dagster._core.definitions.asset_key import AssetJobKey
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.definitions.schedule_definition import ScheduleExecutionData
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.remote_representation.code_location import InProcessCodeLocation
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus
from dagster._core.test_utils import (
    InProcessTestWorkspaceLoadTarget,
    create_test_daemon_workspace_context,
    instance_for_test,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._daemon.asset_daemon import AssetDaemon
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._scheduler import scheduler

from control_plane import own_requests
from control_plane.internals import ticks
from control_plane.own_requests import (
    RESERVED_TAGS,
    ForeignRequest,
    checked,
    keep_requests_in_their_repository,
    marked,
)

CODE = """
import dagster as dg

@dg.asset
def {0}_table(): ...

@dg.asset(deps=["{1}_table"])
def after_{1}(): ...

{0}_job = dg.define_asset_job("{0}_job", selection=[{0}_table])

@dg.sensor(job={0}_job, default_status=dg.DefaultSensorStatus.{2})
def {0}_sensor():
    return dg.RunRequest(tags={{"team": "{0}", "dagster/image": "other", "dagster/backfill": "x"}})

@dg.asset(deps=["{1}_table"], automation_condition=dg.AutomationCondition.missing())
def due_in_{0}(): ...

automation = dg.AutomationConditionSensorDefinition(
    "automation",
    target="*",
    default_status=dg.DefaultSensorStatus.{2},
    run_tags={{"dagster/image": "x"}},
)

defs = dg.Definitions(
    assets=[{0}_table, after_{1}, due_in_{0}],
    jobs=[{0}_job],
    sensors=[{0}_sensor, automation],
)
"""

Context = IWorkspaceProcessContext[Any]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """A workspace of two locations; a sensor of elt is on."""
    folder: Path = tmp_path_factory.mktemp("code")
    origins = []
    # The one that is attacked comes first, as it would in the worst case.
    for name, other, status in (("analytics", "elt", "STOPPED"), ("elt", "analytics", "RUNNING")):
        file = folder / f"{name}_code.py"
        file.write_text(CODE.format(name, other, status))
        target = LoadableTargetOrigin(executable_path=sys.executable, python_file=str(file))
        origins.append(InProcessCodeLocationOrigin(target, location_name=name))
    overrides = {
        "run_launcher": {"module": "dagster._core.test_utils", "class": "MockedRunLauncher"}
    }
    with (
        instance_for_test(overrides=overrides) as instance,
        create_test_daemon_workspace_context(
            InProcessTestWorkspaceLoadTarget(origins), instance
        ) as context,
    ):
        yield context


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick at once, and not half a minute after the last one."""
    monkeypatch.setattr("dagster._daemon.sensor.is_under_min_interval", lambda *_: False)


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the daemon; undone afterwards."""
    for place, name in ticks.PLACES:
        monkeypatch.setattr(place, name, getattr(place, name))
    keep_requests_in_their_repository()


def request_backfill_of(*names: str, **more: Any) -> RunRequest:
    keys = {AssetKey(name) for name in names}
    return RunRequest(asset_graph_subset=AssetGraphSubset(non_partitioned_asset_keys=keys), **more)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets elt's server answer a tick with anything, as a server that was changed can."""

    def answers(**data: Any) -> None:
        def hostile(*_: Any, **__: Any) -> SensorExecutionData:
            return SensorExecutionData(**data)

        monkeypatch.setattr(InProcessCodeLocation, "get_sensor_execution_data", hostile)

    return answers


def tick(context: Context) -> InstigatorTick:
    """One round of the sensor daemon; the tick that it made."""
    list(execute_sensor_iteration(context, logging.getLogger("test"), None, None))
    location = context.create_request_context().get_code_location("elt")
    sensor = location.get_repository("__repository__").get_sensor("elt_sensor")
    (made,) = context.instance.get_ticks(sensor.get_remote_origin_id(), sensor.selector_id, limit=1)
    return made


def launched(instance: DagsterInstance) -> set[str]:
    runs = {run.run_id for run in instance.get_runs()}
    return runs | {backfill.backfill_id for backfill in instance.get_backfills()}


def test_the_attack_works_without_the_guard(context: Context, answer: Any) -> None:
    before = launched(context.instance)
    answer(run_requests=[request_backfill_of("analytics_table", run_config={"any": "thing"})])
    assert tick(context).status == TickStatus.SUCCESS
    assert len(launched(context.instance) - before) == 1


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({"run_requests": [request_backfill_of("analytics_table")]}, "asset analytics_table"),
        (
            {"run_requests": [request_backfill_of("elt_table", "analytics_table")]},
            "asset analytics_table",
        ),
        ({"run_requests": [request_backfill_of("no_such_table")]}, "which no location has"),
        ({"run_requests": [RunRequest(), request_backfill_of("after_elt")]}, "asset after_elt"),
        ({"run_requests": [RunRequest(job_name="analytics_job")]}, "job analytics_job"),
        (
            {"run_requests": [RunRequest(asset_selection=[AssetKey("analytics_table")])]},
            "asset analytics_table",
        ),
        ({"asset_events": [AssetMaterialization("analytics_table")]}, "asset analytics_table"),
    ],
)
def test_what_is_anothers_fails_the_tick(
    context: Context, answer: Any, guarded: None, data: dict[str, Any], named: str
) -> None:
    instance = context.instance
    before = launched(instance)
    answer(**data)
    made = tick(context)
    assert made.status == TickStatus.FAILURE
    assert made.error is not None
    assert "ForeignRequest: elt_sensor of location elt asked for" in made.error.message
    assert named in made.error.message
    assert launched(instance) == before
    assert instance.get_latest_materialization_event(AssetKey("analytics_table")) is None


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (RunRequest(tags={"k": "v" * 6000}), 'tag "k" with its value is 6001 bytes'),
        (RunRequest(run_config={"k": "v" * 5_000_000}), "the run configuration is 5000009 bytes"),
        (request_backfill_of("elt_table", tags={"k": "\ud800"}), r"""tag "k" contains '\ud800'"""),
    ],
)
def test_what_the_database_cannot_hold_fails_the_tick(
    context: Context, answer: Any, guarded: None, request_: RunRequest, said: str
) -> None:
    """Before anything of it is launched: the next tick asks for all of it again."""
    before = launched(context.instance)
    answer(run_requests=[RunRequest(), request_])
    made = tick(context)
    assert made.status == TickStatus.FAILURE
    assert made.error is not None
    assert f"elt_sensor of location elt asked for a run: {said}" in made.error.message
    assert launched(context.instance) == before


def test_an_honest_sensor_goes_on(context: Context, guarded: None) -> None:
    """It may not set what the control plane writes, which is left out."""
    before = launched(context.instance)
    made = tick(context)
    assert made.status == TickStatus.SUCCESS, made.error
    (run_id,) = launched(context.instance) - before
    run = context.instance.get_run_by_id(run_id)
    assert run is not None
    assert (run.job_name, run.tags["team"]) == ("elt_job", "elt")
    assert RESERVED_TAGS & set(run.tags) == {REQUESTED_BY_TAG}
    assert run.tags[REQUESTED_BY_TAG] == "elt"


def test_an_honest_backfill_goes_on(context: Context, answer: Any, guarded: None) -> None:
    before = launched(context.instance)
    events = [AssetMaterialization("elt_table"), AssetMaterialization("of_nobody")]
    answer(
        run_requests=[request_backfill_of("elt_table", "after_analytics", tags={"team": "elt"})],
        asset_events=events,
    )
    assert tick(context).status == TickStatus.SUCCESS
    (backfill_id,) = launched(context.instance) - before
    backfill = context.instance.get_backfill(backfill_id)
    assert backfill is not None
    assert backfill.tags["team"] == "elt"
    assert backfill.tags[REQUESTED_BY_TAG] == "elt"


def test_an_own_key_in_a_run_of_ones_own_job_is_ones_own(context: Context) -> None:
    """An asset that is observed by one location and made by another is in both."""
    workspace = context.create_request_context()
    location = workspace.get_code_location("elt")
    handle = location.get_repository("__repository__").handle
    data = SensorExecutionData(run_requests=[RunRequest(asset_selection=[AssetKey("elt_table")])])

    def nobody_asks() -> Any:
        raise AssertionError("the workspace was asked")

    (request,) = checked(data, "sensor", handle, location, nobody_asks).run_requests
    assert request.asset_selection == [AssetKey("elt_table")]


def test_schedules_are_checked_in_the_same_way(
    context: Context, guarded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [RunRequest(tags={"dagster/image": "x"})]

    def answers(*_: Any, **__: Any) -> ScheduleExecutionData:
        return ScheduleExecutionData(run_requests=requests)

    monkeypatch.setattr(InProcessCodeLocation, "get_schedule_execution_data", answers)
    handle = (
        context.create_request_context()
        .get_code_location("elt")
        .get_repository("__repository__")
        .handle
    )
    origin = SimpleNamespace(
        repository_origin=SimpleNamespace(code_location_origin=SimpleNamespace(location_name="elt"))
    )
    schedule: Any = SimpleNamespace(get_remote_origin=lambda: origin)
    location: Any = scheduler._get_code_location_for_schedule(context, schedule)
    named = {"repository_handle": handle, "schedule_name": "nightly"}
    (own,) = location.get_schedule_execution_data(**named).run_requests
    assert own.tags == {REQUESTED_BY_TAG: "elt"}
    requests.append(RunRequest(asset_selection=[AssetKey("analytics_table")]))
    with pytest.raises(ForeignRequest, match="nightly of location elt asked for asset analytics"):
        location.get_schedule_execution_data(**named)


def test_honest_automation_goes_on(context: Context, guarded: None) -> None:
    instance = context.instance
    before = launched(instance)
    settings = instance.get_auto_materialize_settings()
    daemon = AssetDaemon(settings=settings, pre_sensor_interval_seconds=30)
    daemon._run_iteration_impl(context, None, {}, {})
    (run_id,) = launched(instance) - before
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.asset_selection == {AssetKey("due_in_elt")}
    assert RESERVED_TAGS & set(run.tags) == {REQUESTED_BY_TAG}
    assert run.tags[REQUESTED_BY_TAG] == "elt"


def test_automation_of_anothers_job(context: Context) -> None:
    """The names of jobs that automation launches come from the sensor's own metadata."""
    workspace = context.create_request_context()
    own = workspace.get_code_location("elt").get_repository("__repository__").handle
    graph = workspace.asset_graph
    request = RunRequest(job_name="analytics_job")
    assert own_requests._automated_keys(request) == [AssetJobKey("analytics_job")]
    with pytest.raises(ForeignRequest, match="asked for job analytics_job"):
        own_requests._check_keys("sensor", own, graph, [AssetJobKey("analytics_job")])
    mixed = request_backfill_of("elt_table", "analytics_table")
    with pytest.raises(ForeignRequest, match="asset analytics_table, which location analytics has"):
        own_requests._check_keys("sensor", own, graph, own_requests._automated_keys(mixed))


def test_reserved_tags() -> None:
    tags = dict.fromkeys(RESERVED_TAGS, "x") | {"docker/memory": "1g", "dagster/priority": "3"}
    assert marked(RunRequest(tags=tags), "elt").tags == {
        "docker/memory": "1g",
        "dagster/priority": "3",
        REQUESTED_BY_TAG: "elt",
    }
