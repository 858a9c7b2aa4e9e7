"""What `make up` and `make reset` refuse, before an engine is asked to do anything."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from stackctl.docker import ROOT

# A command that says what the engine would, and keeps a list of what it was asked.
STAND_IN = """#!/bin/sh
echo "$*" >>"$ASKED"
case "$*" in
--version) echo "${NAME:-Docker version 28.2.2, build e6534b4}" ;;
"version "*) echo "${ENGINE:-26.1}" ;;
"compose version --short") echo "${COMPOSE:-2.26.1-4}"; exit ${NO_COMPOSE:-0} ;;
"compose config --images") echo s/elt:live; echo postgres:17 ;;
"compose config --quiet") exit 0 ;;
"compose config" | "compose config web_gateway") printf 'name: s\\n      PYTHON_IMAGE: %s\\n        published: "%s"\\n        - subnet: 198.18.224.0/20\\n' "$IMAGE" "$PORT" ;;
"network inspect "*) echo "${OUTSIDE:?no such network}" ;;
"compose ps "*) echo "${RUNNING-}" ;;
"compose build --quiet") echo "attestations: ${BUILDX_NO_DEFAULT_ATTESTATIONS-}" >>"$ASKED"; exit 1 ;;
"image inspect $HAS"*) exit 0 ;;
"image inspect postgres:17") exit 0 ;;
*) echo "stopped here: $*" >&2; exit 1 ;;
esac
"""  # noqa: E501
ALLOWED = (
    "--version",
    "version",
    "compose version",
    "compose config",
    "compose ps",
    "image inspect",
    "network inspect",
    "pull",
)

NO_ATTESTATIONS = "BUILDX_NO_DEFAULT_ATTESTATIONS"

Run = Callable[..., str]


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """The list of what docker was asked."""
    return tmp_path / "asked"


@pytest.fixture
def run(tmp_path: Path, asked: Path) -> Run:
    """Runs a script of a copy of the checkout; what it says, which ends with an error."""
    scripts = tmp_path / "checkout" / "deploy" / "stackctl"
    scripts.mkdir(parents=True)
    for name in ("up", "reset", "common.sh", "checks.sh"):
        shutil.copy(ROOT / "deploy" / "stackctl" / name, scripts)
    (scripts.parent / "tools").symlink_to(ROOT / "deploy/tools")
    shutil.copy(ROOT / "docker-compose.yml", tmp_path / "checkout")
    stand_in = tmp_path / "bin" / "docker"
    stand_in.parent.mkdir()
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)

    def run_script(
        *command: str, path: str = f"{tmp_path}/bin:{os.defpath}", given: str = "", **more: str
    ) -> str:
        environment = {"PATH": path, "ASKED": str(asked), "IMAGE": "python:3", "HAS": "python:3"}
        done = subprocess.run(
            [shutil.which("bash") or "bash", str(scripts / command[0]), *command[1:]],
            env=environment | more,
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1, done.stdout + done.stderr
        [error] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        return error

    return run_script


def test_no_docker_command(run: Run, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "dirname").symlink_to(shutil.which("dirname") or "")
    error = run("up", path=str(tools))
    assert "there is no docker command here" in error
    assert "'make dev'" in error


@pytest.mark.skipif(shutil.which("docker") is None, reason="needs the docker command")
def test_no_engine(run: Run) -> None:
    path = f"{Path(shutil.which('docker') or '').parent}:{os.defpath}"
    error = run("up", path=path, DOCKER_HOST="unix:///nowhere.sock", HOME="/nowhere")
    assert "no Docker Engine answers (" in error
    assert "nowhere.sock" in error
    assert "'make dev'" in error and "'make engine'" in error


def test_no_compose_plugin(run: Run) -> None:
    assert "docker has no compose plugin" in run("up", NO_COMPOSE="1")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"ENGINE": "25.0.3"}, "Docker Engine 25.0.3 is too old: the stack needs 26 or newer"),
        ({"COMPOSE": "2.25.0"}, "Docker Compose 2.25.0 is too old: the stack needs 2.26 or newer"),
        ({"COMPOSE": "v1.29.2"}, "Docker Compose v1.29.2 is too old"),
        # By the package podman-docker.
        ({"NAME": "podman version 5.4.2"}, "is Podman's (podman version 5.4.2)"),
    ],
)
def test_what_is_too_old_or_another_engine(
    run: Run, asked: Path, found: dict[str, str], message: str
) -> None:
    error = run("up", PORT="0", **found)
    assert message in error
    assert "Fix: " in error
    assert all(line.startswith(ALLOWED[:3]) for line in asked.read_text().splitlines())


@pytest.mark.parametrize(
    "found", [{"ENGINE": "29.0.1", "COMPOSE": "5.0.0"}, {"COMPOSE": "v2.100"}, {"ENGINE": "26.0.0"}]
)
def test_what_is_new_enough(run: Run, found: dict[str, str]) -> None:
    assert "a build failed" in run("up", PORT="0", **found)


@pytest.mark.parametrize(("setting", "expected"), [({}, "1"), ({NO_ATTESTATIONS: "0"}, "0")])
def test_an_image_does_not_say_when_it_was_built(
    run: Run, asked: Path, setting: dict[str, str], expected: str
) -> None:
    """Else each build has a new id on an engine with containerd's image store."""
    run("up", PORT="0", **setting)
    assert asked.read_text().splitlines()[-1] == f"attestations: {expected}"


def test_the_minimum_is_quoted_as_it_is_checked() -> None:
    common = (ROOT / "deploy/stackctl/common.sh").read_text()
    [(engine, compose)] = re.findall(r"ENGINE_MINIMUM=(\S+) COMPOSE_MINIMUM=(\S+)", common)
    for place in ("README.md", ".ci/engine"):
        text = (ROOT / place).read_text()
        assert set(re.findall(r"Engine (\d+)", text)) == {engine}, place
        assert set(re.findall(r"Compose (\d+\.\d+)", text)) == {compose}, place


def test_a_port_that_is_taken_is_named(run: Run, asked: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        error = run("up", PORT=port)
    assert f"port {port} is taken" in error
    assert "WEBSERVER_PORT=3001 in .env" in error
    # Nothing was built, made or started.
    assert [line for line in asked.read_text().splitlines() if not line.startswith(ALLOWED)] == []


def test_a_port_that_the_stack_itself_has_is_not_taken(run: Run, asked: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        error = run("up", PORT=str(taken.getsockname()[1]), RUNNING="0123456789ab")
    assert "a build failed" in error
    assert "compose build --quiet" in asked.read_text()


def test_a_base_image_that_cannot_be_had_is_named(run: Run, asked: Path) -> None:
    error = run("up", IMAGE="registry.invalid/python:0", PORT="0")
    assert "base image registry.invalid/python:0 can be neither found nor pulled" in error
    assert "'make dev'" in error and "'make base-images'" in error
    assert [line for line in asked.read_text().splitlines() if not line.startswith(ALLOWED)] == []


def test_a_network_whose_range_no_rule_has_is_named(run: Run, asked: Path) -> None:
    error = run("up", OUTSIDE="172.20.0.0/16", PORT="0")
    assert "the network s_outside was made with the range 172.20.0.0/16" in error
    assert "and is 198.18.224.0/20 now. Fix: make down, make up; data stays." in error
    assert "build" not in asked.read_text()
    assert "s_outside" not in run("up", OUTSIDE="198.18.224.0/20", PORT="0")


def test_what_this_project_builds_itself_is_not_pulled(run: Run, asked: Path) -> None:
    run("up", IMAGE="registry.invalid/python:0", PORT="0")
    assert "s/elt" not in asked.read_text()


@pytest.mark.parametrize("answer", ["", "\n", "yes\n", "Delete\n"])
def test_reset_deletes_nothing_unless_it_is_told_to(run: Run, asked: Path, answer: str) -> None:
    assert run("reset", given=answer, PORT="0") == "error: nothing was deleted"
    assert set(asked.read_text().splitlines()) <= {"compose config"}


@pytest.mark.skipif(shutil.which("docker") is None, reason="needs the docker command")
@pytest.mark.parametrize("setting", ["WEBSERVER_PORT=80x", "ELT_MEMORY=much"])
def test_settings_that_compose_refuses(setting: str, tmp_path: Path) -> None:
    """Compose checks the settings for `make up`, which reports that .env is invalid."""
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    (tmp_path / ".env").write_text(f"{setting}\n")
    done = subprocess.run(
        ["docker", "compose", "config", "--quiet"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "DOCKER_HOST": "unix:///nowhere.sock"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert setting.partition("=")[2] in done.stderr
