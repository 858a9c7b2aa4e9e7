"""What the checks look at, asked once each, and only when a check needs it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from stackctl import mode
from stackctl.control_plane import ControlPlane
from stackctl.docker import ROOT, docker, inspect
from stackctl.doctor import settings_file
from stackctl.doctor.finding import NotApplicableError
from stackctl.errors import StackctlError
from stackctl.stack import Stack

_PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
ONE_OFF = "com.docker.compose.oneoff"
_SECRETS = "/run/secrets"
_ASK_S = 30.0
_STATE_S = 60


class Facts:
    """The machine, the engine, the stack. Raises StackctlError for what cannot be asked."""

    def __init__(self, mode_: str, root: Path = ROOT) -> None:
        self.mode = mode_
        self.root = root
        # Each is copied out of the engine: once, for the checks and for the archive.
        self.secret_files = cache(_secret_files)

    # ---- settings --------------------------------------------------------------------------

    @cached_property
    def env_lines(self) -> list[tuple[str, str]]:
        """The settings of .env, in order, as often as they are there."""
        file = self.root / ".env"
        return settings_file.read(file.read_text()) if file.is_file() else []

    @cached_property
    def env(self) -> dict[str, str]:
        """The settings that apply: of .env, and over them the shell's."""
        known = self.known_settings
        shell = {name: value for name, value in os.environ.items() if name in known}
        return dict(self.env_lines) | shell

    @cached_property
    def known_settings(self) -> set[str]:
        """The names in .env.example."""
        return settings_file.names((self.root / ".env.example").read_text())

    @cached_property
    def compose_text(self) -> str:
        """docker-compose.yml as it was written."""
        return (self.root / "docker-compose.yml").read_text()

    # ---- the engine ------------------------------------------------------------------------

    def preflight(self, *command: str) -> str:
        """One check of `make up`; what it prints. Raises StackctlError with what it refuses."""
        script = str(self.root / "deploy" / "stackctl" / "preflight")
        done = subprocess.run(
            ["bash", script, *command], capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            said = lines[-1] if lines else "it failed, and said nothing"
            raise StackctlError(said.removeprefix("error: "))
        return done.stdout

    @cached_property
    def info(self) -> dict[str, Any]:
        """`docker info`. Raises NotApplicableError while no engine answers."""
        try:
            found: dict[str, Any] = json.loads(
                docker("info", "--format", "{{json .}}", seconds=_ASK_S)
            )
        except (StackctlError, ValueError):
            found = {}
        if not found.get("ServerVersion"):
            raise NotApplicableError("no Docker Engine answers")
        return found

    @cached_property
    def is_local(self) -> bool:
        """Whether the engine's files are on this machine: neither remote nor in a VM."""
        return Path(str(self.info["DockerRootDir"])).exists() and os.uname().sysname == "Linux"

    @cached_property
    def stack(self) -> Stack:
        """The compose file with the settings filled in: the services that are wanted."""
        return Stack.load()

    @cached_property
    def all_services(self) -> dict[str, Any]:
        """The services of all profiles."""
        services: dict[str, Any] = Stack.load("--profile=*").config["services"]
        return services

    @cached_property
    def containers(self) -> list[dict[str, Any]]:
        """All containers of the Compose project, as `docker inspect` has them."""
        self.info  # noqa: B018  # says that there is no engine
        label = f"--filter=label={_PROJECT}={self.stack.project}"
        return inspect("container", *docker("ps", "--all", "--quiet", label).split())

    @cached_property
    def run_containers(self) -> list[dict[str, Any]]:
        """Containers of runs, and standby workers."""
        self.info  # noqa: B018
        label = f"--filter=label=compose_run_launcher.project={self.stack.project}"
        return inspect("container", *docker("ps", "--all", "--quiet", label).split())

    def of_service(self, service: str) -> list[dict[str, Any]]:
        """Its containers, ended ones too."""
        return [
            one
            for one in self.containers
            if one["Config"]["Labels"].get(SERVICE) == service
            and one["Config"]["Labels"].get(ONE_OFF) != "True"
        ]

    def running(self, service: str) -> str:
        """Id of a container that runs. Raises NotApplicableError when there is none."""
        for one in self.of_service(service):
            if one["State"]["Running"]:
                return str(one["Id"])
        raise NotApplicableError(f"{service} is not running")

    def inside(self, service: str, *command: str) -> str:
        """What a command prints in a service's container."""
        return docker("exec", self.running(service), *command, seconds=_ASK_S)

    @cached_property
    def networks(self) -> list[dict[str, Any]]:
        """All networks of the engine."""
        self.info  # noqa: B018
        return inspect("network", *docker("network", "ls", "--quiet").split())

    # ---- Dagster ---------------------------------------------------------------------------

    @cached_property
    def control(self) -> ControlPlane:
        """Commands of the control plane."""
        self.running("webserver")
        return ControlPlane(self.stack)

    @cached_property
    def state(self) -> dict[str, Any]:
        """What Dagster says of itself (control_plane/state.py)."""
        embedded = self.mode == mode.EMBEDDED
        found: dict[str, Any] = self._embedded_state() if embedded else self.ask("state")
        return found

    def ask(self, *command: str) -> Any:
        """The answer of one of the control plane's own commands."""
        try:
            return self.control.ask(*command)
        except StackctlError as problem:
            # The end of the box in which typer says that it does not know a command.
            if not str(problem).startswith("╰"):
                raise
            raise StackctlError(
                "the control plane that runs is older than this checkout. Fix: make up"
            ) from None

    def _embedded_state(self) -> dict[str, Any]:
        if not mode.embedded_runs(self.root):
            raise NotApplicableError("the embedded mode does not run")
        port = json.loads((self.root / ".dev" / "lock").read_text())["port"]
        program = self.root / "deploy/embedded/.venv/bin/control-plane"
        prefix = self.env.get("WEB_PATH_PREFIX", "")
        url = f"http://localhost:{port}{prefix}"
        done = subprocess.run(
            [str(program), "state", "--url", url],
            capture_output=True,
            text=True,
            check=False,
            timeout=_STATE_S,
        )
        if done.returncode:
            raise StackctlError((done.stderr.strip() or "it failed").removeprefix("error: "))
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    @cached_property
    def processes(self) -> list[Mapping[str, Any]]:
        """Processes of the embedded mode; none while it does not run."""
        file = self.root / ".dev" / "processes.json"
        if not mode.embedded_runs(self.root) or not file.is_file():
            return []
        listed = json.loads(file.read_text())
        found: list[Mapping[str, Any]] = listed if isinstance(listed, list) else []
        return found

    def query(self, sql: str) -> list[list[str]]:
        """Rows of a query, as the superuser, by the socket inside Postgres' container."""
        command = ("psql", "-h", "/var/run/postgresql", "-U", "postgres", "-d", "dagster")
        answer = self.inside("postgres", *command, "-AtF", "\t", "-c", sql)
        return [line.split("\t") for line in answer.splitlines()]


@dataclass(frozen=True)
class SecretFile:
    """A file in a container's /run/secrets; its content is for the redactor alone."""

    name: str
    mode: int
    content: str


def has_secrets(container: Mapping[str, Any]) -> bool:
    """Whether a container, as inspected, has secrets mounted."""
    return any(mount["Destination"] == _SECRETS for mount in container["Mounts"])


def _secret_files(container: str) -> list[SecretFile]:
    """The secrets of a container, also of one that does not run, or that has no shell.

    Raises StackctlError when they cannot be read.
    """
    try:
        done = subprocess.run(
            ["docker", "cp", "--follow-link", f"{container}:{_SECRETS}", "-"],
            capture_output=True,
            check=True,
            timeout=_ASK_S,
        )
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            return [
                SecretFile(
                    Path(member.name).name,
                    member.mode,
                    file.read().decode(errors="replace"),
                )
                for member in archive
                if member.isfile() and (file := archive.extractfile(member))
            ]
    except (subprocess.SubprocessError, OSError, tarfile.TarError):
        raise StackctlError(f"the secrets of container {container[:12]} cannot be read") from None
