"""Which calls there are, on whose containers, from whom."""

from __future__ import annotations

import copy
import json
from typing import Any
from urllib.parse import parse_qs, quote

import pytest
from engine_stand_in import EngineStandIn
from shop import RUN_NAME, TICKET, VERSION, Answer, Caller

NOT_IN_USE = [
    ("GET", "/info"),
    ("GET", "/system/df"),
    ("POST", "/auth"),
    ("POST", "/build"),
    ("POST", "/build/prune"),
    ("POST", "/session"),
    ("POST", "/grpc"),
    ("POST", "/commit?container={run}"),
    ("GET", "/images/json"),
    ("GET", "/images/get?names=postgres"),
    ("GET", "/images/shop/elt:live/history"),
    ("POST", "/images/load"),
    ("POST", "/images/prune"),
    ("DELETE", "/images/postgres:17-trixie"),
    ("POST", "/images/shop/elt:live/push"),
    ("POST", "/containers/prune"),
    ("POST", "/containers/{run}/exec"),
    ("POST", "/exec/{run}/start"),
    ("POST", "/containers/{run}/attach?stream=1&stdin=1"),
    ("GET", "/containers/{run}/attach/ws"),
    ("GET", "/containers/{run}/archive?path=/run/secrets"),
    ("PUT", "/containers/{run}/archive?path=/"),
    ("HEAD", "/containers/{run}/archive?path=/"),
    ("GET", "/containers/{run}/export"),
    ("GET", "/containers/{run}/top"),
    ("GET", "/containers/{run}/stats"),
    ("GET", "/containers/{run}/changes"),
    ("POST", "/containers/{run}/restart"),
    ("POST", "/containers/{run}/pause"),
    ("POST", "/containers/{run}/wait"),
    ("GET", "/volumes"),
    ("POST", "/volumes/create"),
    ("DELETE", "/volumes/shop_postgres"),
    ("GET", "/networks"),
    ("GET", "/networks/shop_core"),
    ("POST", "/networks/create"),
    ("POST", "/networks/shop_core/disconnect"),
    ("DELETE", "/networks/shop_core"),
    ("POST", "/swarm/init"),
    ("GET", "/nodes"),
    ("POST", "/services/create"),
    ("GET", "/secrets"),
    ("GET", "/configs"),
    ("GET", "/plugins"),
    ("POST", "/plugins/pull?remote=x"),
    ("GET", "/distribution/postgres/json"),
    ("PATCH", "/containers/{run}/json"),
    ("POST", "/containers/{run}/json"),
    ("GET", "/containers/{run}/start"),
]
SPELLINGS = [
    "/v1.24/containers/{run}/json",
    "/v1.44/containers/{run}/json",
    "/v2.45/containers/{run}/json",
    "/v1.045/containers/{run}/json",
    "/v1.45/v1.45/containers/{run}/json",
    "/containers/{run}/json",
    "/v1.45/containers/{run}/json?size=true",
    "/v1.45/containers/{short}/json",
    "/v1.45/containers/{upper}/json",
    "/v1.45/containers/shop-elt-1/json",
    "/v1.45/containers/{run}%40/json",
]
# What a run of this stack may have done to it, and nobody else.
OF_RUNS = [
    ("POST", "/start"),
    ("POST", "/stop"),
    ("POST", "/stop?t=0"),
    ("POST", "/kill?signal=SIGUSR1"),
    ("POST", f"/rename?name={RUN_NAME}"),
    ("GET", "/logs?stdout=1&tail=5"),
    ("DELETE", "?force=True"),
]


def refused(engine: EngineStandIn, answer: Answer, status: tuple[int, ...] = (400, 403)) -> None:
    """With a reason, and with nothing asked of the engine but whose a container is."""
    assert answer.status in status and answer.reason, answer
    assert not engine.sent
    assert all("/logs" not in each.line for each in engine.requests)


@pytest.fixture
def worker(engine: EngineStandIn, service: dict[str, Any]) -> str:
    """Id of a standby worker's container."""
    own = {"compose_run_launcher.ticket": TICKET}
    return engine.add_run(service, "elt", **own)


@pytest.mark.parametrize(("method", "path"), NOT_IN_USE)
def test_calls_that_launching_does_not_need(
    daemon: Caller, engine: EngineStandIn, run: str, method: str, path: str
) -> None:
    found = daemon.ask(method, VERSION + path.format(run=run))
    if method == "HEAD":
        # Which has no body to say why.
        assert found.status == 403 and not engine.requests
    else:
        refused(engine, found)


@pytest.mark.parametrize("target", SPELLINGS)
def test_a_call_has_one_spelling(
    daemon: Caller, engine: EngineStandIn, run: str, target: str
) -> None:
    names = {"run": run, "short": run[:12], "upper": run.upper()}
    refused(engine, daemon.ask("GET", target.format(**names)))


@pytest.mark.parametrize(("method", "end"), OF_RUNS)
@pytest.mark.parametrize(
    "labels",
    [
        {"compose_run_launcher.project": "another"},
        {"compose_run_launcher.role": "code-location"},
        {"compose_run_launcher.role": ""},
        # Compose's own: an image can bear labels of a run, its service's container stays one.
        {"com.docker.compose.project": "shop"},
    ],
    ids=str,
)
def test_what_is_no_run_is_left_alone(
    daemon: Caller,
    engine: EngineStandIn,
    service: dict[str, Any],
    method: str,
    end: str,
    labels: dict[str, str],
) -> None:
    other = engine.add_run(service, "elt", **labels)
    refused(engine, daemon.ask(method, f"{VERSION}/containers/{other}{end}"))


@pytest.mark.parametrize(
    ("method", "end", "sent"),
    [
        ("POST", "/start", "POST {path}/start"),
        ("POST", "/stop", "POST {path}/stop"),
        ("POST", "/stop?t=0", "POST {path}/stop?t=0"),
        ("POST", "/kill?signal=SIGUSR1", "POST {path}/kill?signal=SIGUSR1"),
        ("POST", f"/rename?name={RUN_NAME}", f"POST {{path}}/rename?name={RUN_NAME}"),
        ("DELETE", "?v=True&link=False&force=True", "DELETE {path}?v=1&force=1"),
        ("DELETE", "?v=True&link=False&force=False", "DELETE {path}?v=1"),
    ],
)
def test_what_a_run_may_have_done_to_it(
    daemon: Caller, engine: EngineStandIn, worker: str, method: str, end: str, sent: str
) -> None:
    path = f"{VERSION}/containers/{worker}"
    assert daemon.ask(method, path + end).status in {201, 204}
    assert [each.line for each in engine.sent] == [sent.format(path=path)]


def test_a_log(daemon: Caller, engine: EngineStandIn, run: str) -> None:
    """As docker-py asks for it."""
    path = f"{VERSION}/containers/{run}/logs"
    query = "stderr=1&stdout=1&timestamps=0&follow=0&tail=20"
    assert daemon.ask("GET", f"{path}?{query}").status == 200
    assert engine.requests[-1].line == f"GET {path}?stdout=1&stderr=1&tail=20"
    assert daemon.ask("GET", f"{path}?stdout=1&follow=1").reason


@pytest.mark.parametrize("end", ["json", "logs?stdout=1"])
def test_a_container_that_is_not_there(daemon: Caller, engine: EngineStandIn, end: str) -> None:
    assert daemon.ask("GET", f"{VERSION}/containers/{'0' * 64}/{end}").status == 404


def test_a_container_by_its_runs_name(
    daemon: Caller, engine: EngineStandIn, run: str, service: dict[str, Any]
) -> None:
    target = f"{VERSION}/containers/{RUN_NAME}/json"
    assert json.loads(daemon.ask("GET", target).body)["Id"] == run
    assert daemon.ask("GET", target.replace("1111/", "2222/")).status == 404
    # The same name on what is none.
    engine.containers.pop(run)
    service["Name"] = f"/{RUN_NAME}"
    refused(engine, daemon.ask("GET", target))


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGSTOP", "9", "SIGUSR1,SIGKILL", "sigusr1", ""])
def test_a_run_gets_one_signal_only(
    daemon: Caller, engine: EngineStandIn, run: str, signal: str
) -> None:
    refused(engine, daemon.ask("POST", f"{VERSION}/containers/{run}/kill?signal={signal}"))
    refused(engine, daemon.ask("POST", f"{VERSION}/containers/{run}/kill"))


@pytest.mark.parametrize(
    "name", ["postgres", "shop-postgres-1", "shop-run-", "x", "", f"{RUN_NAME}-x", f"/{RUN_NAME}"]
)
def test_a_worker_gets_a_runs_name(
    daemon: Caller, engine: EngineStandIn, worker: str, name: str
) -> None:
    refused(engine, daemon.ask("POST", f"{VERSION}/containers/{worker}/rename?name={name}"))


def test_a_run_keeps_its_name(daemon: Caller, engine: EngineStandIn, run: str) -> None:
    refused(engine, daemon.ask("POST", f"{VERSION}/containers/{run}/rename?name={RUN_NAME}"))


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
    refused(engine, answer, (503,))


@pytest.mark.parametrize("end", ["start", "stop", "kill?signal=SIGUSR1", f"rename?name={RUN_NAME}"])
def test_no_body_where_none_belongs(
    daemon: Caller, engine: EngineStandIn, worker: str, end: str
) -> None:
    for body in ({}, {"HostConfig": {"Privileged": True}}):
        refused(engine, daemon.ask("POST", f"{VERSION}/containers/{worker}/{end}", body))


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
    refused(engine, daemon.ask("POST", target, {"Container": run} | body), (400, 403, 404))


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


STACK = "compose_run_launcher.project"
COMPOSE = "com.docker.compose.project"


@pytest.mark.parametrize(
    "filters",
    [
        None,
        {},
        [],
        {"label": ["x"]},
        {"label": {f"{COMPOSE}=shop": True}},
        {"label": [COMPOSE]},
        {"label": [f"{COMPOSE}=shop-other"]},
        {"label": [f"{STACK}=another"]},
        {"name": ["shop"]},
        {"label": [f"{STACK}=shop"], "name": ["a|b"]},
        {"label": [f"{STACK}=shop"], "volume": ["x"]},
        {"label": [f"{STACK}=shop", 1]},
    ],
    ids=str,
)
@pytest.mark.parametrize("what", ["containers/json?all=1&", "events?until=1&"])
def test_lists_are_of_this_stack(
    daemon: Caller, engine: EngineStandIn, what: str, filters: Any
) -> None:
    typed = copy.deepcopy(filters)
    if what.startswith("events") and isinstance(typed, dict):
        typed["type"] = ["container"]
    query = "" if filters is None else f"filters={quote(json.dumps(typed))}"
    refused(engine, daemon.ask("GET", f"{VERSION}/{what}{query}"))


@pytest.mark.parametrize(
    ("label", "added"),
    [
        (f"{STACK}=shop", ["compose_run_launcher.role=run"]),
        (
            f"{COMPOSE}=shop",
            ["compose_run_launcher.role=code-location", "com.docker.compose.oneoff=False"],
        ),
    ],
)
def test_lists_show_runs_and_code_locations_alone(
    daemon: Caller, engine: EngineStandIn, label: str, added: list[str]
) -> None:
    filters = {"label": [label], "name": [RUN_NAME]}
    query = "limit=-1&all=1&size=0&trunc_cmd=0&filters="
    target = f"{VERSION}/containers/json?{query}{quote(json.dumps(filters))}"
    assert daemon.ask("GET", target).status == 200
    path, _, sent = engine.requests[0].line.partition("?")
    assert path == f"GET {VERSION}/containers/json"
    found = {name: values[0] for name, values in parse_qs(sent).items()}
    assert found.keys() == {"all", "filters"}
    assert json.loads(found["filters"]) == {"label": [label, *added], "name": [RUN_NAME]}


@pytest.mark.parametrize(
    "filters",
    [
        {"label": [f"{STACK}=shop"]},
        {"label": [f"{STACK}=shop"], "type": ["container", "image"]},
        {"label": [f"{STACK}=shop"], "type": ["container"], "event": ["a b"]},
        {"label": [f"{STACK}=shop"], "type": ["container"], "image": ["x"]},
    ],
    ids=str,
)
def test_events_are_of_containers(
    daemon: Caller, engine: EngineStandIn, filters: dict[str, list[str]]
) -> None:
    refused(engine, daemon.ask("GET", f"{VERSION}/events?filters={quote(json.dumps(filters))}"))


@pytest.mark.parametrize(
    ("method", "end"),
    [
        ("POST", "/start"),
        ("POST", "/kill?signal=SIGUSR1"),
        ("POST", f"/rename?name={RUN_NAME}"),
        ("GET", "/logs?stdout=1"),
        ("DELETE", "?force=True"),
    ],
)
def test_the_webserver_only_inspects_and_stops(
    webserver: Caller,
    engine: EngineStandIn,
    run: str,
    service: dict[str, Any],
    method: str,
    end: str,
) -> None:
    path = f"{VERSION}/containers/{run}"
    refused(engine, webserver.ask(method, path + end))
    for name in (run, RUN_NAME, service["Id"]):
        assert webserver.ask("GET", f"{VERSION}/containers/{name}/json").status == 200
    assert webserver.ask("POST", f"{path}/stop").status == 201


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("POST", f"/containers/create?name={RUN_NAME}", {}),
        ("POST", "/containers/{run}/update", {"CpuShares": 2}),
        ("POST", "/networks/shop_core/connect", {}),
        ("GET", "/containers/json?filters={{}}", None),
        ("GET", "/events", None),
        ("GET", "/images/shop/elt:live/json", None),
        ("POST", "/images/create?fromImage=x", None),
    ],
)
def test_the_webserver_creates_and_lists_nothing(
    webserver: Caller, engine: EngineStandIn, run: str, method: str, target: str, body: object
) -> None:
    filled = target.format(run=run).replace("{}", "%7B%7D")
    refused(engine, webserver.ask(method, VERSION + filled, body))


def test_what_both_ask_first(daemon: Caller, webserver: Caller, engine: EngineStandIn) -> None:
    for caller in (daemon, webserver):
        assert caller.ask("GET", "/version").status == 200
        assert caller.ask("GET", f"{VERSION}/_ping").status == 200
        assert caller.ask("HEAD", "/_ping").status == 200
