"""The docker command: the one thing that knows DOCKER_HOST, contexts, Compose and BuildKit."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackctl.errors import StackctlError

ROOT = Path(__file__).resolve().parents[4]
"""The repository: `docker compose` is called there."""

_NO_DOCKER = (
    "there is no docker command here. Way out: install it, or run the stack without it: make dev"
)


class DockerError(StackctlError):
    """A docker command failed; the message is the last that it said."""


def docker(
    *arguments: str, environment: Mapping[str, str] | None = None, given: str | None = None
) -> str:
    """Run one docker command and return what it printed. Raises DockerError when it fails."""
    try:
        done = subprocess.run(  # no shell, and arguments of our own
            ["docker", *arguments],
            cwd=ROOT,
            env=os.environ | dict(environment or {}),
            input=given,
            stdin=None if given is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise StackctlError(_NO_DOCKER) from None
    if done.returncode:
        raise DockerError(f"docker {' '.join(arguments[:2])}: {_reason(done.stderr)}")
    return done.stdout


def inspect(kind: str, *names: str) -> list[dict[str, Any]]:
    """What the engine knows of containers, images, ...; those that are gone are left out."""
    if not names:
        return []
    try:
        found: list[dict[str, Any]] = json.loads(docker(kind, "inspect", *names))
    except DockerError:
        if len(names) == 1:
            return []
        return [one for name in names for one in inspect(kind, name)]
    return found


def _reason(stderr: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1] if lines else "it failed, and said nothing"
