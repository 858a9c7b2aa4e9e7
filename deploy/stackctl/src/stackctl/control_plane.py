"""Questions that only the control plane can answer, asked inside its containers."""

from __future__ import annotations

import json
import subprocess
from functools import cached_property
from typing import Any

from stackctl.docker import DockerError, begin, docker
from stackctl.errors import StackctlError
from stackctl.stack import Stack

PORT = 4000
"""Where a code server listens."""
_SERVED = "/tmp/served.json"  # noqa: S108  # in the daemon's container


class ControlPlane:
    """The running webserver and daemon of a stack. Raises StackctlError when one is down."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._webserver = _container(stack, "webserver")

    @cached_property
    def daemon(self) -> str:
        """Id of the daemon's container."""
        return _container(self._stack, "daemon")

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start one of the control plane's own commands, in the webserver's container."""
        return begin("exec", self._webserver, "entrypoint", "control-plane", *arguments)

    def ask(self, *arguments: str) -> Any:
        """The answer of one of the control plane's own commands, which prints JSON."""
        return json.loads(answer(self.begin(*arguments)))

    def served_by_daemon(self) -> dict[str, str | None]:
        """Image of each location that the daemon has loaded; None for one that it has not."""
        found: dict[str, str | None] = json.loads(docker("exec", self.daemon, "cat", _SERVED))
        return found

    def read(self, path: str) -> str:
        """A file of the webserver's container; empty when there is none."""
        return docker("exec", self._webserver, "sh", "-c", f"cat '{path}' 2>/dev/null || true")

    def append(self, path: str, text: str) -> None:
        """Add to a file of the webserver's container."""
        docker("exec", "--interactive", self._webserver, "sh", "-c", f"cat >>'{path}'", given=text)


def answer(process: subprocess.Popen[str]) -> str:
    """What a command prints. Raises StackctlError with its own words when it fails."""
    said, problem = process.communicate()
    if process.returncode:
        raise StackctlError(DockerError("", problem).reason.removeprefix("error: "))
    return said


def _container(stack: Stack, service: str) -> str:
    found = docker("compose", "ps", "--quiet", "--status=running", service).split()
    if not found:
        raise StackctlError(
            f"the {service} of stack {stack.project} does not run; it takes part in this. Way"
            " out: make up"
        )
    return found[0]
