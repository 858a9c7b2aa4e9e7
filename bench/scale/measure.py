"""One configuration's figures, phase by phase."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import history
from cgroups import cpu_s
from cpu import engine_s, machine_s
from harness import until
from runs import launch
from scale_stack import ScaleStack
from usage import ENGINE, LOCATIONS, REST, STANDBY, Usage

# What else works on the machine may take so much of one core, or times are not measured but noise.
QUIET_CORE_SHARE = 0.1
_JOB = "trivial_job"
_CALLERS = 8


@dataclass(frozen=True)
class Load:
    """How many runs, in how many seconds, and then how many at once."""

    runs: int
    over_s: float
    burst: int
    idle_s: float


def measure(stack: ScaleStack, load: Load) -> dict[str, Any]:
    """All figures of a stack that is prepared and not yet started."""
    found: dict[str, Any] = {**asdict(stack.size), "load": asdict(load)}
    found["busy_before"] = _busy(10)
    for phase in (_start, _restart, _idle, _rate, _burst):
        found |= phase(stack, load)
        print(f"  {phase.__name__.strip('_')}: {json.dumps(found)}", file=sys.stderr, flush=True)
    noise = max(found["busy_before"], found["idle_others_cores"])
    found["quiet"] = noise <= QUIET_CORE_SHARE
    return found


def _busy(seconds: float) -> float:
    """Cores that are busy without the stack."""
    before = machine_s()
    time.sleep(seconds)
    return (machine_s() - before) / seconds


def _start(stack: ScaleStack, _load: Load) -> dict[str, Any]:
    """Everything at once; the CPU that it takes until all locations are shown."""
    engine, began = engine_s(), time.monotonic()
    stack.start()
    taken = time.monotonic() - began
    used = Usage.now(stack).cpu_s
    return {
        "start_s": taken,
        "start_cpu_s": {**used, ENGINE: used[ENGINE] - engine},
        "start_cpu_s_per_location": used[LOCATIONS] / stack.size.locations,
    }


def _restart(stack: ScaleStack, _load: Load) -> dict[str, Any]:
    """Webserver and daemon, alone, until each has loaded all locations; a reload; all assets."""
    stack.settle()
    found: dict[str, Any] = {}
    for service, is_loaded in (
        ("webserver", stack.all_are_loaded),
        ("daemon", stack.all_are_served_by_the_daemon),
    ):
        stack.run("docker", "restart", stack.container(service))
        began = time.monotonic()
        until(is_loaded, seconds=600, every=0.5)
        found[f"{service}_load_s"] = time.monotonic() - began
        found[f"{service}_load_cpu_s"] = cpu_s(_pid(stack, service))
    webserver = _pid(stack, "webserver")
    for name, ask in (("reload", stack.reload_workspace), ("assets", stack.list_assets)):
        before = cpu_s(webserver)
        found[f"{name}_s"] = ask()
        found[f"{name}_webserver_cpu_s"] = cpu_s(webserver) - before
    return found


def _idle(stack: ScaleStack, load: Load) -> dict[str, Any]:
    """CPU and memory of each part while nothing happens."""
    stack.settle()
    before = Usage.now(stack)
    with history.Highest(stack, every_s=load.idle_s / 2) as highest:
        time.sleep(load.idle_s)
    now = Usage.now(stack)
    seconds = load.idle_s
    cores = {part: used / seconds for part, used in now.since(before).items()}
    return {
        "idle_others_cores": cores.pop(REST),
        "idle_cpu_percent": {part: 100 * share for part, share in sorted(cores.items())},
        "memory_mib": {part: mib for part, mib in sorted(now.memory_mib.items())},
        "location_memory_mib": now.memory_mib[LOCATIONS] / stack.size.locations,
        "standby_memory_mib": now.memory_mib.get(STANDBY, 0.0)
        / max(1, stack.size.locations * stack.size.standby),
        "standby_start_cpu_s": before.cpu_s.get(STANDBY, 0.0)
        / max(1, stack.size.locations * stack.size.standby),
        "idle_connections": highest.found["connections"],
    }


def _rate(stack: ScaleStack, load: Load) -> dict[str, Any]:
    """Runs at a steady rate, each of another location, while every location ticks."""
    stack.start_schedules()
    began, size = time.monotonic(), history.size(stack)
    ids: list[str] = []

    def at_their_times() -> None:
        for number in range(load.runs):
            due = began + number * load.over_s / load.runs
            time.sleep(max(0.0, due - time.monotonic()))
            ids.append(_launch(stack, number))

    found = _runs(stack, at_their_times, ids)
    grown = history.size(stack) - size
    return {
        "rate": {**found, "database_bytes_per_run": grown / load.runs},
        **history.ticks(stack),
    }


def _burst(stack: ScaleStack, load: Load) -> dict[str, Any]:
    """Runs at once."""
    ids: list[str] = []

    def at_once() -> None:
        with ThreadPoolExecutor(_CALLERS) as callers:
            ids.extend(callers.map(lambda number: _launch(stack, number), range(load.burst)))

    return {"burst": _runs(stack, at_once, ids)}


def _runs(stack: ScaleStack, begin: Callable[[], None], ids: list[str]) -> dict[str, Any]:
    stack.settle()
    before = Usage.now(stack)

    def all_ended() -> None:
        assert history.unfinished(stack) == 0

    with history.Highest(stack) as highest:
        begin()
        until(all_ended, seconds=1800, every=2)
    used = Usage.now(stack).since(before)
    return {
        **history.runs(stack, ids),
        **highest.found,
        "cpu_s_per_run": {
            part: used[part] / len(ids) for part in ("postgres", "daemon", "webserver", "engine")
        },
    }


def _launch(stack: ScaleStack, number: int) -> str:
    names = stack.size.names
    return launch(stack, names[number % len(names)], _JOB).id


def _pid(stack: ScaleStack, service: str) -> int:
    return int(stack.inspect(stack.container(service))["State"]["Pid"])
