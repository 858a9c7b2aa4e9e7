"""Which networks a run may join."""

from __future__ import annotations

import json
from typing import Any

import pytest
from engine_stand_in import EngineStandIn, refused
from shop import VERSION, Caller


@pytest.mark.parametrize(
    "network", ["shop_web", "shop_rpc_elt", "host", "bridge", "none", "c4469b4e"]
)
def test_networks_that_are_not_the_services(
    daemon: Caller, engine: EngineStandIn, service: dict[str, Any], run: str, network: str
) -> None:
    # A service may be in the network of code servers; that makes it none of its runs'.
    joined = service["NetworkSettings"]["Networks"]
    joined["shop_rpc_elt"] = {"NetworkID": "1" * 64}
    target = f"{VERSION}/networks/{network}/connect"
    refused(engine, daemon.ask("POST", target, {"Container": run}))


@pytest.mark.parametrize(
    "body",
    [
        {"EndpointConfig": {"Aliases": ["postgres"]}},
        {"EndpointConfig": {"IPAMConfig": {"IPv4Address": "172.24.0.2"}}},
        {"endpointconfig": {}},
        {"Force": True},
        {"Container": "{run}"[:12]},
        {"Container": "a" * 64},
        {"Container": None},
    ],
    ids=str,
)
def test_a_network_is_joined_without_a_name_that_others_look_for(
    daemon: Caller, engine: EngineStandIn, run: str, body: dict[str, object]
) -> None:
    target = f"{VERSION}/networks/shop_objects/connect"
    refused(engine, daemon.ask("POST", target, {"Container": run} | body), 400, 403, 404)


@pytest.mark.parametrize("started", [True, False])
def test_networks_that_are_the_services(
    daemon: Caller, engine: EngineStandIn, service: dict[str, Any], run: str, started: bool
) -> None:
    joined = service["NetworkSettings"]["Networks"]
    if not started:
        joined["shop_objects"]["NetworkID"] = ""
    path = f"{VERSION}/networks/shop_objects/connect"
    body = {"Container": run, "EndpointConfig": {}}
    assert daemon.ask("POST", path, body).status == 201
    assert engine.sent[0].line == f"POST {path}"
    assert json.loads(engine.sent[0].body) == {"Container": run}


def test_a_network_that_is_labelled_as_one_of_servers(
    daemon: Caller, engine: EngineStandIn, service: dict[str, Any], run: str
) -> None:
    network = service["NetworkSettings"]["Networks"]["shop_objects"]["NetworkID"]
    engine.networks[network] = {"Labels": {"compose_run_launcher.network": "rpc"}}
    target = f"{VERSION}/networks/shop_objects/connect"
    refused(engine, daemon.ask("POST", target, {"Container": run}))
