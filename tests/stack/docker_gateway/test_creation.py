"""What may be created: a copy of a code location's service. Every way out of that is tried."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from docker_gateway_caller import VERSION, Answer, Caller
from harness import Stack

CREATE = f"{VERSION}/containers/create?name="

# Options that the service does not have: for the host, for the daemon's secrets, for others'.
HOST_CONFIG: dict[str, Any] = {
    "Privileged": True,
    "CapAdd": ["SYS_ADMIN"],
    "CapDrop": [],
    "SecurityOpt": ["no-new-privileges:true", "seccomp=unconfined"],
    "ReadonlyRootfs": False,
    "PidMode": "host",
    "IpcMode": "host",
    "UTSMode": "host",
    "UsernsMode": "host",
    "Cgroup": "host",
    "CgroupParent": "/",
    "NetworkMode": "host",
    "Binds": ["/:/host"],
    "Mounts": [{"Type": "bind", "Source": "/", "Target": "/host"}],
    "VolumesFrom": ["{postgres}"],
    "Devices": [{"PathOnHost": "/dev/sda", "PathInContainer": "/d", "CgroupPermissions": "rwm"}],
    "DeviceCgroupRules": ["a *:* rwm"],
    "DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}],
    "Sysctls": {"kernel.core_pattern": "|/tmp/x"},
    "Runtime": "other",
    "Isolation": "hyperv",
    "StorageOpt": {"size": "1000G"},
    "MaskedPaths": [],
    "ReadonlyPaths": [],
    "Tmpfs": {"/run/secrets": ""},
    "GroupAdd": ["0"],
    "ExtraHosts": ["postgres:203.0.113.1"],
    "Dns": ["203.0.113.1"],
    "Ulimits": [{"Name": "nofile", "Soft": -1, "Hard": -1}],
    "PidsLimit": -1,
    "Memory": 0,
    "OomScoreAdj": -1000,
    "OomKillDisable": True,
    "CpuShares": 262144,
    "LogConfig": {"Type": "syslog", "Config": {"syslog-address": "tcp://203.0.113.1:1"}},
    "Links": ["{postgres}:postgres"],
    "PortBindings": {"22/tcp": [{"HostIp": "0.0.0.0", "HostPort": "2222"}]},
    "PublishAllPorts": True,
    "RestartPolicy": {"Name": "always"},
    "AutoRemove": True,
    "ContainerIDFile": "/etc/cron.d/x",
    # Go reads keys in any case.
    "privileged": True,
    "PRIVILEGED": True,
    "binds": ["/:/host"],
    "OptionOfNextYear": True,
}
CONFIG: dict[str, Any] = {
    "User": "root",
    "Entrypoint": ["sh"],
    "Image": "postgres:17-trixie",
    "Hostname": "postgres",
    "MacAddress": "02:42:ac:11:00:02",
    "ExposedPorts": {"22/tcp": {}},
    "Volumes": {"/var/lib/docker": {}},
    "NetworkDisabled": False,
    "NetworkingConfig": {"EndpointsConfig": {"x": {"Aliases": ["postgres"]}}},
    "Healthcheck": {"Test": ["CMD-SHELL", "id"]},
    "StopTimeout": 100000,
    "OpenStdin": True,
    "hostconfig": None,
    "hostConfig": {"Privileged": True},
    "image": "postgres:17-trixie",
    "HostConfig": None,
    "Labels": None,
}


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

LABELS = {
    "compose_run_launcher.project": "another",
    "compose_run_launcher.role": "code-location",
    "compose_run_launcher.location": "elt",
    "com.docker.compose.project": "another",
    "com.docker.compose.service": "postgres",
}

NAMES = ["{project}-postgres-2", "postgres", "{project}-run-x", "another-run-{id}", ""]


def refused(daemon: Caller, answer: Answer, name: str) -> None:
    """By the gateway, with a reason that its log has, and with nothing created."""
    made = daemon.stack.run("docker", "ps", "-aq", "--filter", f"name=^{name}$").split()
    for container in made:
        daemon.stack.run("docker", "rm", "--force", container)
    assert not made
    assert answer.status in {400, 403}, answer
    assert answer.reason, answer
    assert daemon.logged(answer.reason)["client"] == "daemon"


def test_the_copy_itself_is_created(daemon: Caller, body: dict[str, Any], name: str) -> None:
    made = daemon.ask("POST", CREATE + name, body)
    assert made.status == 201, made
    identity = json.loads(made.body)["Id"]
    assert daemon.ask("DELETE", f"{VERSION}/containers/{identity}?v=True").status == 204


@pytest.mark.parametrize("option", HOST_CONFIG)
def test_no_option_that_the_service_has_not(
    daemon: Caller, body: dict[str, Any], name: str, option: str
) -> None:
    postgres = daemon.stack.container("postgres")
    text = json.dumps(HOST_CONFIG[option]).replace("{postgres}", postgres)
    body["HostConfig"][option] = json.loads(text)
    refused(daemon, daemon.ask("POST", CREATE + name, body), name)


def test_no_other_namespace_of_cgroups(daemon: Caller, body: dict[str, Any], name: str) -> None:
    """An engine with cgroup v1 gives the host's to all, one with v2 gives each its own."""
    own = body["HostConfig"]["CgroupnsMode"]
    body["HostConfig"]["CgroupnsMode"] = "private" if own == "host" else "host"
    refused(daemon, daemon.ask("POST", CREATE + name, body), name)


@pytest.mark.parametrize(
    "option", ["CapDrop", "SecurityOpt", "ReadonlyRootfs", "Memory", "PidsLimit"]
)
def test_no_guard_of_the_service_is_left_out(
    daemon: Caller, body: dict[str, Any], name: str, option: str
) -> None:
    del body["HostConfig"][option]
    refused(daemon, daemon.ask("POST", CREATE + name, body), name)


@pytest.mark.parametrize("option", CONFIG)
def test_no_configuration_that_the_service_has_not(
    daemon: Caller, body: dict[str, Any], name: str, option: str
) -> None:
    body[option] = CONFIG[option]
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


@pytest.mark.parametrize("label", LABELS)
def test_no_label_that_is_not_its_own(
    daemon: Caller, body: dict[str, Any], name: str, label: str
) -> None:
    body["Labels"][label] = LABELS[label]
    refused(daemon, daemon.ask("POST", CREATE + name, body), name)


@pytest.mark.parametrize("pattern", NAMES)
def test_no_name_that_is_not_a_runs(daemon: Caller, body: dict[str, Any], pattern: str) -> None:
    identity = body["Labels"]["dagster/run_id"]
    name = pattern.format(project=daemon.stack.project, id=identity)
    answer = daemon.ask("POST", CREATE + name, body)
    assert answer.status == 403, answer
    assert daemon.logged(answer.reason)["status"] == 403


def texts(body: dict[str, Any]) -> dict[str, str]:
    """The body in ways that two readers may read in two ways."""
    good = json.dumps(body)
    bad = json.dumps({**body["HostConfig"], "Privileged": True})
    return {
        "two keys of one name, the good one first": f'{good[:-1]}, "HostConfig": {bad}}}',
        "two keys of one name, the bad one first": f'{{"HostConfig": {bad}, {good[1:]}',
        "the second key is escaped": f'{good[:-1]}, "Host\\u0043onfig": {bad}}}',
        "a key within, twice": good.replace(
            '"Privileged": false', '"Privileged": false, "Privileged": true'
        ),
        "a second value after the first": f'{good} {{"HostConfig": {bad}}}',
        "a byte order mark": f"\ufeff{good}",
        "a comment": good.replace("{", "{/*", 1) + "*/",
        "a comma before the end": f"{good[:-1]},}}",
        "a list": f"[{good}]",
        "cut off": good[:-10],
        "too deep": '{"a":' * 40 + "1" + "}" * 40,
        "too large": good[:-1] + ', "x": "' + "x" * 190_000 + '"}',
        "far too large": good[:-1] + ', "x": "' + "x" * 900_000 + '"}',
    }


@pytest.mark.parametrize("way", texts({"HostConfig": {"Privileged": False}}))
def test_no_body_with_two_meanings(
    daemon: Caller, body: dict[str, Any], name: str, way: str
) -> None:
    answer = daemon.ask("POST", CREATE + name, texts(body)[way])
    refused(daemon, answer, name)


def test_no_body_in_another_encoding(daemon: Caller, body: dict[str, Any], name: str) -> None:
    for encoding in ("utf-16", "utf-32"):
        content = json.dumps(body).encode(encoding)
        head = (
            f"POST {CREATE}{name} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
        )
        refused(daemon, daemon.send(head.encode() + content), name)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": ""},
        {"Content-Length": "", "Transfer-Encoding": "chunked"},
        {"Transfer-Encoding": "chunked"},
        {"Upgrade": "tcp", "Connection": "Upgrade"},
    ],
    ids=str,
)
def test_no_body_that_comes_in_another_way(
    daemon: Caller, body: dict[str, Any], name: str, headers: dict[str, str]
) -> None:
    content: object = body
    if "Transfer-Encoding" in headers:
        text = json.dumps(body)
        content = f"{len(text):x}\r\n{text}\r\n0\r\n\r\n"
    refused(daemon, daemon.ask("POST", CREATE + name, content, headers), name)
