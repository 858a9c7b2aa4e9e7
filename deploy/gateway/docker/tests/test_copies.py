"""What may be created: a copy of a code location's service. The tests try every escape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from engine_stand_in import EngineStandIn, refused
from shop import CREATE, RUN_NAME, TICKET, Caller, copy_of, standby_labels

Body = dict[str, Any]

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
    "CgroupnsMode": "private",
    "NetworkMode": "host",
    "Binds": ["/:/host"],
    "Mounts": [{"Type": "bind", "Source": "/", "Target": "/host"}],
    "VolumesFrom": ["postgres"],
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
    "Links": ["postgres:postgres"],
    "PortBindings": {"22/tcp": [{"HostIp": "0.0.0.0", "HostPort": "2222"}]},
    "PublishAllPorts": True,
    "RestartPolicy": {"Name": "always"},
    "AutoRemove": True,
    "ContainerIDFile": "/etc/cron.d/x",
    "Init": 1,
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
    "Cmd": "id",
    "Env": ["LD_PRELOAD=/tmp/x"],
}
LABELS = {
    "compose_run_launcher.project": "another",
    "compose_run_launcher.role": "code-location",
    "compose_run_launcher.location": "analytics",
    "compose_run_launcher.ticket": TICKET,
    "compose_run_launcher.max_memory": "64g",
    "com.docker.compose.project": "shop",
    "com.docker.compose.service": "postgres",
    "dagster/run_id": "22222222-2222-2222-2222-222222222222",
    "prometheus.scrape": "yes",
}
NAMES = ["shop-postgres-2", "postgres", "shop-run-x", f"another{RUN_NAME[4:]}", "", f"{RUN_NAME}x"]


def test_the_copy_itself_is_created(daemon: Caller, engine: EngineStandIn, body: Body) -> None:
    answer = daemon.ask("POST", CREATE + RUN_NAME, body)
    assert answer.status == 201, answer
    [sent] = engine.sent
    assert sent.line == f"POST /v1.45/containers/create?name={RUN_NAME}"
    made = json.loads(sent.body)
    assert made["HostConfig"] == body["HostConfig"]
    assert {key: made[key] for key in body if key != "Labels"} == {
        key: body[key] for key in body if key != "Labels"
    }
    assert made["Labels"] == body["Labels"]


def test_a_standby_worker(daemon: Caller, engine: EngineStandIn, service: Body) -> None:
    image = engine.images[service["Image"]]
    body = copy_of(service, image, standby_labels(service["Id"]))
    body["HostConfig"]["CpuShares"] = 64
    name = f"shop-standby-elt-{TICKET}"
    assert daemon.ask("POST", CREATE + name, body).status == 201
    engine.requests.clear()
    refused(engine, daemon.ask("POST", f"{CREATE}shop-standby-elt-000000000000", body))
    refused(engine, daemon.ask("POST", f"{CREATE}shop-standby-analytics-{TICKET}", body))
    body["Labels"]["compose_run_launcher.service"] = "0" * 64
    refused(engine, daemon.ask("POST", CREATE + name, body))


def test_labels_of_compose_are_blank_though_nobody_says_so(
    daemon: Caller, engine: EngineStandIn, body: Body
) -> None:
    body["Labels"] = {k: v for k, v in body["Labels"].items() if "com.docker" not in k}
    assert daemon.ask("POST", CREATE + RUN_NAME, body).status == 201
    sent = json.loads(engine.sent[0].body)["Labels"]
    assert sent["com.docker.compose.project"] == sent["com.docker.compose.service"] == ""


@pytest.mark.parametrize("option", HOST_CONFIG)
def test_no_option_that_the_service_has_not(
    daemon: Caller, engine: EngineStandIn, body: Body, option: str
) -> None:
    body["HostConfig"][option] = HOST_CONFIG[option]
    refused(engine, daemon.ask("POST", CREATE + RUN_NAME, body))


@pytest.mark.parametrize(
    "option", ["CapDrop", "SecurityOpt", "ReadonlyRootfs", "Memory", "MemorySwap", "PidsLimit"]
)
def test_no_guard_of_the_service_is_left_out(
    daemon: Caller, engine: EngineStandIn, body: Body, option: str
) -> None:
    del body["HostConfig"][option]
    refused(engine, daemon.ask("POST", CREATE + RUN_NAME, body))


def test_no_user_of_the_service_is_left_out(
    daemon: Caller, engine: EngineStandIn, service: Body, body: Body
) -> None:
    """What it has from its image, a release has too; what it declares, no image has."""
    assert "User" not in body
    assert daemon.ask("POST", CREATE + RUN_NAME, body).status == 201
    engine.requests.clear()
    service["Config"]["User"] = "10002:10002"
    refused(engine, daemon.ask("POST", CREATE + RUN_NAME, body))


def test_no_variable_of_the_service_is_left_out(
    daemon: Caller, engine: EngineStandIn, body: Body
) -> None:
    body["Env"] = [entry for entry in body["Env"] if "POSTGRES_USER" not in entry]
    refused(engine, daemon.ask("POST", CREATE + RUN_NAME, body))


@pytest.mark.parametrize("option", CONFIG)
def test_no_configuration_that_the_service_has_not(
    daemon: Caller, engine: EngineStandIn, body: Body, option: str
) -> None:
    body[option] = CONFIG[option]
    refused(engine, daemon.ask("POST", CREATE + RUN_NAME, body))


@pytest.mark.parametrize("label", LABELS)
def test_no_label_that_is_not_its_own(
    daemon: Caller, engine: EngineStandIn, body: Body, label: str
) -> None:
    body["Labels"][label] = LABELS[label]
    answer = daemon.ask("POST", CREATE + RUN_NAME, body)
    # Of a location that is not there it may be there later.
    refused(engine, answer, 403, 503)


@pytest.mark.parametrize("name", NAMES)
def test_no_name_that_is_not_a_runs(
    daemon: Caller, engine: EngineStandIn, body: Body, name: str
) -> None:
    refused(engine, daemon.ask("POST", CREATE + name, body))


@pytest.mark.parametrize(
    ("option", "bad", "good"),
    [
        ("Memory", 2**30, 2**28),
        ("NanoCpus", -1, 500_000_000),
        ("CpuShares", 1025, 64),
        ("OomScoreAdj", 1001, 1000),
        ("OomScoreAdj", True, 0),
        ("CpuShares", 1.5, 512),
        ("Memory", "1g", 2**28),
    ],
)
def test_limits(
    daemon: Caller, engine: EngineStandIn, body: Body, option: str, bad: object, good: int
) -> None:
    body["HostConfig"][option] = bad
    refused(engine, daemon.ask("POST", CREATE + RUN_NAME, body))
    body["HostConfig"][option] = good
    if option == "Memory":
        del body["HostConfig"]["MemorySwap"]
    assert daemon.ask("POST", CREATE + RUN_NAME, body).status == 201
    assert json.loads(engine.sent[0].body)["HostConfig"][option] == good


def test_what_a_location_allows_by_its_labels(
    daemon: Caller, engine: EngineStandIn, service: Body, body: Body
) -> None:
    """By the service's own: a label of the image is its team's."""
    asked = {"Memory": 2**31, "NanoCpus": 3 * 10**9}
    of_location = {"max_memory": "2g", "max_cpus": "3"}
    named = {f"compose_run_launcher.{key}": text for key, text in of_location.items()}
    service["HostConfig"]["NanoCpus"] = 10**9
    service["Config"]["Labels"] |= named
    body["HostConfig"] |= asked
    del body["HostConfig"]["MemorySwap"]
    assert daemon.ask("POST", CREATE + RUN_NAME, body).status == 201
    body["HostConfig"]["Memory"] += 1
    engine.requests.clear()
    refused(engine, daemon.ask("POST", CREATE + RUN_NAME, body))
    body["HostConfig"]["Memory"] -= 1
    engine.images[service["Image"]]["Config"]["Labels"] |= named
    # An image is asked about once; this is another one.
    other = f"sha256:{'0' * 64}"
    engine.images[other] = engine.images[service["Image"]]
    service["Image"] = other
    refused(engine, daemon.ask("POST", CREATE + RUN_NAME, body))
