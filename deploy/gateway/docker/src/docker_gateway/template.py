"""A code location's service container, of which run containers are copies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from docker_gateway import labels
from docker_gateway.images import repository_of

_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30}


@dataclass(frozen=True)
class Template:
    """What the engine says of the container, and of the image that it was made from."""

    container: Mapping[str, Any]
    image: Mapping[str, Any]
    # Names of the networks that its runs may join.
    networks: frozenset[str]

    @property
    def id(self) -> str:
        """The container's id."""
        return str(self.container["Id"])

    @property
    def image_id(self) -> str:
        """The id of its image."""
        return str(self.container["Image"])

    @property
    def image_name(self) -> str:
        """The image as the service names it."""
        return str(self.config["Image"])

    @property
    def config(self) -> Mapping[str, Any]:
        """What is the same on every host."""
        found: Mapping[str, Any] = self.container["Config"]
        return found

    @property
    def host_config(self) -> Mapping[str, Any]:
        """What the host gives it."""
        found: Mapping[str, Any] = self.container["HostConfig"]
        return found

    @property
    def image_config(self) -> Mapping[str, Any]:
        """What it has from its image."""
        return self.image.get("Config") or {}

    @cached_property
    def labels(self) -> dict[str, str]:
        """The labels that the service declares."""
        return declared_labels(self.container, self.image)

    @property
    def location(self) -> str:
        """The code location's name, which is the service's."""
        return str((self.config.get("Labels") or {})[labels.COMPOSE_SERVICE])

    @cached_property
    def environment(self) -> dict[str, str]:
        """Its variables."""
        return dict(entry.partition("=")[::2] for entry in self.config.get("Env") or [])

    @property
    def image_repository(self) -> str:
        """Where the releases of this location stand, or nothing."""
        return self.environment.get("DAGSTER_IMAGE_REPOSITORY", "")

    @property
    def release(self) -> str:
        """The image that its runs get, where the service says so itself."""
        return self.environment.get("DAGSTER_CURRENT_IMAGE", "")

    @property
    def repositories(self) -> set[str]:
        """All repositories that the service names."""
        named = {repository_of(self.image_name), repository_of(self.release), self.image_repository}
        return named - {""}

    @property
    def max_memory(self) -> int:
        """The most that a run may ask for, in bytes; 0 for no limit."""
        match = re.fullmatch(
            r"(\d+(?:\.\d+)?)([bkmg]?)b?",
            self.labels.get(labels.MAX_MEMORY, "").strip(),
            re.IGNORECASE | re.ASCII,
        )
        named = int(float(match[1]) * _UNITS[match[2].lower()]) if match else 0
        return named or int(self.host_config.get("Memory") or 0)

    @property
    def max_nano_cpus(self) -> int:
        """The most that a run may ask for, in billionths of a CPU; 0 for no limit."""
        text = self.labels.get(labels.MAX_CPUS, "").strip()
        named = int(float(text) * 10**9) if re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII) else 0
        return named or int(self.host_config.get("NanoCpus") or 0)


def declared_labels(container: Mapping[str, Any], image: Mapping[str, Any]) -> dict[str, str]:
    """The labels of an inspected container without those of its image.

    An image's are the word of the team that built it, and not of who wrote the Compose file.
    """
    of_image = (image.get("Config") or {}).get("Labels") or {}
    own = container["Config"].get("Labels") or {}
    return {name: text for name, text in own.items() if of_image.get(name) != text}


def is_kept(container: Mapping[str, Any], role: str, project: str, names: labels.Names) -> bool:
    """Whether an inspected container is one that Compose keeps for a service with this role.

    Not a container of `docker compose run`, which has the service's labels and whatever its
    operator mounted; nor a release that is being tried out.
    """
    own = container["Config"].get("Labels") or {}
    match = names.service.fullmatch(container["Name"])
    return (
        _is_of_service(container, role, project)
        and match is not None
        and match["service"] == own.get(labels.COMPOSE_SERVICE)
        and match["number"] == own.get(labels.COMPOSE_NUMBER)
    )


def is_location(container: Mapping[str, Any], project: str) -> bool:
    """Whether an inspected container serves a code location, or is about to."""
    return _is_of_service(container, labels.ROLE_LOCATION, project)


def _is_of_service(container: Mapping[str, Any], role: str, project: str) -> bool:
    own = container["Config"].get("Labels") or {}
    return bool(
        own.get(labels.COMPOSE_PROJECT) == project
        and own.get(labels.COMPOSE_ONEOFF) == "False"
        and own.get(labels.ROLE) == role
    )


def is_run(container: Mapping[str, Any], project: str) -> bool:
    """Whether an inspected container is a run's, or a standby worker's."""
    own = container["Config"].get("Labels") or {}
    return bool(
        own.get(labels.STACK) == project
        and own.get(labels.ROLE) == labels.ROLE_RUN
        and not own.get(labels.COMPOSE_PROJECT)
    )
