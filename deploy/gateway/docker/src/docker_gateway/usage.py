"""Memory and CPU of the stack's containers: numbers and names, put together here.

The engine's own answer has far more, and is passed on to nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from docker_gateway import labels
from docker_gateway.call import Answer, Call, Outcome
from docker_gateway.stack import Stack

# Questions to the engine at a time.
_AT_ONCE = 4


async def usage(stack: Stack, call: Call) -> Outcome:
    """Of each running container of this stack: id, kind, service, and what it uses now.

    ``memory`` and ``limit`` are in bytes, ``cpu`` is in seconds since its start. ``memory`` is what
    `docker stats` shows: without pages of files that the kernel can drop.
    """
    slots = asyncio.Semaphore(_AT_ONCE)

    async def row(container: Mapping[str, Any]) -> dict[str, Any] | None:
        async with slots:
            found = await stack.stats(container["Id"])
        return _row(stack.names, container, found) if found else None

    rows = await asyncio.gather(*(row(each) for each in await stack.running()))
    return Answer([each for each in rows if each is not None])


def _row(
    names: labels.Names, container: Mapping[str, Any], found: Mapping[str, Any]
) -> dict[str, Any] | None:
    memory = found.get("memory_stats") or {}
    if "usage" not in memory:
        return None  # It is about to end.
    details = memory.get("stats") or {}
    # Of cgroup v1, then of v2.
    droppable = details.get("total_inactive_file", details.get("inactive_file", 0))
    kind, service = _kind(names, container)
    return {
        "id": str(container["Id"])[:12],
        "kind": kind,
        "service": service,
        "memory": max(int(memory["usage"]) - int(droppable), 0),
        "limit": int(memory.get("limit", 0)),
        "cpu": found["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9,
    }


def _kind(names: labels.Names, container: Mapping[str, Any]) -> tuple[str, str]:
    own: Mapping[str, str] = container["Labels"]
    # A standby worker keeps its labels when it gets a run, but not its name.
    name = str(container["Names"][0]).removeprefix("/")
    for kind, pattern in (("run", names.run), ("standby", names.standby)):
        if pattern.fullmatch(name):
            return kind, own.get(labels.LOCATION, "")
    return "service", own.get(labels.COMPOSE_SERVICE, "")
