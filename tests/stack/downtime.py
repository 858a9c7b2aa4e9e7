"""Clients that notice when a location does not answer for a moment."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx

from harness import Stack, until
from runs import Run, runs_of

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
    """Launches a run again and again."""

    def __init__(self, launch: Callable[[], Run], every_s: float) -> None:
        super().__init__(daemon=True)
        self._launch = launch
        self._every_s = every_s
        self.over = threading.Event()
        self.runs: list[Run] = []
        self.failures: list[str] = []

    def run(self) -> None:
        while not self.over.wait(self._every_s):
            try:
                self.runs.append(self._launch())
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


@contextmanager
def no_call_fails(
    stack: Stack, switches: int, launch: Callable[[], Run], every_s: float = 10
) -> Iterator[None]:
    """Ship elt ``switches`` times meanwhile: no call fails, and each run that is launched succeeds.

    Each run is three seconds of CPU: more often, and on a busy machine they wait in the queue.
    """
    webserver, launches = Webserver(stack), Launches(launch, every_s)
    with grpc_client(stack) as counted:
        webserver.start()
        launches.start()
        try:
            yield
        finally:
            for thread in (launches, webserver):
                thread.over.set()
                thread.join()
    calls, failed, servers, analytics_servers = counted
    print(
        f"{switches} switches: {calls} gRPC calls, {webserver.calls} of the webserver,"
        f" {len(launches.runs)} launches"
    )
    assert failed == []
    assert webserver.failures == []
    assert launches.failures == []
    assert servers == switches + 1
    assert analytics_servers == 1
    for run in launches.runs:
        run.wait(seconds=120)


def ticks(stack: Stack) -> list[dict[str, Any]]:
    """The minutely schedule's ticks, newest first."""
    found = stack.ask(_TICKS)["scheduleOrError"]["scheduleState"]["ticks"]
    return list(found)


def await_ticks(stack: Stack, since: float) -> None:
    """Wait for the first tick after ``since``.

    The scheduler looks at each full minute. What it meets for the first time, or again, has its
    next tick at the one after: up to two minutes later.
    """

    def ticked() -> None:
        assert any(tick["timestamp"] > since for tick in ticks(stack)), "no tick yet"

    until(ticked, seconds=150, every=1)


def check_ticks(stack: Stack, since: float) -> None:
    """From the first tick after ``since`` until now, each minute has one tick, and each one run."""
    last = _minute(time.time())

    def of_each_minute() -> list[dict[str, Any]]:
        found = [tick for tick in ticks(stack) if tick["timestamp"] > since]
        assert last in {_minute(tick["timestamp"]) for tick in found}
        return found

    # The tick of a minute that has begun comes within seconds.
    found = until(of_each_minute, seconds=60, every=1)
    minutes = sorted(_minute(tick["timestamp"]) for tick in found)
    assert minutes == list(range(minutes[0], minutes[-1] + 1))
    assert {tick["status"] for tick in found} <= {"SUCCESS"}, found
    assert {len(tick["runIds"]) for tick in found} <= {1}
    of_ticks = {run_id for tick in ticks(stack) for run_id in tick["runIds"]}
    scheduled = [
        run.id
        for run in runs_of(stack, "release_job")
        if run.tags.get("dagster/schedule_name") == "minutely_schedule"
    ]
    assert len(scheduled) == len(set(scheduled)) and set(scheduled) <= of_ticks


def _minute(seconds: float) -> int:
    return int(seconds // 60)
