"""From the former control plane to the new one, or back; runs and the queue are left alone."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from stackctl.console import say, step
from stackctl.control_plane import ControlPlane
from stackctl.docker import docker, inspect
from stackctl.errors import StackctlError
from stackctl.stack import Stack
from stackctl.upgrade import images
from stackctl.upgrade.schema import Database
from stackctl.upgrade.trial import load_errors
from stackctl.waiting import until

_HEALTHY_S = 180.0
_VERIFY_S = 180.0
_RUN_S = 180.0
# A second daemon may never run beside the first, so it goes first. What it has queued stays.
_DAEMON = "daemon"
_WEBSERVERS = ("webserver", "webserver_viewer")


class NotVerified(StackctlError):
    """What is live does not do what it should; the message says what."""


def exchange(stack: Stack, to: Mapping[str, str], schema_changes: bool) -> float:
    """Bring images live, by their names, and migrate the database in between.

    The moment since which there was no daemon but the new one, in seconds since the epoch. May be
    repeated after an interruption. Raises StackctlError.
    """
    services = images.lasting(stack)
    with step("Stopping the daemon: queued runs wait, those under way go on"):
        docker("compose", "stop", _DAEMON)
    since = time.time()
    began = time.monotonic()
    if schema_changes:
        with step("Stopping the UI, for the migration changes tables"):
            docker("compose", "stop", *(each for each in _WEBSERVERS if each in services))
    images.make_live(to)
    with step("Migrating the database"):
        docker("compose", "--progress=quiet", "run", "--rm", "--no-deps", "migrate")
    with step("Exchanging what webserver and daemon need"):
        for service in images.needed_by_others(stack):
            _create(service)
            if service in services:
                _start_created(stack, [service])
    if not schema_changes:
        began = time.monotonic()
    with step("Exchanging webserver, daemon and what is beside them"):
        _create(*services)
        _start_created(stack, services)
        healthy = until(lambda: _is_healthy(stack, "webserver"), _HEALTHY_S, 0.2)
        away = time.monotonic() - began
        command = ("compose", "--progress=quiet", "up", "--detach", "--no-build", "--wait")
        docker(*command, *services)
        _run_created(stack)
    if healthy:
        say(f"  the UI was away for {away:.1f} s at most")
    return since


def _create(*services: str) -> None:
    """Replace containers whose image or settings changed by new ones, and start none.

    One service at a time where others depend on it: Compose also replaces the containers of all
    dependents in the same call, such as Postgres'.
    """
    docker("compose", "--progress=quiet", "up", "--no-start", "--no-build", *services)


def _start_created(stack: Stack, services: list[str]) -> None:
    """Start what was replaced, but for the daemon; `up` would run one-shot services before."""
    found = images.containers(stack)
    for name in services:
        if name != _DAEMON and name in found and found[name]["State"]["Status"] == "created":
            docker("container", "start", found[name]["Id"])


def _run_created(stack: Stack) -> None:
    """Run one-shot services that were replaced and that only code locations wait for.

    The others have run by now. Raises DockerError for one that fails.
    """
    found = images.containers(stack)
    lasting = images.lasting(stack)
    for name in images.own_services(stack):
        if name not in lasting and name in found and found[name]["State"]["Status"] == "created":
            docker("container", "start", "--attach", found[name]["Id"])


def _is_healthy(stack: Stack, service: str) -> bool:
    found = images.containers(stack).get(service)
    state = inspect("container", found["Id"])[0]["State"] if found else {}
    return bool((state.get("Health") or {}).get("Status") == "healthy")


def verify(stack: Stack, dagster: str, locations: list[str], since: float) -> None:
    """Wait until the control plane is of this version, and does all that it should.

    Its daemons have sent heartbeats after ``since`` (seconds since the epoch), webserver and daemon
    have loaded the locations, and a run of one succeeds. Raises NotVerified.
    """
    found: list[str] = []

    def is_right() -> bool:
        try:
            control = ControlPlane(stack)
            state = control.ask("state")
            served = control.served_by_daemon()
        except (StackctlError, json.JSONDecodeError) as error:
            found[:] = [str(error)]
            return False
        found[:] = problems(state, served, dagster, locations, since)
        return not found

    with step("Verifying heartbeats of the daemon, and that every location is loaded"):
        right = until(is_right, _VERIFY_S, 2)
    if not right:
        raise NotVerified("; ".join(found))
    # A control plane of before this command has no such run.
    if locations and "check-run" in ControlPlane(stack).tell("--help"):
        with step(f"Launching a run of {locations[0]}"):
            _check_run(ControlPlane(stack), locations[0])


def problems(
    state: Mapping[str, Any],
    served: Mapping[str, str | None],
    dagster: str,
    locations: list[str],
    since: float,
) -> list[str]:
    """What is not as it should be, after ``since`` (seconds since the epoch)."""
    found = []
    version = state["status"]["version"]
    if version != dagster:
        found.append(f"the webserver is of Dagster {version}, not {dagster}")
    silent = [
        each["daemonType"]
        for each in state["daemons"]
        if each["required"] and not (each["healthy"] and (each["lastHeartbeatTime"] or 0) > since)
    ]
    if silent:
        found.append(f"no heartbeat of {', '.join(silent)} since the switch")
    for name, error in load_errors(state, locations).items():
        if error:
            found.append(f"{name} is not loaded by the webserver: {error}")
        elif served.get(name) is None:
            found.append(f"{name} is not loaded by the daemon")
    return found


def _check_run(control: ControlPlane, location: str) -> None:
    run = control.ask("check-run", location)
    seen: list[str] = []

    def has_ended() -> bool:
        # Each question ends before an answer of the control plane has to be there.
        seen[:] = [control.tell("await-run", run["id"], "--seconds=30").strip()]
        return seen[0] in {"SUCCESS", "FAILURE", "CANCELED"}

    until(has_ended, _RUN_S, 0.1)
    if seen[0] == "QUEUED":
        say(f"  run {run['id']} waits in the queue still, as others are under way")
    elif seen[0] != "SUCCESS":
        raise NotVerified(f"a run of {location} (job {run['job']}, {run['id']}) is {seen[0]}")


def database(stack: Stack) -> Database:
    """The stack's own."""

    def execute(*command: str) -> str:
        return docker("compose", "exec", "-T", "postgres", *command)

    return Database(execute)
