"""The calls that launching runs needs, made on a real engine; and whose containers they are.

What is refused for its form alone is tried in deploy/gateway/docker/tests.
"""

from __future__ import annotations

import json
import uuid
from typing import Any
from urllib.parse import quote

import pytest

from docker_gateway_caller import VERSION, Answer, Caller
from harness import Stack, until

CREATE = f"{VERSION}/containers/create?name="
# What a run of this stack may have done to it, and nobody else.
OF_RUNS = [
    ("POST", "/start"),
    ("POST", "/stop"),
    ("POST", "/stop?t=0"),
    ("POST", "/kill?signal=SIGUSR1"),
    ("POST", "/rename?name={project}-run-11111111-1111-1111-1111-111111111111"),
    ("GET", "/logs?stdout=1&tail=5"),
    ("DELETE", "?force=True"),
]


def refused(caller: Caller, answer: Answer) -> None:
    """By the gateway, with a reason that its log has too."""
    assert answer.status in {400, 403}, answer
    assert answer.reason, answer
    assert caller.logged(answer.reason)["client"] == caller.service


def listed(caller: Caller, **filters: list[str]) -> list[dict[str, Any]]:
    """Containers as the engine lists them."""
    target = f"{VERSION}/containers/json?all=1&filters={quote(json.dumps(filters))}"
    found: list[dict[str, Any]] = json.loads(caller.ask("GET", target).body)
    return found


def created(stack: Stack, daemon: Caller, body: dict[str, Any]) -> tuple[str, str]:
    """A container of a run that nobody knows of: its name, and where the engine has it."""
    run_id = str(uuid.uuid4())
    name = f"{stack.project}-run-{run_id}"
    body["Labels"]["dagster/run_id"] = run_id
    body["Cmd"] = ["sh", "-c", "echo begun; trap 'echo woken' USR1; while :; do sleep 0.1; done"]
    made = daemon.ask("POST", CREATE + name, body)
    assert made.status == 201, made
    return name, f"{VERSION}/containers/{json.loads(made.body)['Id']}"


def test_the_life_of_a_run(stack: Stack, daemon: Caller, body: dict[str, Any]) -> None:
    """Each call does on the engine what it says."""
    name, path = created(stack, daemon, body)
    identity = path.rpartition("/")[2]
    try:
        network = f"{VERSION}/networks/{stack.project}_core/connect"
        stack.run("docker", "network", "disconnect", f"{stack.project}_core", identity)
        assert daemon.ask("POST", network, {"Container": identity}).status == 200
        assert f"{stack.project}_core" in stack.inspect(name)["NetworkSettings"]["Networks"]
        assert daemon.ask("POST", f"{path}/start").status == 204
        change = {"CpuShares": 256, "Memory": 300_000_000, "MemorySwap": 600_000_000}
        assert daemon.ask("POST", f"{path}/update", change).status == 200
        now = stack.inspect(name)["HostConfig"]
        assert {key: now[key] for key in change} == change
        for each in (identity, name):
            found = json.loads(daemon.ask("GET", f"{VERSION}/containers/{each}/json").body)
            assert found["Id"] == identity and found["State"]["Running"]

        def says(text: str) -> None:
            log = daemon.ask("GET", f"{path}/logs?stdout=1&stderr=1&tail=20")
            assert log.status == 200 and text in log.body

        until(lambda: says("begun"), seconds=30)
        assert daemon.ask("POST", f"{path}/kill?signal=SIGUSR1").status == 204
        until(lambda: says("woken"), seconds=30)
    finally:
        # One that has ended is removed by the daemon itself, which knows of no such run.
        assert daemon.ask("DELETE", f"{path}?force=True&v=True&link=False").status == 204
    assert daemon.ask("GET", f"{path}/json").status == 404


def test_a_run_is_stopped(stack: Stack, daemon: Caller, body: dict[str, Any]) -> None:
    name, path = created(stack, daemon, body)
    assert daemon.ask("POST", f"{path}/start").status == 204
    assert daemon.ask("POST", f"{path}/stop?t=0").status == 204
    assert name not in stack.run("docker", "ps", "--format", "{{.Names}}").split()
    stack.run("docker", "rm", "--force", name, check=False)


def test_a_worker_becomes_a_run(stack: Stack, daemon: Caller, body: dict[str, Any]) -> None:
    ticket, run = uuid.uuid4().hex[:12], f"{stack.project}-run-{uuid.uuid4()}"
    name = f"{stack.project}-standby-analytics-{ticket}"
    of_run = {"dagster/run_id", "dagster/job_name"}
    body["Labels"] = {key: text for key, text in body["Labels"].items() if key not in of_run} | {
        "compose_run_launcher.service": stack.container("analytics"),
        "compose_run_launcher.ticket": ticket,
    }
    made = daemon.ask("POST", CREATE + name, body)
    assert made.status == 201, made
    path = f"{VERSION}/containers/{json.loads(made.body)['Id']}"
    try:
        refused(daemon, daemon.ask("POST", f"{path}/rename?name={stack.project}-postgres-2"))
        assert daemon.ask("POST", f"{path}/rename?name={run}").status == 204
        assert stack.inspect(run)["Config"]["Labels"]["compose_run_launcher.ticket"] == ticket
    finally:
        assert daemon.ask("DELETE", f"{path}?force=True").status == 204


def test_lists_and_events_are_of_this_stack(
    stack: Stack, daemon: Caller, run_container: str
) -> None:
    label = f"compose_run_launcher.project={stack.project}"
    runs = listed(daemon, label=[label])
    assert run_container in {each["Id"] for each in runs}
    services = listed(daemon, label=[f"com.docker.compose.project={stack.project}"])
    names = {each["Labels"]["com.docker.compose.service"] for each in services}
    assert {"elt", "analytics"} <= names and not {"postgres", "daemon"} & names
    events = {"type": ["container"], "event": ["start"], "label": [label]}
    now = int(stack.run("date", "+%s"))
    target = f"{VERSION}/events?since=1&until={now + 1}&filters={quote(json.dumps(events))}"
    seen = [json.loads(line) for line in daemon.ask("GET", target).body.splitlines()]
    assert run_container in {event["Actor"]["ID"] for event in seen}
    for what in ("containers/json?all=1&", "events?until=1&"):
        refused(daemon, daemon.ask("GET", f"{VERSION}/{what}filters={quote('{}')}"))


@pytest.mark.parametrize(("method", "end"), OF_RUNS)
@pytest.mark.parametrize("service", ["postgres", "elt"])
def test_services_are_not_runs(daemon: Caller, service: str, method: str, end: str) -> None:
    identity = daemon.stack.container(service)
    before = daemon.stack.inspect(identity)
    end = end.format(project=daemon.stack.project)
    refused(daemon, daemon.ask(method, f"{VERSION}/containers/{identity}{end}"))
    after = daemon.stack.inspect(identity)
    assert (after["State"]["StartedAt"], after["Name"]) == (
        before["State"]["StartedAt"],
        before["Name"],
    )


@pytest.mark.parametrize("service", ["postgres", "daemon", "docker_gateway", "secrets"])
def test_only_runs_and_code_locations_are_inspected(daemon: Caller, service: str) -> None:
    identity = daemon.stack.container(service)
    refused(daemon, daemon.ask("GET", f"{VERSION}/containers/{identity}/json"))
    location = daemon.stack.container("elt")
    assert daemon.ask("GET", f"{VERSION}/containers/{location}/json").status == 200


def test_containers_of_others(daemon: Caller) -> None:
    """One that bears a run's name, and the label of another stack."""
    name = f"{daemon.stack.project}-run-22222222-2222-2222-2222-222222222222"
    image = f"{daemon.stack.project}/elt:live"
    label = "compose_run_launcher.project=another"
    create = ["docker", "create", "--name", name, "--label", label]
    other = daemon.stack.run(*create, image).strip().splitlines()[-1]
    try:
        for method, end in [*OF_RUNS, ("GET", "/json")]:
            target = f"{VERSION}/containers/{other}{end.format(project=daemon.stack.project)}"
            refused(daemon, daemon.ask(method, target))
        refused(daemon, daemon.ask("GET", f"{VERSION}/containers/{name}/json"))
    finally:
        daemon.stack.run("docker", "rm", "--force", name)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/info"),
        ("POST", "/containers/{run}/exec"),
        ("GET", "/containers/{run}/archive?path=/run/secrets"),
        ("POST", "/volumes/create"),
        ("POST", "/build"),
        ("GET", "/containers/{short}/json"),
        ("GET", "/containers/{run}%2f..%2f{run}/json"),
        ("GET", "/images/postgres:17-trixie/json"),
        ("POST", "/networks/{project}_web/connect"),
    ],
)
def test_calls_that_launching_does_not_need(
    daemon: Caller, run_container: str, method: str, target: str
) -> None:
    names = {"run": run_container, "short": run_container[:12], "project": daemon.stack.project}
    body = {"Container": run_container} if target.endswith("connect") else None
    refused(daemon, daemon.ask(method, VERSION + target.format(**names), body))


@pytest.mark.parametrize(
    "lines",
    [
        ["Transfer-Encoding: chunked"],
        ["Content-Length: 2", "Content-Length: 4"],
        ["Content-Length: 2", "Upgrade: tcp", "Connection: Upgrade"],
        ["Content-Length: 2", "Expect: 100-continue"],
    ],
    ids=str,
)
def test_connections_stay_plain(daemon: Caller, run_container: str, lines: list[str]) -> None:
    target = f"{VERSION}/containers/{run_container}/update"
    head = [f"POST {target} HTTP/1.1", "Host: docker", "Content-Type: application/json", *lines]
    refused(daemon, daemon.send("\r\n".join([*head, "", "{}"]).encode()))


@pytest.mark.parametrize(
    ("method", "end"),
    [
        ("POST", "/start"),
        ("POST", "/kill?signal=SIGUSR1"),
        ("GET", "/logs?stdout=1"),
        ("POST", "/update"),
        ("DELETE", "?force=True"),
    ],
)
def test_the_webserver_only_inspects_and_stops(
    webserver: Caller, run_container: str, method: str, end: str
) -> None:
    container = f"{VERSION}/containers/{run_container}"
    body = {"CpuShares": 2} if end == "/update" else None
    refused(webserver, webserver.ask(method, container + end, body))
    assert webserver.ask("GET", f"{container}/json").status == 200


def test_the_webserver_creates_and_lists_nothing(webserver: Caller) -> None:
    name = f"{webserver.stack.project}-run-33333333-3333-3333-3333-333333333333"
    refused(webserver, webserver.ask("POST", CREATE + name, {}))
    label = quote(json.dumps({"label": [f"com.docker.compose.project={webserver.stack.project}"]}))
    refused(webserver, webserver.ask("GET", f"{VERSION}/containers/json?filters={label}"))


@pytest.mark.parametrize("service", ["elt", "analytics", "web_gateway", "postgres"])
def test_nobody_else_has_a_way_in(stack: Stack, service: str) -> None:
    mounts = stack.inspect(stack.container(service))["Mounts"]
    assert not [m for m in mounts if "docker" in m.get("Name", "") + m["Destination"]]
    gateway = stack.inspect(stack.container("docker_gateway"))
    assert set(gateway["NetworkSettings"]["Networks"]) == {"none"}
