"""The two stacks that are compared, each started, emptied and stopped alike."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import REPOSITORY, Stack, free_port, until

BASELINE = "dagster-bench-baseline"


@dataclass
class Baseline(Stack):
    """Dagster's documented compose setup."""

    project: str = BASELINE

    @property
    def environment(self) -> dict[str, str]:
        """The settings; the compose file is another one."""
        return super().environment | {
            "COMPOSE_FILE": "bench/baseline/docker-compose.yml",
            "COMPOSE_PROJECT_NAME": self.project,
            "BASELINE_PORT": str(self.port),
        }

    def start(self) -> None:
        """Build, start, and give elt's tables a schema."""
        self.compose("up", "--detach", "--build", "--quiet-pull")
        psql = ["psql", "-q", "-U", "postgres_user", "-d", "postgres_db", "-c"]
        self.compose("exec", "-T", "postgres", *psql, "CREATE SCHEMA IF NOT EXISTS raw")
        until(self.serves, seconds=120)

    def serves(self) -> None:
        """Both code locations are loaded."""
        assert loaded(self) == {"elt", "jobs"}

    def run_containers(self) -> list[str]:
        """Ids of all containers of runs."""
        return self.run("docker", "ps", "-aq", "--filter", "label=dagster/run_id").split()


@dataclass
class Ours(Stack):
    """This project's stack, with the jobs as one more location."""

    additions: str = "bench/compose.bench.yml"
    added_locations: tuple[str, ...] = ("jobs",)
    standby: int = 1

    @property
    def environment(self) -> dict[str, str]:
        """The settings, with the size of the standby pool."""
        return super().environment | {"STANDBY_WORKERS": str(self.standby)}

    def start(self) -> None:
        """As the README says."""
        self.compose("up", "--detach", "--build", "--wait")
        until(self.serves, seconds=120)
        self.settle()

    def serves(self) -> None:
        """All code locations are loaded."""
        assert loaded(self) == {"elt", "analytics", "jobs"}

    def settle(self) -> None:
        """Wait until as many standby workers are ready as there are to be."""

        def ready() -> None:
            waiting = self.run(
                *("docker", "ps", "-q", "--filter", f"name=^{self.project}-standby-"),
            ).split()
            logs = [self.run("docker", "logs", "--tail=5", worker) for worker in waiting]
            assert sum("standby worker: ready" in log for log in logs) == 3 * self.standby

        until(ready, seconds=120)


def loaded(stack: Stack) -> set[str]:
    """Names of the code locations that the webserver has loaded."""
    answer = stack.ask(
        """{ workspaceOrError { ... on Workspace {
          locationEntries { name loadStatus locationOrLoadError { __typename } } } } }"""
    )
    return {
        entry["name"]
        for entry in answer["workspaceOrError"]["locationEntries"]
        if (entry["locationOrLoadError"] or {}).get("__typename") == "RepositoryLocation"
    }


@contextmanager
def running(stack: Baseline | Ours) -> Iterator[None]:
    """The stack is up, and alone; it is gone afterwards."""
    try:
        stack.start()
        yield
    except AssertionError:
        stack.report()
        raise
    finally:
        stack.compose("stop", "daemon", check=False)
        for container in stack.run_containers():
            stack.run("docker", "rm", "--force", container, check=False)
        stack.compose("down", "--volumes", "--remove-orphans", check=False)


def baseline() -> Baseline:
    """The peer, from the repository's own folder."""
    return Baseline(REPOSITORY, port=free_port())


def ours(folder: Path, standby: int) -> Ours:
    """This project's stack, from a copy of it in ``folder``."""
    stack = Ours(folder, standby=standby)
    if not (folder / "Makefile").exists():
        stack.copy_project()
    return stack


def quiet(stack: Stack) -> None:
    """Wait until no run container runs but workers that wait."""

    def none_runs() -> None:
        names = subprocess.run(
            ["docker", "ps", "--format", '{{.Names}} {{.Label "dagster/run_id"}}'],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert "-run-" not in names
        assert not any(len(line.split()) > 1 for line in names.splitlines())

    until(none_runs, seconds=120)
    if isinstance(stack, Ours):
        stack.settle()
