"""A company's authorities, proxy and mirrors: what of `.env` reaches builds and services."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stackctl.docker import COMPOSE_FILE, ROOT
from stackctl.stack import Stack

needs_docker = pytest.mark.skipif(shutil.which("docker") is None, reason="needs the docker command")

PROXY = "http://proxy.example.com:3128"
INDEX = "https://pypi.example.com/simple"
SETTINGS = f"""HTTP_PROXY={PROXY}
HTTPS_PROXY={PROXY}
NO_PROXY=.example.com
PIP_INDEX_URL={INDEX}
UV_DEFAULT_INDEX={INDEX}
NETRC=/home/someone/.netrc
CA_CERTIFICATES=deploy/company
"""
OWN_NAMES = "localhost,127.0.0.1,postgres,object-store,web-gateway-inside"


def resolved(folder: Path, settings: str) -> dict[str, Any]:
    shutil.copy(ROOT / COMPOSE_FILE, folder)
    (folder / ".env").write_text(settings)
    done = subprocess.run(
        ["docker", "compose", "--profile=*", "config", "--format=json"],
        cwd=folder,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def given(arguments: dict[str, str | None]) -> dict[str, str]:
    """What a build or a container gets: Compose leaves out what has no value."""
    return {name: value for name, value in arguments.items() if value is not None}


def python_images(config: dict[str, Any]) -> dict[str, Any]:
    """Build sections of the images with Python packages, by service."""
    builds = {name: service.get("build") for name, service in config["services"].items()}
    # HAProxy's has none.
    return {name: build for name, build in builds.items() if build and name != "web_gateway"}


@needs_docker
def test_what_builds_get(tmp_path: Path) -> None:
    config = resolved(tmp_path, SETTINGS)
    builds = python_images(config)
    control_plane = {"webserver", "secrets", "migrate", "workspace", "docker_gateway"}
    assert control_plane | {"elt", "analytics"} <= set(builds)
    for name, build in builds.items():
        arguments = given(build["args"])
        assert arguments["HTTP_PROXY"] == arguments["HTTPS_PROXY"] == PROXY, name
        assert arguments["NO_PROXY"] == ".example.com"
        assert arguments["PIP_INDEX_URL"] == arguments["UV_DEFAULT_INDEX"] == INDEX
        assert build["additional_contexts"]["ca"] == str(tmp_path / "deploy/company")
        assert build["additional_contexts"]["wheels"] == str(tmp_path / "deploy/wheels")
        assert [secret["source"] for secret in build["secrets"]] == ["netrc"]
    assert config["secrets"]["netrc"]["file"] == "/home/someone/.netrc"


@needs_docker
def test_what_code_locations_and_sign_on_get(tmp_path: Path) -> None:
    config = resolved(tmp_path, SETTINGS)
    services = config["services"]
    for name in (*Stack(config).locations, "sso"):
        environment = given(services[name]["environment"])
        assert environment["HTTP_PROXY"] == environment["HTTPS_PROXY"] == PROXY, name
        assert environment["NO_PROXY"] == f".example.com,{OWN_NAMES}"
    mounted = {mount["target"]: mount["source"] for mount in services["sso"]["volumes"]}
    assert mounted["/etc/ssl/company"] == str(tmp_path / "deploy/company")
    # Nothing of the control plane goes out, and no mirror's address reaches a container.
    for name in ("webserver", "daemon", "migrate"):
        assert "HTTPS_PROXY" not in services[name]["environment"]
    for name, service in services.items():
        assert "INDEX" not in str(service.get("environment")), name


@needs_docker
def test_what_is_not_set_is_not_given(tmp_path: Path) -> None:
    """An empty argument would hide a proxy of Docker's own settings."""
    config = resolved(tmp_path, "")
    for build in python_images(config).values():
        assert not {"HTTP_PROXY", "PIP_INDEX_URL", "UV_DEFAULT_INDEX"} & set(given(build["args"]))
        assert build["additional_contexts"]["ca"] == str(tmp_path / "deploy/ca")
    assert config["secrets"]["netrc"]["file"] == str(tmp_path / "deploy/ca/no-netrc")
    environment = given(config["services"]["elt"]["environment"])
    assert "HTTPS_PROXY" not in environment
    assert environment["NO_PROXY"] == OWN_NAMES


def test_own_names_are_all_of_them() -> None:
    """Each name by which a code location or sign-on reaches a part of the stack."""
    text = (ROOT / COMPOSE_FILE).read_text()
    for name in ("DAGSTER_POSTGRES_HOST: postgres", "//object-store:", "//web-gateway-inside:"):
        assert name in text


def on_this_machine(folder: Path, settings: str, **shell: str) -> dict[str, str]:
    """The environment in which deploy/tools/uv starts uv."""
    tools = folder / "deploy/tools"
    tools.mkdir(parents=True, exist_ok=True)
    for name in ("uv", "network.sh", "python.sh"):
        shutil.copy(ROOT / "deploy/tools" / name, tools)
    (folder / ".env").write_text(settings)
    (version,) = re.findall(r"^version=(.*)$", (tools / "uv").read_text(), re.MULTILINE)
    (folder / ".tools").mkdir(exist_ok=True)
    stand_in = folder / ".tools" / f"uv-{version}"
    stand_in.write_text("#!/bin/sh\nenv\n")
    stand_in.chmod(0o755)
    environment = {"PATH": os.environ["PATH"]} | shell
    done = subprocess.run(
        [tools / "uv"], env=environment, capture_output=True, text=True, check=True
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def test_what_is_installed_on_this_machine_itself(tmp_path: Path) -> None:
    """`make dev`, the tests, stackctl."""
    (tmp_path / "deploy/company").mkdir(parents=True)
    (tmp_path / "deploy/company/company.crt").write_text("an authority\n")
    environment = on_this_machine(tmp_path, SETTINGS, NO_PROXY="shell.example.com")
    assert environment["HTTPS_PROXY"] == environment["HTTP_PROXY"] == PROXY
    assert environment["UV_DEFAULT_INDEX"] == environment["PIP_INDEX_URL"] == INDEX
    # The parts of the embedded mode ask each other there.
    assert environment["NO_PROXY"] == "shell.example.com,localhost,127.0.0.1"
    bundle = environment["SSL_CERT_FILE"]
    assert bundle == environment["REQUESTS_CA_BUNDLE"] == environment["PIP_CERT"]
    assert Path(bundle).read_text().endswith("an authority\n")
    assert "BEGIN CERTIFICATE" in Path(bundle).read_text()


def test_the_wheels_of_a_bundle_come_before_mirrors(tmp_path: Path) -> None:
    wheels = tmp_path / "deploy/wheels"
    wheels.mkdir(parents=True)
    (wheels / "pip.conf").touch()
    environment = on_this_machine(tmp_path, SETTINGS)
    assert environment["UV_OFFLINE"] == environment["UV_NO_INDEX"] == "1"
    assert environment["PIP_NO_INDEX"] == "1"
    assert environment["UV_FIND_LINKS"] == environment["PIP_FIND_LINKS"] == str(wheels)
    assert not {"UV_DEFAULT_INDEX", "PIP_INDEX_URL"} & set(environment)


def test_without_settings_this_machines_own_hold(tmp_path: Path) -> None:
    environment = on_this_machine(tmp_path, "", SSL_CERT_FILE="/mine.pem")
    assert environment["SSL_CERT_FILE"] == "/mine.pem"
    assert not {"HTTPS_PROXY", "PIP_INDEX_URL", "PIP_CERT"} & set(environment)
