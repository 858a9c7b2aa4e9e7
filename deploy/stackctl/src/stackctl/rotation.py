"""New passwords for everything, while the stack stands and no run is lost.

A run has its passwords from its start to its end. So no run may be under way while they change:
those that are come to their end first, and those that are asked for meanwhile stay queued.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import typer

from stackctl.console import say, step
from stackctl.docker import DockerError, docker
from stackctl.errors import REFUSED, Interrupted, StackctlError
from stackctl.lock import lock
from stackctl.stack import Stack
from stackctl.waiting import until

_OWN_OBJECT_STORE = "http://object-store:8333"
_OBJECT_STORE_KEYS = ("object_store_access_key", "object_store_secret_key")


def rotate_secrets(
    wait: Annotated[
        float, typer.Option(help="Seconds that runs which are under way have to end.")
    ] = 3600,
) -> None:
    """Rotate all passwords and keys of the stack: of Postgres, its roles, the object store.

    Queued runs wait meanwhile, schedules catch up. The UI and the code locations restart. Keys
    of an object store that is not the stack's own are kept. After an interruption,
    rerun the command to finish.
    """
    stack = Stack.load()
    with ExitStack() as locks:
        for location in stack.locations:
            locks.enter_context(lock(stack, location, 0))
        with step("Looking whether the database agrees with the secrets"):
            _migrate()
        with step("Stopping the daemon: what is queued stays queued"):
            docker("compose", "stop", "daemon")
        try:
            _wait_for_runs(stack, wait)
            try:
                _renew(stack)
            except (DockerError, Interrupted) as problem:
                raise StackctlError(
                    f"not finished: {problem or 'interrupted'}. Some services may have former"
                    " passwords still. Fix: rerun this command"
                ) from None
        finally:
            # Without a word: nothing may keep it from starting, not even a terminal that is gone.
            docker("compose", "start", "daemon")
        with step("Waiting until every service is healthy"):
            docker("compose", "up", "--detach", "--no-recreate", "--wait")
    say("every password and key is new")


def _migrate() -> None:
    docker("compose", "--progress=quiet", "run", "--rm", "--no-deps", "migrate")


def runs_under_way(stack: Stack) -> list[str]:
    """Names of run containers that live, but for standby workers that wait for a run."""
    labels = [f"compose_run_launcher.project={stack.project}", "compose_run_launcher.role=run"]
    filters = [f"--filter=label={label}" for label in labels]
    names = docker("ps", "--format", "{{.Names}}", *filters).split()
    return [name for name in names if not name.startswith(f"{stack.project}-standby-")]


def _wait_for_runs(stack: Stack, seconds: float) -> None:
    running = len(runs_under_way(stack))
    with step(f"Waiting until {running} runs that are under way have ended"):
        ended = until(lambda: not runs_under_way(stack), seconds, every=1)
    if not ended:
        left = ", ".join(runs_under_way(stack))
        raise StackctlError(
            f"still under way after {seconds:g} s: {left}. Nothing was changed. Fix: wait"
            " longer with --wait SECONDS, or terminate them",
            REFUSED,
        )


def _renew(stack: Stack) -> None:
    services = stack.config["services"]
    with step("Making new secrets"):
        docker(
            *("compose", "--progress=quiet", "run", "--rm", "--no-deps", "secrets"),
            *services["secrets"]["command"],
            *("--renew", *(f"--keep={name}" for name in kept(stack))),
        )
    with step("Giving them to the database"):
        _migrate()
    users = ["object_store", *stack.locations, "webserver", "webserver_viewer", "sso"]
    users = [name for name in users if name in services]
    with step(f"Restarting who uses them: {', '.join(users)}"):
        docker("compose", "restart", *users)


def kept(stack: Stack) -> tuple[str, ...]:
    """Secrets that are not the stack's to change: keys of somebody else's object store."""
    environment = stack.config["services"]["landing_zone"]["environment"]
    own = environment.get("AWS_ENDPOINT_URL_S3") == _OWN_OBJECT_STORE
    return () if own else _OBJECT_STORE_KEYS
