"""Changes of a run's limits."""

from __future__ import annotations

import json
from typing import Any

import pytest
from engine_stand_in import EngineStandIn, refused
from shop import VERSION, Caller


@pytest.mark.parametrize(
    "change",
    [
        {"RestartPolicy": {"Name": "always"}},
        {"Devices": []},
        {"DeviceCgroupRules": ["a *:* rwm"]},
        {"Memory": 0},
        {"Memory": -1},
        {"Memory": 1.5},
        {"Memory": "1g"},
        {"Memory": True},
        {"Memory": 2**40},
        {"memory": 100_000_000},
        {"MemorySwap": -1},
        {"MemorySwap": 2**40},
        {"Memory": 2**28, "MemorySwap": 2**30},
        {"NanoCpus": -1},
        {"PidsLimit": -1},
        {"OomScoreAdj": 0},
        {"CpuShares": 262144},
        {"CpuShares": 0, "CpusetCpus": "0"},
        [],
    ],
    ids=str,
)
def test_limits_stay_limits(
    daemon: Caller, engine: EngineStandIn, run: str, change: object
) -> None:
    refused(engine, daemon.ask("POST", f"{VERSION}/containers/{run}/update", change))


def test_limits_that_launching_sets(daemon: Caller, engine: EngineStandIn, run: str) -> None:
    change = {"CpuShares": 512, "NanoCpus": 0, "Memory": 629145600, "MemorySwap": 1258291200}
    assert daemon.ask("POST", f"{VERSION}/containers/{run}/update", change).status == 201
    assert json.loads(engine.sent[0].body) == change


def test_limits_of_a_run_whose_location_is_gone(
    daemon: Caller, engine: EngineStandIn, service: dict[str, Any]
) -> None:
    run = engine.add_run(service, "reports")
    answer = daemon.ask("POST", f"{VERSION}/containers/{run}/update", {"CpuShares": 2})
    refused(engine, answer, 503)
