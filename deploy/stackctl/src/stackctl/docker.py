"""The docker command: the one thing that knows DOCKER_HOST, contexts, Compose and BuildKit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stackctl.errors import StackctlError

ROOT = Path(__file__).resolve().parents[4]
"""The repository: `docker compose` is called there."""
COMPOSE_FILE = "docker-compose.yml"
"""The stack's description, in the repository's root."""

_NO_DOCKER = (
    "there is no docker command here. Fix: install it, or run the stack without it: make dev"
)
# What Docker says about networks does not say what to change.
_SUBNET_TAKEN = (
    "another network on this engine has a subnet of RPC_SUBNETS. Fix: a range of its own for this"
    " stack in .env; then make down, make up"
)
_NO_POOL_LEFT = (
    "by default an engine has pools for 31 networks. Fix: docker network prune, or"
    " default-address-pools in its daemon.json"
)
_FIXES = {
    "Pool overlaps with other one": _SUBNET_TAKEN,
    "networks have overlapping": _SUBNET_TAKEN,
    "address pool among the defaults": _NO_POOL_LEFT,
    "address pools have been fully subnetted": _NO_POOL_LEFT,
}
# With them each build has a new id where images are in containerd's store (Engine 29): what is
# unchanged would be deployed, and Compose would re-create every container.
_NO_ATTESTATIONS = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
_FOUND_NOTHING = ("no such", "not found")


class DockerError(StackctlError):
    """A docker command failed; the message is the last line that it printed."""

    def __init__(self, command: str, output: str) -> None:
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        self.reason = lines[-1] if lines else "it failed, and said nothing"
        fixes = (fix for words, fix in _FIXES.items() if words in self.reason)
        super().__init__("; ".join([f"{command}: {self.reason}", *fixes]))
        self.output = output


def docker(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    given: str = "",
    seconds: float | None = None,
) -> str:
    """Run one docker command and return what it printed.

    Raises DockerError when it fails, or has not ended within ``seconds``.
    """
    with started(*arguments, environment=environment, given=given) as output:
        return result(output, seconds, f"docker {' '.join(arguments[:2])}")


@contextmanager
def started(
    *arguments: str, environment: Mapping[str, str] | None = None, given: str = ""
) -> Iterator[Future[str]]:
    """A docker command that runs meanwhile: a future of what it prints, or of DockerError.

    A thread reads its output as it comes: nobody may need it for minutes, and the command would
    stop at what a pipe holds (64 KiB). It is killed when the block is left before its end.
    """
    process = begin(*arguments, environment=environment)

    def output() -> str:
        answer, problems = process.communicate(given)
        if process.returncode:
            # Compose 2.26 writes the steps of a build to stdout, and its end to stderr.
            raise DockerError(f"docker {' '.join(arguments[:2])}", answer + problems)
        return answer

    with ThreadPoolExecutor(max_workers=1) as reader:
        printed = reader.submit(output)
        try:
            yield printed
        finally:
            if not printed.done():
                # With what it has started, such as the Compose plugin, which holds its pipes.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def result(output: Future[str], seconds: float | None, command: str) -> str:
    """What a started command prints; DockerError when it has not ended within ``seconds``."""
    try:
        return output.result(seconds)
    except TimeoutError:
        raise DockerError(command, f"it has not ended within {seconds:g} s") from None


def begin(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a docker command, with pipes to all three of its streams.

    In a session of its own: Ctrl-C is for this program, which then ends what it began.
    """
    try:
        return subprocess.Popen(
            ["docker", *arguments],
            cwd=ROOT,
            env=_NO_ATTESTATIONS | os.environ | dict(environment or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise StackctlError(_NO_DOCKER) from None


def inspect(kind: str, *names: str) -> list[dict[str, Any]]:
    """What the engine knows of containers, images, ...; those that are gone are left out."""
    if not names:
        return []
    try:
        found: list[dict[str, Any]] = json.loads(docker(kind, "inspect", *names))
    except DockerError as error:
        if not any(words in str(error).lower() for words in _FOUND_NOTHING):
            raise
        if len(names) == 1:
            return []
        return [one for name in names for one in inspect(kind, name)]
    return found


def remove_container(name: str) -> None:
    """Remove a container, running or not; one that is gone is fine."""
    if inspect("container", name):
        docker("container", "rm", "--force", "--volumes", name)
