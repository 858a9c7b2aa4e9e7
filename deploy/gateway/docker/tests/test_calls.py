"""Which calls there are, on whose containers, from whom."""

from __future__ import annotations

import json
from typing import Any

import pytest
from engine_stand_in import EngineStandIn, refused
from shop import RUN_NAME, TICKET, VERSION, Caller

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
    "/v1.46/containers/{run}/json",
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


@pytest.mark.parametrize("end", ["start", "stop", "kill?signal=SIGUSR1", f"rename?name={RUN_NAME}"])
def test_no_body_where_none_belongs(
    daemon: Caller, engine: EngineStandIn, worker: str, end: str
) -> None:
    for body in ({}, {"HostConfig": {"Privileged": True}}):
        refused(engine, daemon.ask("POST", f"{VERSION}/containers/{worker}/{end}", body))


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
