"""The service that joins the control plane to networks of code servers: that, and nothing else."""

from __future__ import annotations

import copy
import json
from typing import Any
from urllib.parse import parse_qs, quote

import pytest
from engine_stand_in import EngineStandIn
from shop import RUN_NAME, VERSION, Answer, Caller, request

NETWORK = "shop_rpc_elt"
NETWORK_ID = "c" * 64
CONNECT = f"{VERSION}/networks/{NETWORK}/connect"
COMPOSE = "com.docker.compose.project"
Body = dict[str, Any]


@pytest.fixture
def network(engine: EngineStandIn) -> Body:
    """A location's network, as Compose makes it."""
    found = {
        "Id": NETWORK_ID,
        "Internal": True,
        "Labels": {"compose_run_launcher.network": "rpc", COMPOSE: "shop"},
    }
    engine.networks[NETWORK] = found
    return found


@pytest.fixture
def server(engine: EngineStandIn, service: Body, network: Body) -> Body:
    """The webserver's container."""
    found = copy.deepcopy(service) | {"Id": "d" * 64, "Name": "/shop-webserver-1"}
    found["Config"]["Labels"] |= {
        "com.docker.compose.service": "webserver",
        "compose_run_launcher.role": "control-plane",
    }
    engine.add(found)
    return found


def refused(engine: EngineStandIn, answer: Answer) -> None:
    """With a reason, and with nothing sent."""
    assert answer.status == 403 and answer.reason, answer
    assert not engine.sent


def test_the_control_plane_joins(rpc_networks: Caller, engine: EngineStandIn, server: Body) -> None:
    body = {"Container": server["Id"], "EndpointConfig": {}}
    assert rpc_networks.ask("POST", CONNECT, body).status == 201
    [sent] = engine.sent
    assert sent.line == f"POST {VERSION}/networks/{NETWORK_ID}/connect"
    assert json.loads(sent.body) == {"Container": server["Id"]}


@pytest.mark.parametrize("caller", ["daemon", "webserver"])
def test_others_do_not_have_it_join(
    daemon: Caller, webserver: Caller, engine: EngineStandIn, server: Body, caller: str
) -> None:
    asked = {"daemon": daemon, "webserver": webserver}[caller]
    refused(engine, asked.ask("POST", CONNECT, {"Container": server["Id"]}))


@pytest.mark.parametrize("endpoint", [{"Aliases": ["elt"]}, {"IPAMConfig": {}}], ids=str)
def test_it_joins_without_a_name(
    rpc_networks: Caller, engine: EngineStandIn, server: Body, endpoint: Body
) -> None:
    body = {"Container": server["Id"], "EndpointConfig": endpoint}
    refused(engine, rpc_networks.ask("POST", CONNECT, body))


@pytest.mark.parametrize(
    "labels",
    [
        {COMPOSE: "another"},
        {"com.docker.compose.oneoff": "True"},
        {"compose_run_launcher.role": "code-location"},
        {"compose_run_launcher.role": "run", "compose_run_launcher.project": "shop", COMPOSE: ""},
        {"com.docker.compose.service": "postgres"},
    ],
    ids=str,
)
def test_nobody_else_joins(
    rpc_networks: Caller, engine: EngineStandIn, server: Body, labels: dict[str, str]
) -> None:
    server["Config"]["Labels"] |= labels
    refused(engine, rpc_networks.ask("POST", CONNECT, {"Container": server["Id"]}))


def test_a_role_that_an_image_claims_is_none(
    rpc_networks: Caller, engine: EngineStandIn, server: Body
) -> None:
    """A service of a location's image, such as one that fills its landing zone."""
    own = engine.images[server["Image"]]["Config"]["Labels"]
    own["compose_run_launcher.role"] = "control-plane"
    refused(engine, rpc_networks.ask("POST", CONNECT, {"Container": server["Id"]}))


@pytest.mark.parametrize(
    "change",
    [
        {"Internal": False},
        {"Labels": None},
        {"Labels": {COMPOSE: "shop"}},
        {"Labels": {"compose_run_launcher.network": "rpc", COMPOSE: "another"}},
    ],
    ids=str,
)
def test_no_network_that_only_looks_like_one(
    rpc_networks: Caller, engine: EngineStandIn, server: Body, network: Body, change: Body
) -> None:
    network |= change
    refused(engine, rpc_networks.ask("POST", CONNECT, {"Container": server["Id"]}))


@pytest.mark.parametrize("name", ["shop_core", "another_rpc_elt", "host", NETWORK_ID])
def test_no_other_network(
    rpc_networks: Caller, engine: EngineStandIn, server: Body, network: Body, name: str
) -> None:
    engine.networks[name] = network
    target = f"{VERSION}/networks/{name}/connect"
    refused(engine, rpc_networks.ask("POST", target, {"Container": server["Id"]}))


@pytest.mark.parametrize(
    ("what", "more"),
    [("containers/json", {}), ("events", {"type": ["container"], "event": ["create", "start"]})],
)
def test_it_sees_services(
    rpc_networks: Caller, engine: EngineStandIn, what: str, more: dict[str, list[str]]
) -> None:
    filters = {"label": [f"{COMPOSE}=shop"]} | more
    target = f"{VERSION}/{what}?filters={quote(json.dumps(filters))}"
    connection = rpc_networks.connect()
    connection.sendall(request("GET", target))
    assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    connection.close()
    query = engine.requests[0].line.partition("?")[2]
    sent = json.loads(parse_qs(query)["filters"][0])
    assert sent == {"label": [f"{COMPOSE}=shop", "com.docker.compose.oneoff=False"]} | more


@pytest.mark.parametrize("label", ["compose_run_launcher.project=shop", f"{COMPOSE}=another", "x"])
@pytest.mark.parametrize("what", ["containers/json", "events"])
def test_it_sees_nothing_else(
    rpc_networks: Caller, engine: EngineStandIn, what: str, label: str
) -> None:
    filters = {"label": [label]} | ({"type": ["container"]} if what == "events" else {})
    target = f"{VERSION}/{what}?filters={quote(json.dumps(filters))}"
    refused(engine, rpc_networks.ask("GET", target))


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/containers/{run}/json"),
        ("GET", "/containers/{run}/logs?stdout=1"),
        ("POST", "/containers/{run}/start"),
        ("POST", "/containers/{run}/stop"),
        ("POST", "/containers/{run}/kill?signal=SIGUSR1"),
        ("DELETE", "/containers/{run}"),
        ("POST", f"/containers/create?name={RUN_NAME}"),
        ("GET", "/images/shop/elt:live/json"),
        ("POST", "/networks/shop_rpc_elt/disconnect"),
    ],
)
def test_it_does_nothing_else(
    rpc_networks: Caller, engine: EngineStandIn, run: str, method: str, target: str
) -> None:
    refused(engine, rpc_networks.ask(method, VERSION + target.format(run=run)))
