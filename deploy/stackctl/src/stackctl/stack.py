"""The stack as docker-compose.yml, .env and the environment describe it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stackctl.docker import DockerError, docker
from stackctl.errors import USAGE, StackctlError

_ROLE = "compose_run_launcher.role"


@dataclass(frozen=True)
class Stack:
    """A Compose project: ``config`` is its file with all settings filled in."""

    config: dict[str, Any]

    @classmethod
    def load(cls, *options: str, environment: Mapping[str, str] | None = None) -> Stack:
        """Read docker-compose.yml, with `options` of Compose such as `--profile=*`.

        ``environment`` has settings that go before those of .env. Raises StackctlError that says
        what is invalid there.
        """
        command = ("compose", *options, "config", "--format", "json")
        try:
            return cls(json.loads(docker(*command, environment=environment)))
        except DockerError as error:
            raise StackctlError(f"docker-compose.yml or .env is invalid: {error}") from None

    @property
    def project(self) -> str:
        """The Compose project's name, which begins the names of all that belongs to it."""
        return str(self.config["name"])

    @cached_property
    def locations(self) -> list[str]:
        """The code locations' names, in the file's order."""
        services: dict[str, Any] = self.config["services"]
        return [
            name
            for name, service in services.items()
            if (service.get("labels") or {}).get(_ROLE) == "code-location"
        ]

    def check_location(self, name: str) -> None:
        """Raise StackctlError unless this is a code location of the stack."""
        if name not in self.locations:
            raise StackctlError(
                f"there is no code location {name!r}. There are: {', '.join(self.locations)}",
                USAGE,
            )
