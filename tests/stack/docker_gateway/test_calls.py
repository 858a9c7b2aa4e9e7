"""Which calls there are, on whose containers, from whom."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from docker_gateway_caller import VERSION, Answer, Caller
from harness import Stack

# Paths of this version of the API; {run} is a run of this stack, the others are its services.
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
    ("POST", "/images/load"),
    ("POST", "/images/prune"),
    ("DELETE", "/images/postgres:17-trixie"),
    ("POST", "/images/{project}/elt:live/push"),
    ("POST", "/containers/prune"),
    ("POST", "/containers/{run}/exec"),
    ("POST", "/exec/{run}/start"),
    ("POST", "/containers/{run}/attach?stream=1&stdin=1"),
    ("GET", "/containers/{run}/attach/ws"),
    ("GET", "/containers/{run}/archive?path=/run/secrets"),
    ("PUT", "/containers/{run}/archive?path=/"),
    ("GET", "/containers/{run}/export"),
    ("GET", "/containers/{run}/top"),
    ("GET", "/containers/{run}/stats"),
    ("POST", "/containers/{run}/restart"),
    ("POST", "/containers/{run}/pause"),
    ("GET", "/volumes"),
    ("POST", "/volumes/create"),
    ("DELETE", "/volumes/{project}_postgres"),
    ("GET", "/networks"),
    ("POST", "/networks/create"),
    ("POST", "/networks/{project}_core/disconnect"),
    ("DELETE", "/networks/{project}_core"),
    ("POST", "/swarm/init"),
    ("GET", "/nodes"),
    ("POST", "/services/create"),
    ("GET", "/secrets"),
    ("GET", "/configs"),
    ("GET", "/plugins"),
    ("POST", "/plugins/pull?remote=x"),
    ("GET", "/distribution/postgres/json"),
    ("PATCH", "/containers/{run}/json"),
    ("OPTIONS", "/containers/json"),
    ("TRACE", "/version"),
]
TRICKS = [
    ("GET", "{v}/containers/json/../../info"),
    ("GET", "{v}/containers/./json"),
    ("GET", "{v}//containers/{postgres}/json"),
    ("GET", "{v}/containers%2f{postgres}%2fjson"),
    ("GET", "{v}/containers/{postgres}%2fjson"),
    ("GET", "{v}/containers/{run}%2f..%2f{postgres}/json"),
    ("GET", "{v}/containers/{run}/json/"),
    ("GET", "{v}/containers/{run}/json;x"),
    ("GET", "http://docker{v}/info"),
    ("GET", "/v1.24/containers/{run}/json"),
    ("GET", "/v1.43/containers/{run}/json"),
    ("GET", "/v2.0/containers/{run}/json"),
    ("GET", "/v1.044/containers/{run}/json"),
    ("GET", "/v1.44/v1.44/containers/{run}/json"),
    ("GET", "/containers/{run}/json"),
    ("GET", "{v}/containers/{run}/json?size=true"),
    ("POST", "{v}/containers/{run}/stop?t=1&t=2"),
    ("POST", "{v}/containers/{run}/stop?%74=1"),
    ("POST", "{v}/containers/{run}/stop?signal=SIGSTOP"),
    ("POST", "{v}/containers/{run}/start?checkpoint=x&checkpoint-dir=/etc"),
    ("POST", "{v}/containers/create?name={project}-run-x&platform=linux"),
]
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


def fill(stack: Stack, run: str, path: str) -> str:
    """A path with this stack's names in it."""
    names = {"run": run, "project": stack.project, "v": VERSION}
    if "{postgres}" in path:
        names["postgres"] = stack.container("postgres")
    return path.format(**names)


@pytest.mark.parametrize(("method", "path"), NOT_IN_USE)
def test_calls_that_launching_does_not_need(
    daemon: Caller, run_container: str, method: str, path: str
) -> None:
    target = VERSION + fill(daemon.stack, run_container, path)
    refused(daemon, daemon.ask(method, target, {} if method in {"POST", "PUT"} else None))


@pytest.mark.parametrize(("method", "target"), TRICKS)
def test_a_path_has_one_spelling(
    daemon: Caller, run_container: str, method: str, target: str
) -> None:
    answer = daemon.ask(method, fill(daemon.stack, run_container, target))
    refused(daemon, answer)


@pytest.mark.parametrize(("method", "end"), OF_RUNS)
@pytest.mark.parametrize("service", ["postgres", "daemon", "elt"])
def test_services_are_not_runs(daemon: Caller, service: str, method: str, end: str) -> None:
    identity = daemon.stack.container(service)
    before = daemon.stack.inspect(identity)
    end = end.format(project=daemon.stack.project)
    refused(daemon, daemon.ask(method, f"{VERSION}/containers/{identity}{end}"))
    after = daemon.stack.inspect(identity)
    assert (after["State"], after["Name"]) == (before["State"], before["Name"])


@pytest.mark.parametrize("service", ["postgres", "daemon", "web_gateway", "secrets"])
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


def test_a_container_is_named_by_its_whole_id(daemon: Caller, run_container: str) -> None:
    names = [run_container[:12], run_container[:63], f"{daemon.stack.project}-elt-1"]
    for name in [*names, run_container.upper()]:
        refused(daemon, daemon.ask("GET", f"{VERSION}/containers/{name}/json"))
    assert daemon.ask("GET", f"{VERSION}/containers/{run_container}/json").status == 200


@pytest.mark.parametrize(
    "filters",
    [
        None,
        {},
        {"label": ["x"]},
        {"label": {"com.docker.compose.project={project}": True}},
        {"label": ["com.docker.compose.project"]},
        {"name": ["{project}"]},
        {"label": ["com.docker.compose.project={project}-other"]},
    ],
    ids=str,
)
@pytest.mark.parametrize("what", ["containers/json?all=1&", "events?until=1&"])
def test_lists_are_of_this_stack(daemon: Caller, what: str, filters: object) -> None:
    query = ""
    if filters is not None:
        text = json.dumps(filters).replace("{project}", daemon.stack.project)
        query = f"filters={quote(text)}"
    refused(daemon, daemon.ask("GET", f"{VERSION}/{what}{query}"))


def test_lists_that_are_of_this_stack(daemon: Caller) -> None:
    label = f"com.docker.compose.project={daemon.stack.project}"
    listed = daemon.ask(
        "GET", f"{VERSION}/containers/json?all=1&filters={quote(json.dumps({'label': [label]}))}"
    )
    assert listed.status == 200 and len(json.loads(listed.body)) > 5
    events = {"type": ["container"], "event": ["die"], "label": [label]}
    target = f"{VERSION}/events?since=1&until=2&filters={quote(json.dumps(events))}"
    assert daemon.ask("GET", target).status == 200
    without = quote(json.dumps({"label": [label]}))
    refused(daemon, daemon.ask("GET", f"{VERSION}/events?until=2&filters={without}"))


def test_a_run_is_started_as_it_was_created(daemon: Caller, run_container: str) -> None:
    target = f"{VERSION}/containers/{run_container}/start"
    refused(daemon, daemon.ask("POST", target, {"HostConfig": {"Privileged": True}}))


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGSTOP", "9", "SIGUSR1,SIGKILL", ""])
def test_a_run_gets_one_signal_only(daemon: Caller, run_container: str, signal: str) -> None:
    target = f"{VERSION}/containers/{run_container}/kill?signal={signal}"
    refused(daemon, daemon.ask("POST", target))


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
        {"memory": 1_000_000_000},
        {"PidsLimit": -1},
        {"CpuShares": 262144},
    ],
    ids=str,
)
def test_limits_stay_limits(daemon: Caller, run_container: str, change: dict[str, object]) -> None:
    refused(daemon, daemon.ask("POST", f"{VERSION}/containers/{run_container}/update", change))


def test_limits_that_launching_sets(daemon: Caller, run_container: str) -> None:
    change = {"CpuShares": 512, "Memory": 600_000_000, "MemorySwap": 1_200_000_000}
    answer = daemon.ask("POST", f"{VERSION}/containers/{run_container}/update", change)
    assert answer.status == 200, answer


@pytest.mark.parametrize("name", ["postgres", "{project}-postgres-1", "{project}-run-", "x"])
def test_a_run_gets_a_runs_name(daemon: Caller, run_container: str, name: str) -> None:
    name = name.format(project=daemon.stack.project)
    refused(daemon, daemon.ask("POST", f"{VERSION}/containers/{run_container}/rename?name={name}"))


def test_networks(daemon: Caller, run_container: str) -> None:
    """Those of its service, and without a name that others would look for."""
    project = daemon.stack.project
    body: dict[str, object] = {"Container": run_container}
    core = f"{VERSION}/networks/{project}_core/connect"
    for network in ("objects", "web"):
        refused(daemon, daemon.ask("POST", f"{VERSION}/networks/{project}_{network}/connect", body))
    for network in ("host", "bridge"):
        refused(daemon, daemon.ask("POST", f"{VERSION}/networks/{network}/connect", body))
    alias = {"EndpointConfig": {"Aliases": ["postgres"]}}
    refused(daemon, daemon.ask("POST", core, body | alias))
    refused(daemon, daemon.ask("POST", core, {"Container": run_container[:12]}))
    refused(daemon, daemon.ask("POST", core, {"Container": daemon.stack.container("postgres")}))


@pytest.mark.parametrize(
    "target",
    [
        "/images/postgres:17-trixie/tag?repo={project}/elt&tag=abcdefabcdef",
        "/images/{postgres_image}/tag?repo={project}/elt&tag=abcdefabcdef",
        "/images/{elt_image}/tag?repo={project}/analytics&tag=abcdefabcdef",
        "/images/{elt_image}/tag?repo={project}/elt&tag=live",
        "/images/{elt_image}/tag?repo=postgres&tag=17-trixie",
        "/images/{elt_image}/tag?repo={project}/elt",
        "/images/create?fromImage=registry.example/evil&tag=latest",
        "/images/create?fromImage=postgres&tag=latest",
        "/images/create?fromSrc=http://registry.example/evil.tar&repo={project}/elt",
        "/images/create?fromSrc=-&repo={project}/elt&tag=abcdefabcdef",
    ],
)
def test_images_of_this_stack_stay_its_own(daemon: Caller, target: str) -> None:
    images = {
        f"{service}_image": daemon.stack.inspect(daemon.stack.container(service))["Image"]
        for service in ("postgres", "elt")
    }
    filled = target.format(project=daemon.stack.project, **images)
    refused(daemon, daemon.ask("POST", VERSION + filled))


@pytest.mark.parametrize("image", ["postgres:17-trixie", "python", "{project}/control-plane:live"])
def test_only_code_locations_images_are_inspected(daemon: Caller, image: str) -> None:
    name = image.format(project=daemon.stack.project)
    refused(daemon, daemon.ask("GET", f"{VERSION}/images/{name}/json"))
    own = f"{VERSION}/images/{daemon.stack.project}/elt:live/json"
    assert daemon.ask("GET", own).status == 200


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
    refused(webserver, webserver.ask("POST", f"{VERSION}/containers/create?name={name}", {}))
    label = quote(json.dumps({"label": [f"com.docker.compose.project={webserver.stack.project}"]}))
    refused(webserver, webserver.ask("GET", f"{VERSION}/containers/json?filters={label}"))


@pytest.mark.parametrize("service", ["elt", "analytics", "web_gateway", "postgres"])
def test_nobody_else_has_a_way_in(stack: Stack, service: str) -> None:
    mounts = stack.inspect(stack.container(service))["Mounts"]
    assert not [m for m in mounts if "docker" in m.get("Name", "") + m["Destination"]]
    gateway = stack.inspect(stack.container("docker_gateway"))
    assert set(gateway["NetworkSettings"]["Networks"]) == {"none"}
