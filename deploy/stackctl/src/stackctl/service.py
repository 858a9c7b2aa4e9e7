"""A code location's service on the engine: its containers, and which of them serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stackctl.docker import docker, inspect
from stackctl.stack import Stack

_COMPOSE = "com.docker.compose"


@dataclass(frozen=True)
class Container:
    """One container of a location's service."""

    id: str
    name: str
    image: str
    """The image's id."""
    state: str
    number: int
    """Compose counts a service's containers."""
    config_hash: str
    networks: Mapping[str, Any]
    """By network name: address and aliases."""
    environment: tuple[str, ...]

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self.state == "running"

    def address(self, network: str) -> str:
        """Its IP address in a network."""
        return str(self.networks[network]["IPAddress"])


class Service:
    """The service of one code location in one stack."""

    def __init__(self, stack: Stack, location: str) -> None:
        self.stack = stack
        self.location = location

    @property
    def live_image(self) -> str:
        """The name under which Compose looks for the image to run."""
        return str(self.stack.config["services"][self.location]["image"])

    @property
    def candidate_name(self) -> str:
        """A candidate's container; the launcher knows by the name that it is none to copy."""
        return f"{self.stack.project}-{self.location}-candidate"

    @property
    def restart_policy(self) -> str:
        """What Docker does when its container has ended."""
        return str(self.stack.config["services"][self.location].get("restart", "no"))

    def release_image(self, release: str) -> str:
        """The lasting name of a release's image."""
        return f"{self.stack.project}/{self.location}:{release}"

    def aliases(self) -> dict[str, list[str]]:
        """The names under which it is found, by network name."""
        networks = self.stack.config["networks"]
        joined = self.stack.config["services"][self.location].get("networks") or {}
        return {
            networks[key]["name"]: [self.location, *((settings or {}).get("aliases") or [])]
            for key, settings in joined.items()
        }

    def followers(self) -> list[str]:
        """Services beside the location that run its image, and are no locations themselves."""
        return [
            name
            for name, service in self.stack.config["services"].items()
            if service.get("image") == self.live_image and name not in self.stack.locations
        ]

    def control_networks(self) -> list[str]:
        """The networks in which the webserver finds it."""
        networks = self.stack.config["networks"]
        theirs = self.stack.config["services"]["webserver"]["networks"]
        names = (str(networks[key]["name"]) for key in theirs)
        return sorted(set(names) & set(self.aliases()))

    def containers(self) -> list[Container]:
        """All of its containers but the candidate, running ones first, then the newest first."""
        found = [one for one in self._all() if one.name != self.candidate_name]
        return sorted(found, key=lambda one: (not one.running, -one.number))

    def candidate(self) -> Container | None:
        """The candidate's container, if there is one."""
        return next((one for one in self._all() if one.name == self.candidate_name), None)

    def serving(self) -> Container | None:
        """The container that people get; None while the service is down."""
        running = [one for one in self.containers() if one.running]
        return running[0] if running else None

    def config_hash(self) -> str:
        """What Compose would label a container with that is made now."""
        return docker("compose", "config", "--hash", self.location).split()[-1]

    def _all(self) -> list[Container]:
        wanted = {
            "project": self.stack.project,
            "service": self.location,
            "oneoff": "False",
        }
        filters = [f"--filter=label={_COMPOSE}.{key}={value}" for key, value in wanted.items()]
        ids = docker("container", "ls", "--all", "--quiet", "--no-trunc", *filters).split()
        return [_container(found) for found in inspect("container", *ids)]


def _container(found: Mapping[str, Any]) -> Container:
    labels = found["Config"]["Labels"]
    return Container(
        id=found["Id"],
        name=found["Name"].removeprefix("/"),
        image=found["Image"],
        state=found["State"]["Status"],
        number=int(labels[f"{_COMPOSE}.container-number"]),
        config_hash=labels[f"{_COMPOSE}.config-hash"],
        networks=found["NetworkSettings"]["Networks"],
        environment=tuple(found["Config"]["Env"] or ()),
    )
