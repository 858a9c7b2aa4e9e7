"""At no instant does a location not answer while it is shipped."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx

from harness import FULL, Stack, until
from releases import JOB, deploy, write
from runs import Run, launch, runs_of

DEPLOYS = 20 if FULL else 2
# Each run is three seconds of CPU: more often, and on a busy machine they only wait in the queue.
LAUNCH_EVERY_S = 5 if FULL else 10

# Each call on a channel of its own, as webserver and daemon make them.
_GRPC_CLIENT = """
import collections, json, select, sys, time
from dagster._grpc.client import DagsterGrpcClient

elt, analytics = (DagsterGrpcClient(host=host, port=4000) for host in ("elt", "analytics"))
calls, failures, ids, others = 0, [], collections.Counter(), set()
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0.05)[0]:
    calls += 1
    try:
        ids[elt.get_server_id(timeout=3)] += 1
        others.add(analytics.get_server_id(timeout=3))
    except Exception as error:
        failures.append(f"{time.time()} {error!r} {error.__cause__!r}"[:600])
print(json.dumps([calls, failures, len(ids), len(others)]))
"""

_LOCATION = """{ workspaceLocationEntryOrError(name: "elt") { ... on WorkspaceLocationEntry {
  locationOrLoadError { __typename ... on RepositoryLocation { repositories { name } } } } } }"""

_TICKS = """{ scheduleOrError(scheduleSelector: {repositoryLocationName: "elt",
  repositoryName: "__repository__", scheduleName: "minutely_schedule"}) { ... on Schedule {
  scheduleState { ticks(limit: 100) { status timestamp runIds error { message } } } } } }"""


_SCHEDULES = """{ schedulesOrError(repositorySelector: {repositoryLocationName: "elt",
  repositoryName: "__repository__"}) { ... on Schedules { results { name } } } }"""


class Webserver(threading.Thread):
    """Asks the webserver for elt five times a second."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(daemon=True)
        self._stack = stack
        self.over = threading.Event()
        self.calls = 0
        self.failures: list[str] = []

    def run(self) -> None:
        while not self.over.wait(0.2):
            self.calls += 1
            try:
                entry = self._stack.ask(_LOCATION)["workspaceLocationEntryOrError"]
                assert entry["locationOrLoadError"]["repositories"], entry
            except (AssertionError, KeyError, TypeError, httpx.HTTPError) as error:
                self.failures.append(f"{datetime.now(UTC)} {error!r}")


class Launches(threading.Thread):
    """Launches a run every LAUNCH_EVERY_S."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(daemon=True)
        self._stack = stack
        self.over = threading.Event()
        self.runs: list[Run] = []
        self.failures: list[str] = []

    def run(self) -> None:
        while not self.over.wait(LAUNCH_EVERY_S):
            try:
                self.runs.append(launch(self._stack, "elt", "release_job"))
            except (AssertionError, httpx.HTTPError) as error:
                self.failures.append(f"{datetime.now(UTC)} {error!r}")


@contextmanager
def grpc_client(stack: Stack) -> Iterator[list[Any]]:
    """Calls elt and analytics 20 times a second; afterwards filled with what it counted."""
    process = subprocess.Popen(
        ["docker", "compose", "exec", "-T", "daemon", "python", "-c", _GRPC_CLIENT],
        cwd=stack.folder,
        env=stack.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    counted: list[Any] = []
    try:
        yield counted
    finally:
        text, _ = process.communicate("stop\n")
        counted.extend(json.loads(text.splitlines()[-1]))


def ticks(stack: Stack) -> list[dict[str, Any]]:
    """The minutely schedule's ticks, newest first."""
    found = stack.ask(_TICKS)["scheduleOrError"]["scheduleState"]["ticks"]
    return list(found)


def minute(seconds: float) -> int:
    return int(seconds // 60)


def test_no_call_fails_and_no_tick_is_lost(stack: Stack) -> None:
    schedules = stack.ask(_SCHEDULES)["schedulesOrError"]["results"]
    since = 0.0
    if "minutely_schedule" not in [each["name"] for each in schedules]:
        write(stack, JOB.format(marker="0"))
        deploy(stack)
        since = time.time()
    # The scheduler looks at each full minute. What it meets for the first time, or again, has its
    # next tick at the one after: up to two minutes from now, and the time that a tick takes.
    until(lambda: _has_since(since, ticks(stack)), seconds=150, every=1)
    began = minute(time.time())

    webserver, launches = Webserver(stack), Launches(stack)
    with grpc_client(stack) as counted:
        webserver.start()
        launches.start()
        for number in range(1, DEPLOYS):
            write(stack, JOB.format(marker=str(number)))
            assert deploy(stack)["went_live"]
        stack.run("make", "rollback", "LOCATION=elt")
        launches.over.set()
        webserver.over.set()
        launches.join()
        webserver.join()
    # The tick of a minute that had begun comes within seconds of its end.
    ended = minute(time.time())
    until(lambda: _ticked(stack, ended + 1), seconds=90, every=1)
    calls, failed, servers, analytics_servers = counted
    print(
        f"{DEPLOYS} switches, the last one back: {calls} gRPC calls,"
        f" {webserver.calls} of the webserver, {len(launches.runs)} launches"
    )
    assert failed == []
    assert webserver.failures == []
    assert launches.failures == []
    assert servers == DEPLOYS + 1
    assert analytics_servers == 1
    for run in launches.runs:
        run.wait(seconds=120)
    _check_ticks(stack, began, ended)


def _has_since(since: float, found: list[dict[str, Any]]) -> None:
    assert any(tick["timestamp"] > since for tick in found), "no tick yet"


def _ticked(stack: Stack, wanted: int) -> None:
    assert wanted in {minute(tick["timestamp"]) for tick in ticks(stack)}


def _check_ticks(stack: Stack, began: int, ended: int) -> None:
    """Each minute has one tick, and each tick one run."""
    found = [tick for tick in ticks(stack) if began < minute(tick["timestamp"]) <= ended]
    assert sorted(minute(tick["timestamp"]) for tick in found) == list(range(began + 1, ended + 1))
    assert {tick["status"] for tick in found} <= {"SUCCESS"}, found
    assert {len(tick["runIds"]) for tick in found} <= {1}
    of_ticks = {run_id for tick in ticks(stack) for run_id in tick["runIds"]}
    scheduled = [
        run.id
        for run in runs_of(stack, "release_job")
        if run.tags.get("dagster/schedule_name") == "minutely_schedule"
    ]
    assert len(scheduled) == len(set(scheduled)) and set(scheduled) <= of_ticks
