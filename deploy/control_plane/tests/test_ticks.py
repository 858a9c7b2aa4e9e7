"""What schedules and sensors fail to do, and since when, from the webserver's answers."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dagster_graphql.schema import create_schema
from graphql import parse, validate
from rich.console import Console

from control_plane import graphql, query_cost, status_table, ticks
from control_plane.ticks import Bounds, Failure, Instigator, first_failure

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
GOOD = Instigator(
    kind="schedule",
    name="nightly",
    location="elt",
    repository="__repository__",
    running=True,
    runs_by_default=True,
    last_status="SUCCESS",
    last_tick=NOW - timedelta(hours=1),
    error=None,
    waiting_runs=(),
)


@pytest.mark.parametrize(
    "query",
    ["TICKS_QUERY", "LAST_GOOD_TICK_QUERY", "FAILED_TICKS_QUERY", "INSTANCE_QUERY"],
)
def test_the_installed_dagster_answers_and_the_limits_allow_each_query(query: str) -> None:
    schema = create_schema().graphql_schema
    document = parse(getattr(graphql, query))
    assert validate(schema, document) == []
    assert query_cost.refusal(schema, document) is None


def tick(**more: Any) -> dict[str, Any]:
    """As GraphQL gives one."""
    return {"status": "SUCCESS", "timestamp": NOW.timestamp(), "error": None, "runs": [], **more}


def answer(*found: dict[str, Any]) -> dict[str, Any]:
    """One location with a schedule and a sensor, which ticked as given."""
    state = {"status": "RUNNING", "ticks": list(found)}
    schedule = {"name": "nightly", "defaultStatus": "STOPPED", "scheduleState": state}
    sensor = {"name": "files", "defaultStatus": "RUNNING", "sensorState": state}
    repository = {"name": "r", "schedules": [schedule], "sensors": [sensor]}
    entries = [
        {"name": "elt", "locationOrLoadError": {"repositories": [repository]}},
        {"name": "broken", "locationOrLoadError": {}},
        {"name": "loads", "locationOrLoadError": None},
    ]
    return {"workspaceOrError": {"locationEntries": entries}}


def test_schedules_and_sensors_with_their_last_tick() -> None:
    error = {
        "message": "SensorExecutionError: Error occurred during the execution\n",
        "errorChain": [
            {"error": {"message": "ValueError: boom\nmore\n"}},
            {"error": {"message": "grpc._channel._InactiveRpcError: <...>\n"}},
        ],
    }
    schedule, sensor = ticks.parse(answer(tick(status="FAILURE", error=error)))
    assert (schedule.kind, schedule.name, schedule.location) == ("schedule", "nightly", "elt")
    assert (schedule.running, schedule.runs_by_default) == (True, False)
    assert (sensor.kind, sensor.runs_by_default, sensor.last_tick) == ("sensor", True, NOW)
    assert sensor.error == "ValueError: boom"
    assert ticks.parse(answer())[0].last_status is None
    assert ticks.parse({"workspaceOrError": {}}) == []


def test_what_is_wrong() -> None:
    def reason(**more: Any) -> str | None:
        return ticks.reason(replace(GOOD, **more), NOW)

    assert reason() is None
    assert reason(last_tick=None, last_status=None) is None
    assert reason(last_status="FAILURE", error="ValueError: boom") == "ValueError: boom"
    assert reason(last_status="FAILURE", running=False) is None
    # A tick that goes on: for an hour, and for a minute.
    assert reason(last_status="STARTED") == "its tick has not ended for 60 min"
    assert reason(last_status="STARTED", last_tick=NOW - timedelta(minutes=1)) is None


def test_a_scheduled_run_that_reached_no_queue() -> None:
    runs = [{"id": "1", "status": "SUCCESS"}, {"id": "2", "status": "NOT_STARTED"}]
    [schedule, _] = ticks.parse(answer(tick(runs=runs)))
    assert ticks.reason(schedule, NOW) == "its run 2 was created, but did not reach the queue"


class History:
    """Failed ticks of a week, and how much of it was asked for."""

    def __init__(self, *times: float) -> None:
        self.times = times
        self.asked: list[Bounds] = []
        self.given = 0

    def __call__(self, bounds: Bounds) -> list[float]:
        self.asked.append(bounds)
        found = [time for time in self.times if bounds[0] < time < bounds[1]]
        self.given += len(found)
        return found


@pytest.mark.parametrize("first", [1000.5, 1030.0, 1060.0, 1060.0005, 1240.0, 87_400.0])
def test_the_first_failure_after_a_good_tick(first: float) -> None:
    """Every 30 s from then on; few of 20,000 are read."""
    history = History(*(first + 30 * n for n in range(20_000)))
    assert first_failure(history, 1000.0, history.times[-1]) == first
    assert len(history.asked) < 15
    assert history.given <= 2 + (first - 1000) / 30 * 2


def test_the_first_failure_without_a_good_tick() -> None:
    times = [5000.0 + 30 * n for n in range(500)]
    assert first_failure(History(*times), None, times[-1]) == 5000.0
    # A schedule by day, of which retention has left three.
    times = [1e9 + 86_400 * n for n in range(3)]
    assert first_failure(History(*times), None, times[-1]) == 1e9
    # It is gone by now.
    assert first_failure(History(), 10.0, 500.0) == 500.0


def test_since_when_is_asked_of_the_webserver(monkeypatch: pytest.MonkeyPatch) -> None:
    last = NOW - timedelta(hours=1)
    asked: list[dict[str, Any]] = []

    def ask(_url: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        asked.append(variables)
        good = [{"timestamp": (NOW - timedelta(hours=5)).timestamp()}]
        failed = [{"timestamp": (NOW - timedelta(hours=4)).timestamp()}]
        inside = "after" in variables and variables["before"] > failed[0]["timestamp"]
        found = good if query == graphql.LAST_GOOD_TICK_QUERY else failed if inside else []
        return {"instigationStateOrError": {"ticks": found}}

    monkeypatch.setattr(ticks, "ask", ask)
    failing = replace(GOOD, last_status="FAILURE", last_tick=last, error="boom")
    [found] = ticks.failures("u", [GOOD, failing, replace(failing, running=False)], NOW)
    assert (found.since, found.last_tick, found.error) == (NOW - timedelta(hours=4), last, "boom")
    assert {one["selector"]["name"] for one in asked} == {"nightly"}


def test_the_line_in_the_status() -> None:
    since = datetime.now(UTC) - timedelta(hours=2, minutes=5)
    failure = Failure("sensor", "files", "elt", since, since, "KeyError: '[x]'")
    output = io.StringIO()
    status_table.show_failing(Console(file=output, width=160), [failure])
    assert (
        f"sensor files (elt) fails since {since:%Y-%m-%d %H:%M} UTC (2 h 05 min): KeyError: '[x]'"
        in (output.getvalue())
    )
