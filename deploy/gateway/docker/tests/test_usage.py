"""Memory and CPU of this stack's containers: numbers alone, for the exporter alone."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from engine_stand_in import EngineStandIn, refused
from shop import PROJECT, TICKET, VERSION, Caller

USAGE = f"{VERSION}/usage"


def stats(usage: int, **details: int) -> dict[str, Any]:
    """As the engine answers, with more than is passed on."""
    memory = {"usage": usage, "limit": 1000, "stats": details}
    cpu = {"cpu_usage": {"total_usage": 2_500_000_000}, "system_cpu_usage": 1}
    return {"memory_stats": memory, "cpu_stats": cpu, "name": "/secret", "networks": {"eth0": {}}}


def test_each_container_of_the_stack_and_no_other(
    exporter: Caller, engine: EngineStandIn, service: dict[str, Any], run: str
) -> None:
    engine.containers[service["Id"]]["stats"] = stats(500, total_inactive_file=100)
    engine.containers[run]["stats"] = stats(300, inactive_file=50)
    # A worker that waits; one that is gone between the two questions; one of another stack.
    standby, gone, other = (copy.deepcopy(engine.containers[run]) for _ in range(3))
    standby |= {"Id": "a" * 64, "Name": f"/{PROJECT}-standby-elt-{TICKET}", "stats": stats(7)}
    gone |= {"Id": "b" * 64, "Name": "/gone", "stats": None}
    other |= {"Id": "c" * 64, "Name": "/other", "stats": stats(9)}
    other["Config"]["Labels"]["compose_run_launcher.project"] = "another"
    for each in (standby, gone, other):
        engine.add(each)
    answer = exporter.ask("GET", USAGE)
    assert answer.status == 200
    row = {"limit": 1000, "cpu": 2.5, "service": "elt"}
    assert sorted(json.loads(answer.body), key=lambda each: str(each["kind"])) == [
        row | {"id": run[:12], "kind": "run", "memory": 250},
        row | {"id": service["Id"][:12], "kind": "service", "memory": 400},
        row | {"id": "a" * 12, "kind": "standby", "memory": 7},
    ]


@pytest.mark.parametrize("caller", ["daemon", "webserver", "rpc_networks"])
def test_others_do_not_read_it(
    request: pytest.FixtureRequest, engine: EngineStandIn, caller: str
) -> None:
    refused(engine, request.getfixturevalue(caller).ask("GET", USAGE))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/containers/json"),
        ("GET", f"/containers/{'e' * 64}/json"),
        ("GET", f"/containers/{'e' * 64}/stats?stream=false"),
        ("GET", "/usage?all=1"),
        ("GET", "/events"),
        ("POST", f"/containers/{'e' * 64}/stop"),
        ("POST", "/usage"),
    ],
)
def test_the_exporter_may_do_nothing_else(
    exporter: Caller, engine: EngineStandIn, run: str, method: str, path: str
) -> None:
    refused(engine, exporter.ask(method, VERSION + path))
