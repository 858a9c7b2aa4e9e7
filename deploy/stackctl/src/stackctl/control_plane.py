"""Questions that only the control plane can answer, asked inside its containers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

from stackctl.docker import DockerError, docker, result, started
from stackctl.errors import StackctlError
from stackctl.stack import Stack

PORT = 4000
"""Where a code server listens."""
_SERVED = "/tmp/served.json"  # noqa: S108  # in the daemon's container
# The slowest, the runs of a location, takes seconds.
_ANSWER_S = 60.0


class ControlPlane:
    """The running webserver and daemon of a stack. Raises StackctlError when one is down."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._webserver = _container(stack, "webserver")

    @cached_property
    def daemon(self) -> str:
        """Id of the daemon's container."""
        return _container(self._stack, "daemon")

    def started(self, *arguments: str, seconds: float) -> AbstractContextManager[Future[str]]:
        """One of the control plane's own commands, which runs meanwhile in the webserver."""
        own = ("entrypoint", "control-plane", *arguments)
        return started("exec", self._webserver, *_limited(own, seconds))

    def ask(self, *arguments: str) -> Any:
        """The answer of one of the control plane's own commands, which prints JSON."""
        return json.loads(self.tell(*arguments))

    def tell(self, *arguments: str) -> str:
        """Run one of the control plane's own commands to its end."""
        with self.started(*arguments, seconds=_ANSWER_S) as output:
            return answer(output, _ANSWER_S)

    def served_by_daemon(self) -> dict[str, str | None]:
        """Image of each location that the daemon has loaded; None for one that it has not."""
        found: dict[str, str | None] = json.loads(_exec(self.daemon, "cat", _SERVED))
        return found

    def read(self, path: str) -> str:
        """A file of the webserver's container; empty when there is none."""
        return _exec(self._webserver, "sh", "-c", f"cat '{path}' 2>/dev/null || true")

    def append(self, path: str, text: str) -> None:
        """Add to a file of the webserver's container."""
        _exec(self._webserver, "sh", "-c", f"cat >>'{path}'", given=text)


def answer(output: Future[str], seconds: float) -> str:
    """What a command of the control plane prints. Raises StackctlError with its own words."""
    try:
        return result(output, seconds, "the control plane")
    except DockerError as error:
        raise StackctlError(error.reason.removeprefix("error: ")) from None


def _exec(container: str, *command: str, given: str = "") -> str:
    options = ["--interactive"] if given else []
    limited = _limited(command, _ANSWER_S)
    return docker("exec", *options, container, *limited, given=given, seconds=_ANSWER_S)


def _limited(command: Sequence[str], seconds: float) -> list[str]:
    """The command with an end of its own: to kill `docker exec` ends nothing in the container."""
    return ["timeout", "--kill-after=5", f"{seconds:.1f}", *command]


def _container(stack: Stack, service: str) -> str:
    found = docker("compose", "ps", "--quiet", "--status=running", service).split()
    if not found:
        raise StackctlError(
            f"the {service} of stack {stack.project} is not running, and this command needs it."
            " Fix: make up"
        )
    return found[0]
