"""A clean clone, `make up`, and all is well."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from harness import Stack

Services = dict[str, dict[str, Any]]

LONG_RUNNING = {
    "postgres",
    "object_store",
    "docker_gateway",
    "rpc_networks",
    "outside_rules",
    "elt",
    "analytics",
    "workspace",
    "webserver",
    "web_gateway",
    "daemon",
}

# Lines that contain a word of alarm and mean that all is well.
HARMLESS = re.compile(
    r'enabling "trust" authentication for local'  # initdb: the socket of its own container
    r"|No cursor for event type"  # Dagster's event log consumer, at its very first look
    r"|EventletDeprecationWarning"  # the object store's stand-in
    r"|webserver(_viewer)?/webserver(_viewer)?[ :]"  # the web gateway: that comes or goes
)


def inspect_services(stack: Stack) -> dict[str, dict[str, Any]]:
    """Inspected containers by service, the tests' own left out."""
    names = set(stack.compose("config", "--services").split()) - set(stack.added_locations)
    own = {name for name in names if name.startswith("test_")}
    return {name: stack.inspect(stack.container(name)) for name in names - own}


@pytest.fixture(scope="module")
def services(stack: Stack) -> dict[str, dict[str, Any]]:
    """The same, once for all tests that change nothing."""
    return inspect_services(stack)


def test_make_up_shows_the_table(stack: Stack) -> None:
    assert stack.url in stack.first_start
    for location in ("elt", "analytics"):
        line = rf"{location}\s+LOADED\s+{stack.project}/{location}:[0-9a-f]{{12}}"
        assert re.search(line, stack.first_start), stack.first_start
    for schedule in ("sync_tables_job", "sync_users_job", "regenerate_analytics_job"):
        line = rf"{schedule}_schedule\s+\w+\s+0 \S+ \* \* \*\s+\d{{4}}-\d\d-\d\d \d\d:\d\d \(in"
        assert re.search(line, stack.first_start), stack.first_start


def test_plain_compose_agrees_that_all_is_up(stack: Stack, services: Services) -> None:
    before = {name: container["Id"] for name, container in services.items()}
    stack.compose("up", "--detach", "--build", "--wait")
    after = {name: container["Id"] for name, container in inspect_services(stack).items()}
    assert after == before


def test_long_running_services_are_healthy(services: Services) -> None:
    for name, container in services.items():
        if name in LONG_RUNNING:
            assert container["State"]["Health"]["Status"] == "healthy", name
            assert container["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped", name
        else:
            assert container["State"]["ExitCode"] == 0, name


def test_logs_hold_nothing_to_worry_about(stack: Stack) -> None:
    logs = stack.first_logs
    assert "Serving dagster-webserver" in logs
    alarming = re.compile(r"\b(warn(ing)?|error|fatal|traceback|exception|critical)\b", re.I)
    found = [
        line for line in logs.splitlines() if alarming.search(line) and not HARMLESS.search(line)
    ]
    assert found == []


def test_services_are_confined(services: Services) -> None:
    for name, container in services.items():
        host = container["HostConfig"]
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert host["Memory"] > 0, name
        assert host["PidsLimit"] == 1024, name
        assert host["LogConfig"]["Config"]["max-size"], name
        # Those that need root, and why, are in docker-compose.yml.
        root = container["Config"]["User"] in {"", "0", "0:0", "root"}
        assert root == (name in {"secrets", "docker_gateway", "outside_rules"}), name
        wanted = {"outside_rules": {"NET_ADMIN"}, "secrets": {"CHOWN", "DAC_OVERRIDE"}}
        # Some engines put CAP_ before their names.
        added = {capability.removeprefix("CAP_") for capability in host["CapAdd"] or []}
        assert added == wanted.get(name, set()), name


def test_services_of_profiles_are_confined_too(stack: Stack, services: Services) -> None:
    shown = json.loads(stack.compose("--profile=*", "config", "--format=json"))["services"]
    further = {"webserver_viewer", "sso", "warehouse_port", "exporter", "prometheus", "grafana"}
    assert further <= shown.keys() - services.keys()
    for name in further:
        service = shown[name]
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["pids_limit"] and service["mem_limit"], name
        ports = service.get("ports", [])
        assert [port["host_ip"] for port in ports] == ["127.0.0.1"] * len(ports), name
        assert bool(ports) == (name == "warehouse_port"), name
    # Of the others, the image names a user, which the running ones show.
    assert shown["sso"]["user"] == "65532:65532"
    assert set(shown["sso"]["networks"]) == {"sso", "outside"}
    for name, user in {"prometheus": "65534:65534", "grafana": "472:0"}.items():
        assert shown[name]["user"] == user
        assert set(shown[name]["networks"]) == {"monitoring"}
    assert set(shown["exporter"]["networks"]) == {"control", "monitoring"}
    assert shown["warehouse_port"]["user"] == "99:99"
    assert set(shown["warehouse_port"]["networks"]) == {"core", "warehouse_port"}


def test_only_the_ui_is_published_and_on_loopback(services: Services) -> None:
    published = {
        (name, binding["HostIp"])
        for name, container in services.items()
        for bindings in container["HostConfig"]["PortBindings"].values()
        for binding in bindings or []
    }
    assert published == {("web_gateway", "127.0.0.1")}


def test_the_socket_is_the_docker_gateways_alone(services: Services) -> None:
    holders = {
        name
        for name, container in services.items()
        for mount in container["Mounts"]
        if "docker.sock" in mount["Source"]
    }
    assert holders == {"docker_gateway"}


def test_each_consumer_holds_its_own_secrets_alone(stack: Stack, services: Services) -> None:
    expected = {
        "postgres": {"postgres_password"},
        "webserver": {"dagster_password"},
        "daemon": {"dagster_password"},
        "elt": {"elt_password", "object_store_access_key", "object_store_secret_key"},
        "analytics": {"analytics_password"},
        "object_store": {"object_store_access_key", "object_store_secret_key"},
    }
    for service, names in expected.items():
        listed = stack.compose("exec", "-T", service, "ls", "-1", "/run/secrets").split()
        assert set(listed) == names, service
        modes = stack.compose(
            "exec", "-T", service, "stat", "-c", "%a", *(f"/run/secrets/{name}" for name in names)
        ).split()
        assert set(modes) == {"400"}, service
    assert "/run/secrets" not in str(services["docker_gateway"]["Mounts"])


def test_no_password_can_be_seen_by_inspecting(stack: Stack, services: Services) -> None:
    read = "cat /run/secrets/*_password"
    password = stack.compose("exec", "-T", "elt", "sh", "-c", read).strip()
    assert len(password) > 30
    assert password not in str(services)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("ps", "webserver"),
        ("status", "sync_tables_job_schedule"),
        ("help", "Build and start the stack with Docker"),
    ],
)
def test_make_targets_that_only_look(stack: Stack, target: str, expected: str) -> None:
    shown = stack.run("make", target)
    assert expected in shown
    assert "Traceback" not in shown
