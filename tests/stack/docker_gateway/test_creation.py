"""What may be created on a real engine: a copy of a code location's service.

Every option that leads out of that is tried in deploy/gateway/docker/tests; here are those that
need something of this stack.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from docker_gateway_caller import VERSION, Answer, Caller
from harness import Stack

CREATE = f"{VERSION}/containers/create?name="


def volume(source: str, **more: Any) -> Callable[[Stack], dict[str, Any]]:
    """A mount of a volume of this stack, or of one that the engine would make."""
    return lambda stack: {
        "Type": "volume",
        "Source": source.format(project=stack.project),
        "Target": "/stolen",
        **more,
    }


MOUNTS = {
    "secrets of another location": volume("{project}_secrets_elt"),
    "secrets of the control plane": volume("{project}_secrets_control_plane"),
    "the way to this gateway": volume("{project}_docker_gateway_daemon"),
    "Postgres's data": volume("{project}_postgres"),
    "a host folder by a volume's driver": volume(
        "innocent",
        VolumeOptions={
            "DriverConfig": {
                "Name": "local",
                "Options": {"type": "none", "o": "bind", "device": "/"},
            }
        },
    ),
}


def refused(daemon: Caller, answer: Answer, name: str) -> None:
    """By the gateway, with a reason that its log has, and with nothing created."""
    made = daemon.stack.run("docker", "ps", "-aq", "--filter", f"name=^{name}$").split()
    for container in made:
        daemon.stack.run("docker", "rm", "--force", container)
    assert not made
    assert answer.status in {400, 403}, answer
    assert answer.reason, answer
    assert daemon.logged(answer.reason)["client"] == "daemon"


def test_the_copy_itself_is_created(
    stack: Stack, daemon: Caller, body: dict[str, Any], name: str
) -> None:
    """And what the engine makes of it is what the service has."""
    made = daemon.ask("POST", CREATE + name, body)
    assert made.status == 201, made
    copied, service = stack.inspect(name), stack.inspect(stack.container("analytics"))
    assert daemon.ask("DELETE", f"{VERSION}/containers/{copied['Id']}?v=True").status == 204
    runs_own = {"CpuShares", "OomScoreAdj", "RestartPolicy"}
    differ = {
        key
        for key, value in service["HostConfig"].items()
        if (copied["HostConfig"][key] or None) != (value or None)
    }
    assert differ <= runs_own
    for key in ("User", "WorkingDir", "Entrypoint", "StopTimeout", "Image"):
        assert copied["Config"].get(key) == service["Config"].get(key), key
    own = copied["Config"]["Labels"]
    assert not [key for key, text in own.items() if key.startswith("com.docker.compose.") and text]


@pytest.mark.parametrize(
    "change",
    [
        {"Privileged": True},
        {"Binds": ["/:/host"]},
        {"CapDrop": []},
        {"PidsLimit": -1},
        {"OptionOfNextYear": True},
    ],
    ids=str,
)
def test_no_option_that_the_service_has_not(
    daemon: Caller, body: dict[str, Any], name: str, change: dict[str, object]
) -> None:
    body["HostConfig"] |= change
    refused(daemon, daemon.ask("POST", CREATE + name, body), name)


@pytest.mark.parametrize("image", ["control-plane", "docker-gateway", "elt"])
def test_no_image_of_another_service(
    daemon: Caller, body: dict[str, Any], name: str, image: str
) -> None:
    body["Image"] = f"{daemon.stack.project}/{image}:live"
    refused(daemon, daemon.ask("POST", CREATE + name, body), name)


@pytest.mark.parametrize("mount", MOUNTS)
def test_no_mount_that_the_service_has_not(
    daemon: Caller, body: dict[str, Any], name: str, mount: str
) -> None:
    mounts = body["HostConfig"].get("Mounts") or []
    body["HostConfig"]["Mounts"] = [*mounts, MOUNTS[mount](daemon.stack)]
    refused(daemon, daemon.ask("POST", CREATE + name, body), name)


def test_no_mount_by_the_older_way(daemon: Caller, body: dict[str, Any], name: str) -> None:
    stolen = f"{daemon.stack.project}_secrets_elt:/stolen"
    body["HostConfig"]["Binds"] = [*(body["HostConfig"]["Binds"] or []), stolen]
    refused(daemon, daemon.ask("POST", CREATE + name, body), name)


def test_no_network_of_another_container(daemon: Caller, body: dict[str, Any], name: str) -> None:
    body["HostConfig"]["NetworkMode"] = f"container:{daemon.stack.container('postgres')}"
    refused(daemon, daemon.ask("POST", CREATE + name, body), name)
    body["HostConfig"]["NetworkMode"] = f"{daemon.stack.project}_objects"
    refused(daemon, daemon.ask("POST", CREATE + name, body), name)


def test_no_body_with_two_meanings(daemon: Caller, body: dict[str, Any], name: str) -> None:
    """The engine takes the last of two keys, and keys in any case."""
    good = json.dumps(body)
    bad = json.dumps({**body["HostConfig"], "Privileged": True})
    for key in ("HostConfig", "hostConfig", "Host\\u0043onfig"):
        text = f'{good[:-1]}, "{key}": {bad}}}'
        refused(daemon, daemon.ask("POST", CREATE + name, text), name)
