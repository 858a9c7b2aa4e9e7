"""The stack as a user has it: a folder with the project in it, make, docker, HTTP."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

REPOSITORY = Path(__file__).resolve().parents[2]
ARTIFACTS = REPOSITORY / ".artifacts"
FINAL = {"SUCCESS", "FAILURE", "CANCELED"}
# What takes long has a short form; `make soak` asks for the full one.
FULL = os.environ.get("SOAK") == "full"
# Whether the stack stays for a session that follows (tests/run).
KEEP = bool(os.environ.get("KEEP"))
# The tests' own periods, in the stack's dagster.yaml from its first start on.
SETTINGS = {
    # Ended containers go while the tests still run, and late enough to be looked into by one.
    "keep_succeeded_seconds: 300": "keep_succeeded_seconds: 60",
    # More than a cold start takes beside other tests.
    "start_timeout_seconds: 180": "start_timeout_seconds: 90",
}
# A stack beside another one leaves out what none of its scenarios uses, and what takes CPU from
# both: standby workers, and a run each minute.
QUIET = os.environ.get("QUIET_STACK") == "yes"

T = TypeVar("T")


def until(what: Callable[[], T], seconds: float, every: float = 0.5) -> T:
    """What ``what`` returns once it raises no AssertionError; its last one after ``seconds``."""
    return Retrying(
        retry=retry_if_exception_type((AssertionError, httpx.TransportError)),
        stop=stop_after_delay(seconds),
        wait=wait_fixed(every),
        reraise=True,
    )(what)


def _engine() -> httpx.HTTPTransport:
    # Loading the certificates that a socket needs none of takes a tenth of a second.
    return httpx.HTTPTransport(uds="/var/run/docker.sock", verify=False)


def engine(method: str, path: str, **arguments: Any) -> httpx.Response:
    """A call to Docker Engine that the command line does not have, or is slow at."""
    with _engine() as transport, httpx.Client(transport=transport, verify=False) as client:
        answer = client.request(method, f"http://engine{path}", **arguments)
    assert answer.is_success, answer.text
    return answer


def free_port() -> int:
    """A TCP port of loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def files() -> list[str]:
    """What git tracks or would track, as far as it exists."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [name for name in listed if (REPOSITORY / name).is_file()]


def product() -> str:
    """A hash of what a stack is made from: all files but tests and pages."""
    made_from = [name for name in files() if not name.startswith(("tests/", "bench/", "docs/"))]
    made_from += ["tests/stack/compose.tests.yml", "tests/stack/location/scenarios.py"]
    content = hashlib.sha256()
    for name in made_from:
        content.update(name.encode() + b"\0" + (REPOSITORY / name).read_bytes())
    return content.hexdigest()


@dataclass
class Stack:
    """A stack of its own name, in a folder of its own."""

    folder: Path
    port: int = field(default_factory=free_port)
    project: str = field(default_factory=lambda: f"stack-test-{uuid.uuid4().hex[:8]}")
    settings: dict[str, str] = field(default_factory=dict)
    # A compose file that adds code locations to the product's own, and their names.
    additions: str = "tests/stack/compose.tests.yml"
    added_locations: tuple[str, ...] = ("scenarios",) if QUIET else ("scenarios", "ready")
    # What `make up` printed, and what the services had logged by then.
    first_start: str = ""
    first_logs: str = ""
    # Port of the users API on the host.
    api_port: int = 0
    # When something happened that a late test asks about, in seconds since the epoch.
    moments: dict[str, float] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where the UI answers."""
        return f"http://localhost:{self.port}"

    @property
    def subnets(self) -> str:
        """Of its own: stacks on one engine may not share any, and two may run side by side."""
        return f"10.{64 + zlib.crc32(self.project.encode()) % 95 + (95 if QUIET else 0)}"

    @property
    def environment(self) -> dict[str, str]:
        """The settings, as they would be in .env."""
        files = ["docker-compose.yml", self.additions]
        return os.environ | {
            "COMPOSE_PROJECT_NAME": self.project,
            "COMPOSE_FILE": ":".join(files),
            "COMPOSE_PROFILES": "" if QUIET else "ready",
            "TICKS": "no" if QUIET else "yes",
            "STANDBY_WORKERS": "0" if QUIET else "1",
            "WEBSERVER_PORT": str(self.port),
            "STEP_LOGS_LIMIT_GB": "0.05",
            # No job of the tests has twenty old runs.
            "RETENTION_KEEP_LAST": "0",
            "RPC_SUBNETS": self.subnets,
            **self.settings,
        }

    def copy_project(self) -> None:
        """What git tracks or would track, as it stands now; and the added locations."""
        for name in files():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, self.folder / name)
        workspace = self.folder / "workspace.yaml"
        content = yaml.safe_load(workspace.read_text())
        for name in self.added_locations:
            server = {"host": name, "port": 4000, "location_name": name}
            content["load_from"].append({"grpc_server": server})
        workspace.write_text(yaml.safe_dump(content))
        self.change_settings(SETTINGS)

    def change_settings(self, changes: dict[str, str]) -> None:
        """Change lines of dagster.yaml; what is built next has them."""
        settings = self.folder / "dagster.yaml"
        changed = settings.read_text()
        for line, other in changes.items():
            assert changed.count(f" {line}\n") == 1, line
            changed = changed.replace(f" {line}\n", f" {other}\n")
        settings.write_text(changed)

    def save(self, file: Path) -> None:
        """Write down what another session needs to use this stack."""
        names = ("port", "project", "settings", "first_start", "first_logs", "api_port", "moments")
        state = {name: getattr(self, name) for name in names}
        file.write_text(json.dumps(state | {"product": product()}))

    @classmethod
    def load(cls, folder: Path, file: Path) -> Stack:
        """A stack that another session has saved."""
        state = json.loads(file.read_text())
        del state["product"]
        return cls(folder, **state)

    def follow(self, file: Path) -> None:
        """Give a saved stack the files as they are now; bring it up to date where that matters."""
        self.copy_project()
        if json.loads(file.read_text())["product"] != product():
            self.run("make", "up")
            self.save(file)

    def remove(self) -> None:
        """Take the stack down, with its data and images."""
        self.run("make", "down", check=False)
        self.compose("down", "--volumes", "--remove-orphans", "--rmi", "local", check=False)
        for image in self.run("docker", "images", "-q", f"{self.project}/*").split():
            self.run("docker", "rmi", "--force", image, check=False)
        # Such as what a restore has kept.
        own = f"--filter=label=com.docker.compose.project={self.project}"
        for volume in self.run("docker", "volume", "ls", "--quiet", own).split():
            self.run("docker", "volume", "rm", volume, check=False)

    def run(self, *command: str, check: bool = True, stdin: str = "") -> str:
        """Run a command in the stack's folder; its output, both streams in one."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            input=stdin,
            text=True,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}"
            )
        return done.stdout

    @contextmanager
    def instance_settings(self, changes: dict[str, str]) -> Iterator[None]:
        """The stack with other lines in dagster.yaml, applied as a user would; then as before."""
        settings = self.folder / "dagster.yaml"
        original = settings.read_text()
        self.change_settings(changes)
        try:
            self.compose("up", "--detach", "--build", "--wait")
            yield
        finally:
            settings.write_text(original)
            self.compose("up", "--detach", "--build", "--wait")

    def compose(self, *arguments: str, check: bool = True) -> str:
        """Run ``docker compose`` for this stack."""
        return self.run("docker", "compose", *arguments, check=check)

    def sql(self, query: str, database: str = "warehouse") -> list[list[str]]:
        """Rows of a query, asked as the superuser inside the Postgres container."""
        psql = ["psql", "-U", "postgres", "-h", "/var/run/postgresql", "-d", database]
        command = ("docker", "exec", self.container("postgres"), *psql)
        answer = self.run(*command, "-AtF", "\t", "-c", query)
        return [line.split("\t") for line in answer.splitlines()]

    def container(self, service: str) -> str:
        """Id of a service's container, stopped ones too; empty where there is none."""
        return "\n".join(self._containers(f"label=com.docker.compose.service={service}"))

    def _containers(self, *filters: str) -> list[str]:
        # Compose itself takes eight times the CPU to say so, and tests ask often.
        own = f"label=com.docker.compose.project={self.project}"
        filters = (own, "label=com.docker.compose.oneoff=False", *filters)
        options = [f"--filter={each}" for each in filters]
        return self.run("docker", "ps", "--all", "--quiet", "--no-trunc", *options).split()

    def containers(self) -> list[tuple[str, dict[str, Any]]]:
        """Each container of a service, stopped ones too: the service, and ``docker inspect``."""
        found = json.loads(self.run("docker", "inspect", *self._containers()))
        return [(each["Config"]["Labels"]["com.docker.compose.service"], each) for each in found]

    def inspect(self, container: str) -> dict[str, Any]:
        """``docker inspect`` of one container."""
        found: dict[str, Any] = json.loads(self.run("docker", "inspect", container))[0]
        return found

    def run_containers(self) -> list[str]:
        """Ids of this stack's run containers, ended ones too."""
        label = f"label=compose_run_launcher.project={self.project}"
        return self.run("docker", "ps", "-aq", "--no-trunc", "--filter", label).split()

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """One GraphQL query; its data."""
        # By plain HTTP: loading certificates for each question takes most of a waiting test's CPU.
        answer = httpx.post(
            f"{self.url}/graphql",
            json={"query": query, "variables": variables},
            timeout=30,
            verify=False,
        )
        assert answer.status_code != 503, "the webserver is away"
        body = answer.json()
        assert "errors" not in body, body["errors"]
        data: dict[str, Any] = body["data"]
        return data

    def report(self) -> None:
        """Print what a reader of a failed test needs to see."""
        for title, arguments in {
            "ps": ["ps", "--all"],
            "logs": ["--ansi=never", "logs", "--tail=40"],
        }.items():
            print(f"\n---- {title} of {self.project}", file=sys.stderr)
            print(self.compose(*arguments, check=False), file=sys.stderr)
        for container in self.run_containers()[:5]:
            print(f"\n---- run container {container[:12]}", file=sys.stderr)
            print(self.run("docker", "logs", "--tail=30", container, check=False), file=sys.stderr)
