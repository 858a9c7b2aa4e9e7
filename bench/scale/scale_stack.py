"""The stack with synthetic code locations: started, asked, stopped."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

import synthetic_project
from harness import SETTINGS, Stack, free_port, until
from synthetic_project import Size

PROJECT = "dagster-bench-scale"
CONTROL_PLANE = ("postgres", "docker_gateway", "rpc_networks", "workspace", "webserver", "daemon")
SERVICES = (*CONTROL_PLANE, "web_gateway")
_STARTS_WITHIN_S = 1800

_LOADED = """{ workspaceOrError { ... on Workspace { locationEntries {
  name locationOrLoadError { __typename } } } } }"""
_RELOAD = "mutation { reloadWorkspace { __typename } }"
# What the page of all assets asks for, in short.
_ASSETS = "{ assetNodes { id assetKey { path } groupName dependencyKeys { path } } }"
_START_SCHEDULE = """
mutation Start($selector: ScheduleSelector!) {
  startSchedule(scheduleSelector: $selector) { __typename ... on PythonError { message } }
}"""


@dataclass
class ScaleStack(Stack):
    """This project's control plane, and nothing but synthetic locations."""

    size: Size = field(default_factory=lambda: Size(1, 1, 0))
    additions: str = synthetic_project.ADDITIONS
    added_locations: tuple[str, ...] = ()

    @classmethod
    def of(cls, folder: Path, size: Size) -> ScaleStack:
        """In ``folder``. Name, port and subnets can be given in the environment, as in .env."""
        settings = {"COMPOSE_PROFILES": "", "STANDBY_WORKERS": str(size.standby)}
        for name in ("RPC_SUBNETS", "MAX_CONCURRENT_RUNS", "POSTGRES_CONNECTIONS"):
            if name in os.environ:
                settings[name] = os.environ[name]
        return cls(
            folder,
            port=int(os.environ.get("WEBSERVER_PORT") or free_port()),
            project=os.environ.get("COMPOSE_PROJECT_NAME") or PROJECT,
            settings=settings,
            size=size,
        )

    def prepare(self) -> None:
        """Write the files, and build the images: those of the control plane, and one more."""
        self.copy_project()
        # The product's own periods, not the tests'.
        self.change_settings({tests: product for product, tests in SETTINGS.items()})
        synthetic_project.write(self.folder, self.size)
        one_shot = ("secrets", "migrate")
        build = [
            name for name in (*one_shot, *SERVICES) if name not in {"postgres", "rpc_networks"}
        ]
        self.compose("build", "--quiet", *build, self.size.names[0])

    def start(self) -> None:
        """Start everything at once, as `make up` does; until the UI shows all locations."""
        self.compose("up", "--detach", "--no-build", "--wait", *self.size.names, *SERVICES)
        until(self.all_are_loaded, seconds=_STARTS_WITHIN_S, every=1)

    def all_are_loaded(self) -> None:
        """Raises AssertionError unless the webserver has loaded every location."""
        entries = self.ask(_LOADED)["workspaceOrError"]["locationEntries"]
        loaded = {
            entry["name"]
            for entry in entries
            if (entry["locationOrLoadError"] or {}).get("__typename") == "RepositoryLocation"
        }
        assert loaded == set(self.size.names)

    def all_are_served_by_the_daemon(self) -> None:
        """Raises AssertionError unless the daemon has loaded every location."""
        file = ("docker", "exec", self.container("daemon"), "cat", "/tmp/served.json")
        served: dict[str, str | None] = json.loads(self.run(*file))
        assert set(served) == set(self.size.names) and None not in served.values()

    def settle(self) -> None:
        """Wait until every location has its standby workers."""

        def ready() -> None:
            waiting = f"--filter=name=^{self.project}-standby-"
            workers = self.run("docker", "ps", "--quiet", waiting).split()
            logs = [self.run("docker", "logs", "--tail=5", worker) for worker in workers]
            ready = sum("standby worker: ready" in log for log in logs)
            assert ready >= self.size.standby * self.size.locations

        if self.size.standby:
            # Looking at every worker's log costs CPU that they need.
            until(ready, seconds=_STARTS_WITHIN_S, every=5)

    def reload_workspace(self) -> float:
        """Have the webserver load all locations again; seconds."""
        began = time.monotonic()
        self.ask_patiently(_RELOAD)
        return time.monotonic() - began

    def list_assets(self) -> float:
        """Ask the webserver for all assets and what they depend on; seconds."""
        began = time.monotonic()
        found = self.ask_patiently(_ASSETS)["assetNodes"]
        assert len(found) == self.size.locations * self.size.assets
        return time.monotonic() - began

    def start_schedules(self) -> None:
        """Have every location tick each minute from now on."""
        for name in self.size.names:
            selector = {
                "repositoryLocationName": name,
                "repositoryName": "__repository__",
                "scheduleName": "tick",
            }
            self.ask(_START_SCHEDULE, selector=selector)

    def ask_patiently(self, query: str) -> dict[str, Any]:
        """One GraphQL query that may take minutes; its data."""
        answer = httpx.post(f"{self.url}/graphql", json={"query": query}, timeout=600, verify=False)
        body = answer.json()
        assert "errors" not in body, body["errors"]
        data: dict[str, Any] = body["data"]
        return data

    def down(self) -> None:
        """Remove its containers, networks, volumes and run containers."""
        self.compose("stop", "daemon", check=False)
        for container in self.run_containers():
            self.run("docker", "rm", "--force", container, check=False)
        self.compose("down", "--volumes", "--remove-orphans", check=False)

    def remove_images(self) -> None:
        """Also the names that the launcher has given the one image."""
        for image in self.run(
            *("docker", "images", "--format", "{{.Repository}}:{{.Tag}}"),
            f"--filter=reference={self.project}/*",
        ).split():
            self.run("docker", "rmi", "--force", image, check=False)


@contextmanager
def running(stack: ScaleStack, keep: bool) -> Iterator[None]:
    """The stack is prepared; unless it is kept, it is gone afterwards."""
    try:
        stack.prepare()
        # One that an earlier run has left, whose start would not be one.
        stack.down()
        yield
    except AssertionError:
        stack.report()
        raise
    finally:
        if not keep:
            stack.down()
            stack.remove_images()
            shutil.rmtree(stack.folder, ignore_errors=True)
