"""A code location's service on the engine: its containers, and which of them serves."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from stackctl.docker import docker, inspect
from stackctl.errors import StackctlError
from stackctl.stack import Stack

_COMPOSE = "com.docker.compose"
_NETWORK = "compose_run_launcher.network"


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
    created: str
    """ISO 8601, UTC."""
    content: str = ""
    """Of its image, see content_of; empty when the image is gone."""

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self.state == "running"

    def address(self, network: str) -> str:
        """Its IP address in a network; of one that does not run, the one that it was given.

        Empty when it is not in the network, or gets an address when it starts.
        """
        settings = self.networks.get(network) or {}
        given = (settings.get("IPAMConfig") or {}).get("IPv4Address")
        return str(settings.get("IPAddress") or given or "")


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
        """Services beside the location that run its image, and are not locations themselves."""
        return [
            name
            for name, service in self.stack.config["services"].items()
            if service.get("image") == self.live_image and name not in self.stack.locations
        ]

    @property
    def rpc_network(self) -> str:
        """The network in which it answers webserver and daemon. Raises StackctlError without."""
        return str(self._rpc()["name"])

    def free_address(self) -> str:
        """An address in the RPC network for a candidate, which keeps it for good.

        The engine gives addresses of the network's ip_range by itself, and none of the others:
        those are for candidates, so that at a restart nobody else has one's address. It is higher
        than the one that serves, as long as there is one: of two servers of one name the control
        plane asks the lower one, and a network tells the name of a new one before it is there.
        Raises StackctlError when there is none.
        """
        try:
            pool = self._rpc()["ipam"]["config"][0]
            given = ipaddress.ip_network(pool["ip_range"])
            hosts = list(ipaddress.ip_network(pool["subnet"]).hosts())
        except (KeyError, IndexError, ValueError):
            hosts, given = [], ipaddress.ip_network("0.0.0.0/0")
        name = self.rpc_network
        used = {ipaddress.ip_address(one.address(name)) for one in self._all() if one.address(name)}
        free = [host for host in hosts if host not in given and host not in used]
        serving = self.serving()
        live = ipaddress.ip_address((serving and serving.address(name)) or "0.0.0.0")  # noqa: S104
        address = next((host for host in free if host > live), free[0] if free else None)
        if address is None:
            raise StackctlError(
                f"network {name} has no address for a release beside the live one. Fix: give it a"
                " subnet and an ip_range inside that, as the other rpc_ networks in"
                " docker-compose.yml have"
            )
        return str(address)

    def _rpc(self) -> Mapping[str, Any]:
        networks = self.stack.config["networks"]
        joined = self.stack.config["services"][self.location].get("networks") or {}
        for key in joined:
            if (networks[key].get("labels") or {}).get(_NETWORK) == "rpc":
                found: Mapping[str, Any] = networks[key]
                return found
        raise StackctlError(
            f"{self.location} is in no RPC network, so webserver and daemon cannot reach it. Fix:"
            f" add the network rpc_{self.location} to it in docker-compose.yml"
        )

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
        containers = inspect("container", *ids)
        images = inspect("image", *{str(found["Image"]) for found in containers})
        contents = {image["Id"]: content_of(image) for image in images}
        return [_container(found, contents.get(found["Image"], "")) for found in containers]


def content_of(image: Mapping[str, Any]) -> str:
    """What an inspected image holds, as text that is equal where that is equal.

    Its id is not: where images are in containerd's store, a build that also says when it was made
    (BuildKit's attestations) has a new one each time. Labels tell where and when, too.
    """
    config = {name: value for name, value in image["Config"].items() if name != "Labels"}
    held = json.dumps([image["RootFS"]["Layers"], config], sort_keys=True)
    return hashlib.sha256(held.encode()).hexdigest()


def content(image: str) -> str:
    """The content of an image by its id or name."""
    return content_of(inspect("image", image)[0])


def _container(found: Mapping[str, Any], content: str) -> Container:
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
        created=utc(found["Created"]),
        content=content,
    )


def utc(time: str) -> str:
    """A time of the engine, which may be of any zone and has nanoseconds, as a record's time."""
    return datetime.fromisoformat(time).astimezone(UTC).isoformat(timespec="seconds")
