"""An upgrade tried on a copy of the stack, made from a backup and cut off from everything else."""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from stackctl import restore_cli
from stackctl.backups import Backups
from stackctl.console import step
from stackctl.docker import DockerError, begin, docker, inspect
from stackctl.errors import StackctlError
from stackctl.gate import cause
from stackctl.stack import Stack
from stackctl.upgrade import images
from stackctl.upgrade.copy_config import PARTS, copy_config
from stackctl.upgrade.schema import Database, changes

RANGES = ("198.18", "198.19")
"""For networks of the copy; reserved for tests between networks, so nobody else routes there."""
_LOAD_S = 90
_RUN_S = 120


@dataclass(frozen=True)
class Tried:
    """What became of one code location under the new control plane."""

    location: str
    dagster: str
    """The version in its live image."""
    loaded_before: bool
    error: str = ""
    """Why it does not load; empty when it does."""
    run: str = ""
    """The check run's final status; empty where none was launched."""
    job: str = ""
    run_error: str = ""

    @property
    def works(self) -> bool:
        """Whether it loads, and its run succeeded."""
        return not self.error and self.run == "SUCCESS"


@dataclass(frozen=True)
class Findings:
    """What the trial has shown."""

    migration_s: float
    schema: list[str]
    """What the migration changes, a line each."""
    locations: list[Tried]
    seconds: float = 0.0


@dataclass
class Copy:
    """The copy of a stack, a Compose project of its own."""

    stack: Stack
    subnets: str
    new: Mapping[str, str]
    """Ids of the new images, by the live names of the stack."""
    config: dict[str, Any] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)

    @property
    def project(self) -> str:
        """Its name."""
        return f"{self.stack.project}-trial"

    def compose(self, *arguments: str) -> str:
        """Run ``docker compose`` for it."""
        return docker("compose", *self.options, "--progress=quiet", *arguments)

    def inside(self, service: str, *command: str) -> str:
        """What a command prints in a service's container."""
        return self.compose("exec", "-T", service, *command)

    def ask(self, service: str, *command: str) -> str:
        """The same, of the control plane's own commands. Raises StackctlError in its words."""
        try:
            return self.inside(service, "entrypoint", "control-plane", *command)
        except DockerError as error:
            raise StackctlError(error.reason.removeprefix("error: ")) from None


def free_range(taken: Iterable[str], asked: str = "") -> str:
    """The first two numbers of a range of addresses that no network overlaps.

    ``taken``: subnets. Raises StackctlError when there is none, or the one that is asked for is.
    """
    networks = [ipaddress.ip_network(each) for each in taken]
    for found in [asked] if asked else RANGES:
        try:
            wanted = ipaddress.ip_network(f"{found}.0.0/16")
        except ValueError:
            raise StackctlError(
                f"TRIAL_SUBNETS is {asked!r}: not two numbers. Fix: such as TRIAL_SUBNETS=10.77"
            ) from None
        if not any(wanted.overlaps(each) for each in networks if each.version == 4):
            return found
    raise StackctlError(
        f"networks on this engine have addresses of {asked or ' and '.join(RANGES)}, and the trial"
        " needs a range of its own. Fix: name two numbers that nothing here uses, such as"
        " TRIAL_SUBNETS=10.77"
    )


def taken_subnets() -> list[str]:
    """Of all networks of the engine."""
    found = inspect("network", *docker("network", "ls", "--quiet").split())
    configs = [each["IPAM"].get("Config") or [] for each in found]
    return [pool["Subnet"] for config in configs for pool in config if pool.get("Subnet")]


@contextmanager
def copied(
    stack: Stack, backups: Backups, backup: str, subnets: str, new: Mapping[str, str]
) -> Iterator[Copy]:
    """A copy from a backup; nothing of it is left afterwards, however it ends."""
    copy = Copy(stack, subnets, new)
    remove(copy.project)
    try:
        with step("Making a copy of the stack from it, cut off from everything else"):
            volumes = backups.create_volumes(copy.project)
            restore_cli.restore_volumes(backups, copy.project, [f"--backup={backup}"], volumes)
            copy.config = _config(copy)
        with images.compose_file(copy.config) as options:
            copy.options = options
            yield copy
    finally:
        with step("Removing the copy"):
            remove(copy.project)


def _config(copy: Copy) -> dict[str, Any]:
    environment = {
        "COMPOSE_PROJECT_NAME": copy.project,
        "RPC_SUBNETS": copy.subnets,
        "STANDBY_WORKERS": "0",
    }
    config = Stack.load(environment=environment).config
    own = copy.stack.config["services"]
    of_locations = {}
    for name, container in images.containers(copy.stack).items():
        if name in copy.stack.locations:
            of_locations[name] = f"{copy.project}/{name}:live"
            docker("image", "tag", container["Image"], of_locations[name])
    built = {
        str(service["image"]): copy.new[own[name]["image"]]
        for name, service in config["services"].items()
        if name in own and own[name]["image"] in copy.new
    }
    return copy_config(config, list(of_locations), built | of_locations)


def remove(project: str) -> None:
    """Remove all that belongs to the copy: containers, runs, networks, volumes, names of images."""
    for label in ("com.docker.compose.project", "compose_run_launcher.project"):
        wanted = f"--filter=label={label}={project}"
        if found := docker("container", "ls", "--all", "--quiet", wanted).split():
            docker("container", "rm", "--force", "--volumes", *found)
    wanted = f"--filter=label=com.docker.compose.project={project}"
    for kind in ("network", "volume"):
        if found := docker(kind, "ls", "--quiet", wanted).split():
            docker(kind, "rm", *found)
    template = "--format={{.Repository}}:{{.Tag}}"
    for name in docker("image", "ls", template, f"{project}/*").split():
        # A container of another project may run it: then the name alone goes.
        with suppress(DockerError):
            docker("image", "rm", "--no-prune", name)


def examine(copy: Copy, before: Mapping[str, tuple[str, bool]]) -> Findings:
    """Migrate the copy, load each location, launch a run of each.

    ``before``: of each location, the version of Dagster in it, and whether it is loaded now.
    """
    began = time.monotonic()
    database = Database(lambda *command: copy.inside("postgres", *command))
    copy.compose("up", "--detach", "--no-build", "--wait", "postgres")
    shape = database.shape()
    with step("Migrating the copy's database"):
        migration_began = time.monotonic()
        copy.compose("run", "--rm", "--no-deps", "migrate")
        migration_s = time.monotonic() - migration_began
    schema = changes(shape, database.shape())
    names = [name for name in copy.stack.locations if name in copy.config["services"]]
    with step("Loading each code location's live image under the new control plane"):
        copy.compose("up", "--detach", "--no-build", *names, *PARTS)
        copy.compose("up", "--detach", "--no-build", "--wait", "webserver", "rpc_networks")
        state = json.loads(copy.ask("webserver", "state", f"--wait={_LOAD_S}"))
    errors = load_errors(state, names)
    with step("Launching a run of each that loads"):
        launched = {name: _launch(copy, name) for name in names if not errors[name]}
        tried = [
            Tried(name, *before[name], errors[name], *_ended(copy, launched.get(name)))
            for name in names
        ]
    return Findings(migration_s, schema, tried, time.monotonic() - began)


def load_errors(state: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    """Why each location is not loaded, as the webserver's state says; empty for those that are."""
    found = {each["name"]: each for each in state["status"]["locations"]}

    def error(name: str) -> str:
        location = found.get(name)
        if location is None:
            return "workspace.yaml does not name it"
        if location["loading"]:
            return f"it has not loaded within {_LOAD_S} s"
        return str(location["error"] or "").strip().replace("\n", " ")

    return {name: error(name) for name in names}


def _launch(copy: Copy, location: str) -> tuple[str, str, str]:
    """The check run's id, its job, and why there is none."""
    try:
        run = json.loads(copy.ask("webserver", "check-run", location))
        try:
            copy.ask("daemon", "launch-run", run["id"])
        except StackctlError as error:
            return "", run["job"], str(error)
    except StackctlError as error:
        return "", "", str(error)
    return run["id"], run["job"], ""


def _ended(copy: Copy, launched: tuple[str, str, str] | None) -> tuple[str, str, str]:
    """The run's status, its job, and what went wrong."""
    if launched is None:
        return "", "", ""
    run_id, job, error = launched
    if not run_id:
        return "NOT LAUNCHED", job, error
    status = copy.ask("webserver", "await-run", run_id, f"--seconds={_RUN_S}").strip()
    if status == "SUCCESS":
        return status, job, ""
    logs = docker("container", "ls", "--all", "--quiet", f"--filter=name={run_id}").split()
    return status, job, cause("\n".join(_log(each) for each in logs))


def _log(container: str) -> str:
    said, problems = begin("container", "logs", "--tail=200", container).communicate()
    return problems + said
