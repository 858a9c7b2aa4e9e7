"""One command at a time per code location, whoever gives it and from where.

The lock is a container on the stack's engine that reads from this process. The engine gives its
name once; and when this process ends, however it does, the engine ends the container.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from stackctl.console import say
from stackctl.docker import DockerError, begin, inspect, remove_container
from stackctl.errors import LOCKED, StackctlError
from stackctl.stack import Stack

_HOLDER = "stackctl.holder"
# Between its creation and its start lie milliseconds; one that is still not started never is.
_STARTS_WITHIN = timedelta(seconds=10)


class Held(StackctlError):
    """Somebody else holds the lock."""

    def __init__(self, location: str, holder: str) -> None:
        super().__init__(
            f"{location} is being changed by {holder}. Fix: try again when that has ended, or"
            " wait for it by --wait SECONDS",
            LOCKED,
        )


def who() -> str:
    """Who gives this command, and from where."""
    # CI runs as one user for all people.
    user = os.environ.get("GITHUB_ACTOR") or getpass.getuser()
    return f"{user}@{socket.gethostname()}"


@contextmanager
def lock(stack: Stack, location: str, seconds: float) -> Iterator[None]:
    """Hold the location's lock; wait ``seconds`` for it at most. Raises Held."""

    def tell(state: RetryCallState) -> None:
        if state.attempt_number == 1 and state.outcome is not None:
            say(f"waiting: {state.outcome.exception()}")

    holding = Retrying(
        retry=retry_if_exception_type(Held),
        stop=stop_after_delay(seconds),
        wait=wait_fixed(0.5),
        before_sleep=tell,
        reraise=True,
    )(_take, stack, location)
    try:
        yield
    finally:
        holding.communicate()


def _take(stack: Stack, location: str) -> subprocess.Popen[str]:
    name = f"{stack.project}-lock-{location}"
    image = str(stack.config["services"]["daemon"]["image"])
    holder = json.dumps([who(), datetime.now(UTC).strftime("%H:%M:%S UTC")])
    limits = ["--network=none", "--read-only", "--cap-drop=ALL", "--memory=32m", "--user=65534"]
    about = [
        "--pull=never",
        "--rm",
        "--interactive",
        f"--name={name}",
        f"--label={_HOLDER}={holder}",
    ]
    holding = begin("run", *about, *limits, "--entrypoint=sh", image, "-c", "echo held; exec cat")
    try:
        if holding.stdout is not None and holding.stdout.readline():
            return holding
        problem = holding.communicate()[1]
    except BaseException:
        holding.kill()
        raise
    if "is already in use" not in problem:
        raise DockerError("docker run", problem)
    raise Held(location, _holder(name))


def _holder(name: str) -> str:
    found = inspect("container", name)
    if not found:
        return "somebody who has just ended"
    made = datetime.fromisoformat(found[0]["Created"])
    if found[0]["State"]["Status"] == "created" and datetime.now(UTC) - made > _STARTS_WITHIN:
        remove_container(name)
    person, since = json.loads(found[0]["Config"]["Labels"][_HOLDER])
    return f"{person} since {since}"
