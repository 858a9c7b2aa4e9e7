"""What `elt` alone is given, elt's run containers have, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from harness import Stack
from runs import launch, load

OVERRIDE = """
services:
  elt:
    environment: {ONLY_ELT: "quoted 'value' with = and ünicode"}
    secrets: [elt_token]
    volumes:
      - elt_scratch:/var/lib/scratch
    mem_limit: 700m
    cpus: 0.75
    ulimits: {nofile: 4321}
    labels: {team: data}
secrets:
  elt_token: {file: ./elt_token.txt}
volumes:
  elt_scratch:
"""


@pytest.fixture
def elt_with_more(stack: Stack) -> Iterator[None]:
    (stack.folder / "elt_token.txt").write_text("token")
    (stack.folder / "elt_token.txt").chmod(0o444)
    override = stack.folder / "override.yml"
    # The service's own /run/secrets is a volume; a secret beside it needs a place of its own.
    override.write_text(
        OVERRIDE.replace("[elt_token]", "[{source: elt_token, target: /etc/elt_token}]")
    )
    files = stack.environment["COMPOSE_FILE"]
    stack.settings["COMPOSE_FILE"] = f"{files}:override.yml"
    stack.compose("up", "--detach", "--wait", "--no-deps", "elt")
    yield
    del stack.settings["COMPOSE_FILE"]
    stack.compose("up", "--detach", "--wait", "--no-deps", "elt")


def variables(container: dict[str, Any]) -> dict[str, str]:
    """Its environment."""
    return dict(entry.split("=", 1) for entry in container["Config"]["Env"])


def mounts(container: dict[str, Any]) -> set[str]:
    """Where something is mounted."""
    return {mount["Destination"] for mount in container["Mounts"]}


@pytest.mark.usefixtures("elt_with_more")
@pytest.mark.long
def test_additions_to_elt_reach_its_runs_alone(stack: Stack) -> None:
    run = load(stack, "customers")
    run.wait()
    other = launch(stack, "scenarios", "tick_job")
    other.wait()

    mine = run.container
    service = stack.inspect(stack.container("elt"))
    assert variables(mine)["ONLY_ELT"] == "quoted 'value' with = and ünicode"
    assert {"/etc/elt_token", "/var/lib/scratch", "/run/secrets"} <= mounts(mine)
    assert mine["HostConfig"]["Memory"] == 700 * 1024 * 1024
    assert mine["HostConfig"]["NanoCpus"] == 750_000_000
    assert mine["HostConfig"]["Ulimits"] == service["HostConfig"]["Ulimits"] != []
    assert mine["Config"]["Labels"]["team"] == "data"
    assert stack.run("docker", "cp", f"{mine['Id']}:/etc/elt_token", "-").count("token") >= 1

    for foreign in (
        other.container,
        stack.inspect(stack.container("analytics")),
        stack.inspect(stack.container("daemon")),
    ):
        assert "ONLY_ELT" not in variables(foreign)
        assert not {"/etc/elt_token", "/var/lib/scratch"} & mounts(foreign)
        assert foreign["HostConfig"]["Memory"] != 700 * 1024 * 1024
        assert "team" not in foreign["Config"]["Labels"]


def test_a_run_is_confined_as_its_service_is(stack: Stack) -> None:
    run = load(stack, "customers")
    run.wait()
    mine = run.container
    service = stack.inspect(stack.container("elt"))
    alike = ("ReadonlyRootfs", "CapDrop", "SecurityOpt", "Memory", "PidsLimit", "Tmpfs", "Init")
    for key in (*alike, "LogConfig"):
        assert mine["HostConfig"][key] == service["HostConfig"][key], key
    assert mine["HostConfig"]["PidsLimit"] > 0
    assert mine["Config"]["User"] == service["Config"]["User"] == "10001:10001"
    networks = set(service["NetworkSettings"]["Networks"])
    # Where its code server answers, and no run is (isolation/test_rpc.py).
    networks.remove(f"{stack.project}_rpc_elt")
    assert set(mine["NetworkSettings"]["Networks"]) == networks
    # A server's part stays with the server.
    assert mine["HostConfig"]["RestartPolicy"]["Name"] in {"", "no"}
    assert not mine["HostConfig"]["PortBindings"]
    assert mine["Config"]["Healthcheck"]["Test"] == ["NONE"]
    for network in mine["NetworkSettings"]["Networks"].values():
        assert "elt" not in (network["Aliases"] or [])


def test_a_runs_container_holds_no_other_secrets_and_no_docker(stack: Stack) -> None:
    run = launch(stack, "scenarios", "look_around_job")
    run.wait()
    answer = stack.ask(
        """query Seen($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {
        ... on ObservationEvent { metadataEntries { label
          ... on JsonMetadataEntry { jsonString } ... on IntMetadataEntry { intValue } } }
        } } } }""",
        id=run.id,
    )
    entries = {
        entry["label"]: entry.get("jsonString") or entry.get("intValue")
        for event in answer["logsForRun"]["events"]
        for entry in event.get("metadataEntries", [])
    }
    assert entries["uid"] == 10001
    assert entries["secrets"] == '["scenarios_password"]'
    assert "DOCKER_HOST" not in entries["variables"]


_CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5).close()
    print("connected")
except OSError as error:
    print("refused:", error)
"""


def connects(stack: Stack, service: str, host: str, port: int) -> bool:
    """Whether a service, and so each copy of it, reaches an address."""
    command = ["exec", "-T", service, "python", "-c", _CONNECT, host, str(port)]
    answer = stack.compose(*command).strip()
    assert answer == "connected" or answer.startswith("refused: "), answer
    return answer == "connected"


def test_networks_lead_where_a_location_must_go_and_nowhere_else(
    stack: Stack, users_api: HTTPServer
) -> None:
    for location in ("elt", "analytics"):
        assert connects(stack, location, "postgres", 5432)
        for name in ("webserver", "webserver-ui", "web_gateway", "docker_gateway"):
            for port in (3000, 8080, 2375):
                assert not connects(stack, location, name, port), (name, port)
    assert connects(stack, "webserver", "elt", 4000)
    assert connects(stack, "elt", "object-store", 8333)
    assert not connects(stack, "analytics", "object-store", 8333)
    # The users API stands for the outside.
    assert connects(stack, "elt", users_api.host, users_api.port)
    assert not connects(stack, "analytics", users_api.host, users_api.port)
    for service in ("webserver", "daemon"):
        assert not connects(stack, service, "object-store", 8333)
