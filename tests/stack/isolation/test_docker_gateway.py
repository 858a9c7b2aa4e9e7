"""A daemon that was taken over, at the Docker gateway: what it asks for beside copies of services.

Each attack is one that has worked, and what must go on working is tested beside it.
"""

from __future__ import annotations

import copy
import io
import json
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from docker_gateway_caller import VERSION, Answer, Caller, caller, copy_of
from harness import Stack

CREATE = f"{VERSION}/containers/create?name="
RELEASE = "abcdefabcdef"


@pytest.fixture(scope="module")
def daemon(stack: Stack) -> Iterator[Caller]:
    """What the attacker holds."""
    with caller(stack, "daemon") as found:
        yield found


@pytest.fixture(scope="module")
def _copy(stack: Stack) -> dict[str, Any]:
    return copy_of(stack, "elt", str(uuid.uuid4()))


@pytest.fixture
def body(_copy: dict[str, Any]) -> dict[str, Any]:
    """What the launcher would send for a run of elt; the test may change it."""
    return copy.deepcopy(_copy)


@pytest.fixture
def name(stack: Stack, _copy: dict[str, Any]) -> str:
    """The name of that run's container."""
    return f"{stack.project}-run-{_copy['Labels']['dagster/run_id']}"


@pytest.fixture
def run(stack: Stack, daemon: Caller, body: dict[str, Any], name: str) -> Iterator[str]:
    """Id of a container that runs as a run's."""
    assert daemon.ask("POST", CREATE + name, body).status == 201
    identity = str(stack.inspect(name)["Id"])
    assert daemon.ask("POST", f"{VERSION}/containers/{identity}/start").status == 204
    yield identity
    stack.run("docker", "rm", "--force", identity)


def refused(answer: Answer) -> None:
    """By the gateway, with a reason."""
    assert answer.status in {400, 403} and answer.reason, answer


def in_two_types(daemon: Caller, target: str, form: str) -> Answer:
    """A POST whose query is harmless and whose body is a form, said to be JSON as well."""
    lines = [
        f"POST {VERSION}{target} HTTP/1.1",
        "Host: docker",
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Type: application/json",
        f"Content-Length: {len(form)}",
        "Connection: close",
    ]
    return daemon.send("\r\n".join([*lines, "", form]).encode())


@contextmanager
def tags_kept(stack: Stack, *references: str) -> Iterator[None]:
    """Whatever an attack does to these names, they are what they were afterwards."""
    before = {each: stack.run("docker", "images", "-q", each).strip() for each in references}
    try:
        yield
        after = {each: stack.run("docker", "images", "-q", each).strip() for each in references}
        assert after == before
    finally:
        for each, image in before.items():
            if image:
                stack.run("docker", "tag", image, each)
            else:
                stack.run("docker", "rmi", each, check=False)


def test_another_signal_in_a_second_body(stack: Stack, daemon: Caller, run: str) -> None:
    target = f"/containers/{run}/kill?signal=SIGUSR1"
    answer = in_two_types(daemon, target, "signal=SIGKILL")
    assert stack.inspect(run)["State"]["Running"]
    refused(answer)
    # Its init passes it on to a `sleep`, which ends by it: a standby worker would wake.
    assert daemon.ask("POST", VERSION + target).status == 204


def test_another_name_in_a_second_body(stack: Stack, daemon: Caller, run: str) -> None:
    stolen = f"{stack.project}-postgres-9"
    target = f"/containers/{run}/rename?name={stack.project}-run-{uuid.uuid4()}"
    answer = in_two_types(daemon, target, f"name={stolen}")
    assert stack.inspect(run)["Name"] != f"/{stolen}"
    refused(answer)


def test_an_import_under_the_gateways_own_name(
    stack: Stack, daemon: Caller, httpserver: HTTPServer
) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("evil"))
    httpserver.expect_request("/evil.tar").respond_with_data(archive.getvalue())
    own = f"{stack.project}/docker-gateway"
    form = f"fromImage=&fromSrc={httpserver.url_for('/evil.tar')}&repo={own}&tag=live"
    with tags_kept(stack, f"{own}:live"):
        answer = in_two_types(
            daemon, f"/images/create?fromImage={stack.project}/elt&tag=live", form
        )
    assert not httpserver.log
    refused(answer)


def test_a_tag_as_the_gateways_own_name(stack: Stack, daemon: Caller) -> None:
    image = stack.inspect(stack.container("elt"))["Image"]
    own, release = f"{stack.project}/docker-gateway", f"{stack.project}/elt:{RELEASE}"
    target = f"/images/{image}/tag?repo={stack.project}/elt&tag={RELEASE}"
    with tags_kept(stack, f"{own}:live"):
        answer = in_two_types(daemon, target, f"repo={own}&tag=live")
    refused(answer)
    try:
        assert daemon.ask("POST", VERSION + target).status == 201
        # A release stays what it is.
        other = stack.inspect(stack.container("analytics"))["Image"]
        stack.run("docker", "tag", other, release)
        refused(daemon.ask("POST", VERSION + target))
    finally:
        stack.run("docker", "rmi", release, check=False)


def body_of(one_off: dict[str, Any], copied: dict[str, Any]) -> dict[str, Any]:
    """What the launcher would make of a container of `docker compose run`."""
    config = one_off["Config"]
    own = {key: one_off["HostConfig"][key] for key in one_off["HostConfig"]}
    for key in ("AutoRemove", "ConsoleSize", "ContainerIDFile", "Links", "PortBindings"):
        del own[key]
    for key in ("PublishAllPorts", "RestartPolicy"):
        del own[key]
    limits = {key: copied["HostConfig"][key] for key in ("CpuShares", "OomScoreAdj")}
    return copied | {
        "User": config["User"],
        "Image": config["Image"],
        "Env": config["Env"],
        "Cmd": ["ls", "/host"],
        "HostConfig": own | limits,
    }


def test_a_container_of_docker_compose_run(
    stack: Stack, daemon: Caller, body: dict[str, Any], name: str
) -> None:
    command = ["run", "--detach", "--no-deps", "--user", "0:0", "--volume", "/:/host:ro"]
    one_off = stack.compose(*command, "elt", "sleep", "300").split()[-1]
    try:
        found = stack.inspect(one_off)
        assert "/:/host:ro" in found["HostConfig"]["Binds"]
        stolen = body_of(found, body)
        while_it_runs = daemon.ask("POST", CREATE + name, stolen)
        stack.run("docker", "rm", "--force", name, check=False)
        inspected = daemon.ask("GET", f"{VERSION}/containers/{found['Id']}/json")
    finally:
        stack.run("docker", "rm", "--force", one_off)
    after_it_is_gone = daemon.ask("POST", CREATE + name, stolen)
    stack.run("docker", "rm", "--force", name, check=False)
    refused(while_it_runs)
    refused(after_it_is_gone)
    refused(inspected)
    # The service itself is still copied.
    made = daemon.ask("POST", CREATE + name, body)
    assert made.status == 201, made
    identity = json.loads(made.body)["Id"]
    assert daemon.ask("DELETE", f"{VERSION}/containers/{identity}?v=True").status == 204


@pytest.mark.parametrize(
    "change",
    [{"Memory": 2**40}, {"OomScoreAdj": -1}, {"CpuShares": 2048}, {"MemorySwap": -1}],
    ids=str,
)
def test_more_than_the_service_has(
    stack: Stack, daemon: Caller, body: dict[str, Any], name: str, change: dict[str, int]
) -> None:
    body["HostConfig"] |= change
    answer = daemon.ask("POST", CREATE + name, body)
    stack.run("docker", "rm", "--force", name, check=False)
    refused(answer)


def test_more_memory_for_a_run_that_is_there(stack: Stack, daemon: Caller, run: str) -> None:
    before = stack.inspect(run)["HostConfig"]["Memory"]
    target = f"{VERSION}/containers/{run}/update"
    answer = daemon.ask("POST", target, {"Memory": 2 * before, "MemorySwap": 4 * before})
    assert stack.inspect(run)["HostConfig"]["Memory"] == before
    refused(answer)
    less = {"Memory": before // 2, "MemorySwap": before, "NanoCpus": 500_000_000}
    assert daemon.ask("POST", target, less).status == 200


def test_a_label_of_somebody_else(
    stack: Stack, daemon: Caller, body: dict[str, Any], name: str
) -> None:
    body["Labels"]["prometheus.scrape"] = "yes"
    answer = daemon.ask("POST", CREATE + name, body)
    stack.run("docker", "rm", "--force", name, check=False)
    refused(answer)


@pytest.mark.parametrize("query", ["tag=live", "tag=latest", ""])
def test_an_image_that_could_be_anything(stack: Stack, daemon: Caller, query: str) -> None:
    target = f"{VERSION}/images/create?fromImage={stack.project}/elt&{query}".rstrip("&")
    refused(daemon.ask("POST", target))


def test_the_network_of_code_servers(
    stack: Stack, daemon: Caller, body: dict[str, Any], name: str, run: str
) -> None:
    """A service may be in one; its runs never are."""
    network, marked = f"{stack.project}_rpc_elt", f"{stack.project}_servers"
    other = f"{stack.project}-run-{uuid.uuid4()}"
    body["Labels"]["dagster/run_id"] = other[-36:]
    label = ["--label", "compose_run_launcher.network=rpc"]
    service = stack.container("elt")
    had = network in stack.inspect(service)["NetworkSettings"]["Networks"]
    try:
        if not had:
            stack.run("docker", "network", "create", "--internal", network)
            stack.run("docker", "network", "connect", network, service)
        stack.run("docker", "network", "create", "--internal", *label, marked)
        stack.run("docker", "network", "connect", marked, service)
        for each in (network, marked):
            target = f"{VERSION}/networks/{each}/connect"
            refused(daemon.ask("POST", target, {"Container": run}))
            assert each not in stack.inspect(run)["NetworkSettings"]["Networks"]
            body["HostConfig"]["NetworkMode"] = each
            answer = daemon.ask("POST", CREATE + other, body)
            stack.run("docker", "rm", "--force", other, check=False)
            refused(answer)
        # Its other networks are for runs.
        joined = {"Container": run}
        assert (
            daemon.ask("POST", f"{VERSION}/networks/{stack.project}_outside/connect", joined).status
            == 200
        )
    finally:
        for each in (marked, *(() if had else (network,))):
            stack.run("docker", "network", "disconnect", "--force", each, service, check=False)
            stack.run("docker", "network", "rm", each, check=False)
