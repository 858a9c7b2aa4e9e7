"""The copy of a service, from what the engine says of it to what the engine is asked for."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from compose_run_launcher import labels
from compose_run_launcher.service_copy import RunContainer, run_container

IMAGE: dict[str, Any] = {
    "Id": "sha256:image",
    "Config": {
        "Env": ["PATH=/app/.venv/bin:/bin", "PYTHONPATH=/app/src"],
        "Cmd": ["dagster", "api", "grpc"],
        "Entrypoint": ["entrypoint"],
        "User": "10001:10001",
        "WorkingDir": "/app",
        "Labels": {
            "com.docker.compose.project": "stack",
            "com.docker.compose.version": "2",
            "org.opencontainers.image.title": "elt",
        },
    },
}

SERVICE: dict[str, Any] = {
    "Id": "0123456789abcdef",
    "Image": "sha256:image",
    "Config": {
        "Hostname": "0123456789ab",
        "Domainname": "",
        "User": "10001:10001",
        "AttachStdout": True,
        "ExposedPorts": {"4000/tcp": {}},
        "Tty": False,
        "OpenStdin": False,
        "Env": [
            "WAREHOUSE_HOST=postgres",
            "TOKEN=a=b",
            "PATH=/app/.venv/bin:/bin",
            "PYTHONPATH=/app/src",
        ],
        "Cmd": ["dagster", "api", "grpc"],
        "Healthcheck": {"Test": ["CMD", "probe"]},
        "Image": "stack/elt:live",
        "Volumes": None,
        "WorkingDir": "/app",
        "Entrypoint": ["entrypoint"],
        "Labels": {
            "com.docker.compose.project": "stack",
            "com.docker.compose.service": "elt",
            "compose_run_launcher.role": "code-location",
            "org.opencontainers.image.title": "elt",
            "team": "data",
        },
        "StopTimeout": 30,
    },
    "HostConfig": {
        "Binds": ["/srv/files:/files:ro"],
        "Mounts": [{"Type": "volume", "Source": "stack_secrets_elt", "Target": "/run/secrets"}],
        "NetworkMode": "stack_core",
        "PortBindings": {"4000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "4000"}]},
        "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
        "AutoRemove": False,
        "CapDrop": ["ALL"],
        "Memory": 1073741824,
        "NanoCpus": 500000000,
        "ReadonlyRootfs": True,
        "SecurityOpt": ["no-new-privileges:true"],
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}},
        "ExtraHosts": ["api:10.0.0.1"],
        "Tmpfs": {"/tmp": ""},
        "PublishAllPorts": False,
        "ConsoleSize": [0, 0],
        "ContainerIDFile": "",
        "Links": None,
    },
    "NetworkSettings": {
        "Networks": {
            "stack_objects": {"Aliases": ["elt"], "IPAddress": "172.18.0.2"},
            "stack_core": {"Aliases": ["elt"], "IPAddress": "172.19.0.2"},
        }
    },
}


def copied(service: dict[str, Any] = SERVICE, image: dict[str, Any] = IMAGE) -> RunContainer:
    """A run container of the service."""
    return run_container(
        service,
        image,
        image="stack/elt:abc",
        command=["dagster", "api", "execute_run", "{}"],
        environment={"DAGSTER_RUN_JOB_NAME": "job"},
        labels=labels.for_run("stack", "elt", "run-1", "job"),
    )


def changed(section: str, **values: Any) -> dict[str, Any]:
    """The service with other values in a section."""
    service = copy.deepcopy(SERVICE)
    service[section].update(values)
    return service


@pytest.mark.parametrize(
    "key",
    [
        "Binds",
        "Mounts",
        "CapDrop",
        "Memory",
        "NanoCpus",
        "ReadonlyRootfs",
        "SecurityOpt",
        "LogConfig",
        "ExtraHosts",
        "Tmpfs",
    ],
)
def test_what_confines_and_feeds_a_service_holds_for_its_runs(key: str) -> None:
    assert copied().config["HostConfig"][key] == SERVICE["HostConfig"][key]


@pytest.mark.parametrize(
    "key", ["PortBindings", "RestartPolicy", "AutoRemove", "ContainerIDFile", "ConsoleSize"]
)
def test_a_run_is_no_server_and_is_not_restarted(key: str) -> None:
    assert key not in copied().config["HostConfig"]


@pytest.mark.parametrize("key", ["Hostname", "ExposedPorts", "Tty", "AttachStdout", "Volumes"])
def test_what_is_the_services_own_stays_with_it(key: str) -> None:
    assert key not in copied().config


def test_it_runs_the_given_command_of_the_given_image_unwatched() -> None:
    config = copied().config
    assert config["Image"] == "stack/elt:abc"
    assert config["Cmd"] == ["dagster", "api", "execute_run", "{}"]
    assert config["Healthcheck"] == {"Test": ["NONE"]}
    assert config["StopTimeout"] == 30


def test_variables_are_the_services_without_those_of_its_image() -> None:
    assert copied().config["Env"] == [
        "WAREHOUSE_HOST=postgres",
        "TOKEN=a=b",
        "DAGSTER_RUN_JOB_NAME=job",
    ]


def test_a_variable_of_the_image_that_the_service_sets_anew_is_the_services() -> None:
    service = changed("Config", Env=["PYTHONPATH=/elsewhere"])
    assert "PYTHONPATH=/elsewhere" in copied(service).config["Env"]


def test_the_launchers_variables_win() -> None:
    service = changed("Config", Env=["DAGSTER_RUN_JOB_NAME=other"])
    assert copied(service).config["Env"] == ["DAGSTER_RUN_JOB_NAME=job"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("User", "0:0"), ("WorkingDir", "/srv"), ("Entrypoint", ["other"]), ("StopSignal", "SIGINT")],
)
def test_what_the_service_sets_against_its_image_is_copied(key: str, value: Any) -> None:
    assert key not in copied().config
    assert copied(changed("Config", **{key: value})).config[key] == value


def test_labels_are_the_services_own_and_the_runs_and_composes_are_blanked() -> None:
    assert copied().config["Labels"] == {
        "com.docker.compose.project": "",
        "com.docker.compose.service": "",
        "com.docker.compose.version": "",
        "team": "data",
        "compose_run_launcher.project": "stack",
        "compose_run_launcher.location": "elt",
        "compose_run_launcher.role": "run",
        "dagster/run_id": "run-1",
        "dagster/job_name": "job",
    }


def test_all_networks_are_joined_without_the_services_names() -> None:
    container = copied()
    assert container.config["HostConfig"]["NetworkMode"] == "stack_core"
    assert container.further_networks == ("stack_objects",)
    assert "NetworkingConfig" not in container.config


@pytest.mark.parametrize("mode", ["stack_core", "stack_rpc_elt"])
def test_the_rpc_network_is_left_out(mode: str) -> None:
    service = changed("HostConfig", NetworkMode=mode)
    service["NetworkSettings"]["Networks"]["stack_rpc_elt"] = {"IPAddress": "198.18.0.2"}
    container = copied(service)
    assert container.config["HostConfig"]["NetworkMode"] == "stack_core"
    assert container.further_networks == ("stack_objects",)


def test_a_service_that_is_in_its_rpc_network_alone_has_runs_in_none() -> None:
    service = changed("HostConfig", NetworkMode="stack_rpc_elt")
    service["NetworkSettings"]["Networks"] = {"stack_rpc_elt": {"IPAddress": "198.18.0.2"}}
    container = copied(service)
    assert container.config["HostConfig"]["NetworkMode"] == "none"
    assert container.further_networks == ()


@pytest.mark.parametrize("mode", ["host", "none", "container:abc"])
def test_a_mode_that_is_no_network_is_kept(mode: str) -> None:
    container = copied(changed("HostConfig", NetworkMode=mode))
    assert container.config["HostConfig"]["NetworkMode"] == mode
    assert container.further_networks == ()


def test_the_service_is_left_as_it_was() -> None:
    before = copy.deepcopy(SERVICE)
    copied()
    assert before == SERVICE


def test_an_image_without_settings_is_no_obstacle() -> None:
    assert copied(image={"Config": None}).config["User"] == "10001:10001"
