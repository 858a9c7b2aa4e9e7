"""What the engine holds of this stack: its runs, and the services that they are copies of."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import quote

from docker_gateway import labels
from docker_gateway.engine import Engine
from docker_gateway.refusal import Refusal
from docker_gateway.template import Template, declared_labels, is_kept, is_run

# A launch inspects a service and then creates its copy, and Compose may replace the container in
# between; so the last one that is gone counts a little longer. Not for longer than that takes: what
# the service is not any more, a run shall not be.
FORMER_S = 300.0
# What is known of images and networks never changes; this bounds how much of it is kept.
_MOST_KNOWN = 500
# Of one location; a release has two containers while it is shipped.
_MOST_SEEN = 4


class Stack:
    """This stack, as the engine knows it at the moment."""

    def __init__(
        self, project: str, engine: Engine, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.project = project
        self.names = labels.Names(project)
        self._engine = engine
        self._clock = clock
        # Of each location: its newest containers, by id, and when each was seen last.
        self._seen: dict[str, dict[str, tuple[float, Template]]] = {}
        self._images: dict[str, Mapping[str, Any]] = {}
        self._rpc_networks: dict[str, bool] = {}

    async def container(self, name: str) -> dict[str, Any]:
        """A container as inspected; Refusal with status 404 when there is none."""
        found: dict[str, Any] | None = await self._engine.find(f"/containers/{name}/json")
        if found is None:
            raise Refusal(f"No such container: {name}", 404)
        return found

    async def run(self, name: str) -> dict[str, Any]:
        """A run's container as inspected; Refusal when it is none of this stack."""
        found = await self.container(name)
        if not is_run(found, self.project):
            raise Refusal(f"container {name} is not a run of this stack")
        return found

    async def image(self, name: str) -> dict[str, Any] | None:
        """An image as inspected, or None."""
        found: dict[str, Any] | None = await self._engine.find(f"/images/{name}/json")
        return found

    async def running(self) -> list[dict[str, Any]]:
        """All running containers of this stack as listed, of services and of runs."""
        found: dict[str, dict[str, Any]] = {}
        for label in (labels.COMPOSE_PROJECT, labels.STACK):
            filters = json.dumps({"label": [f"{label}={self.project}"]})
            listed = await self._engine.find("/containers/json", {"filters": filters})
            found |= {each["Id"]: each for each in listed or []}
        return list(found.values())

    async def stats(self, container_id: str) -> dict[str, Any] | None:
        """What a container uses, as the engine says it; None when it is gone."""
        query = {"stream": "false", "one-shot": "true"}
        found: dict[str, Any] | None = await self._engine.find(
            f"/containers/{container_id}/stats", query
        )
        return found

    async def templates(self, location: str) -> list[Template]:
        """The containers of a location's service as they are: newest first, the former last.

        Stopped ones count: a service that is down still says how its runs are configured.
        """
        present = await self._listed(location)
        for each in present:
            await self._look_at(each)
        return self._of(location, set(present))

    async def likely_templates(self, location: str) -> AsyncIterator[Template]:
        """The same, those first that were seen a moment ago: the engine is asked when need be."""
        for template in self._seen_lately(location):
            yield template
        for template in await self.templates(location):
            yield template

    async def likely_services(self) -> AsyncIterator[Template]:
        """The containers of all code locations, those first that were seen a moment ago."""
        for location in list(self._seen):
            for template in self._seen_lately(location):
                yield template
        for template in await self.services():
            yield template

    async def services(self) -> list[Template]:
        """The containers of all code locations; their images and variables never change."""
        present = await self._listed()
        known = {key for seen in self._seen.values() for key in seen}
        for each in present:
            if each not in known:
                await self._look_at(each)
        return [found for name in list(self._seen) for found in self._of(name, set(present))]

    def _seen_lately(self, location: str) -> list[Template]:
        seen = self._seen.get(location, {}).values()
        return [template for when, template in seen if self._clock() - when < FORMER_S]

    async def _listed(self, location: str | None = None) -> list[str]:
        """Ids of the containers that serve code locations, or one of them; the oldest first."""
        wanted = {
            labels.COMPOSE_PROJECT: self.project,
            labels.COMPOSE_ONEOFF: "False",
            labels.ROLE: labels.ROLE_LOCATION,
        } | ({} if location is None else {labels.COMPOSE_SERVICE: location})
        filters = json.dumps({"label": [f"{name}={value}" for name, value in wanted.items()]})
        listed = await self._engine.find("/containers/json", {"all": "1", "filters": filters})
        ordered = sorted(listed or [], key=lambda each: int(each["Created"]))
        return [str(each["Id"]) for each in ordered]

    async def _look_at(self, container_id: str) -> None:
        found = await self._engine.find(f"/containers/{container_id}/json")
        if found is not None:
            await self.remember(found)

    async def remember(self, container: Mapping[str, Any]) -> None:
        """Note a service's container, if it is one."""
        image = await self._declares(container, labels.ROLE_LOCATION)
        if image is None:
            return
        networks = container["NetworkSettings"]["Networks"] or {}
        allowed = [
            name for name, joined in networks.items() if not await self._is_rpc(name, joined)
        ]
        template = Template(container, image, frozenset(allowed))
        seen = self._seen.setdefault(template.location, {})
        seen.pop(template.id, None)
        seen[template.id] = (self._clock(), template)
        while len(seen) > _MOST_SEEN:
            del seen[next(iter(seen))]

    async def is_control_plane(self, container: Mapping[str, Any]) -> bool:
        """Whether an inspected container is one of the services that call code servers."""
        return await self._declares(container, labels.ROLE_CONTROL_PLANE) is not None

    async def rpc_network(self, name: str) -> str:
        """The id of a network of code servers by its name; Refusal when it is none of them."""
        found = await self._engine.find(f"/networks/{name}") if self.names.is_rpc(name) else None
        own = (found or {}).get("Labels") or {}
        if (
            found is None
            or found.get("Internal") is not True
            or own.get(labels.NETWORK) != labels.NETWORK_RPC
            or own.get(labels.COMPOSE_PROJECT) != self.project
        ):
            raise Refusal(f"network {name} is not a network of this stack's code servers")
        return str(found["Id"])

    async def _declares(self, container: Mapping[str, Any], role: str) -> Mapping[str, Any] | None:
        """The image of a container whose service has a role; None for all others."""
        if not is_kept(container, role, self.project, self.names):
            return None
        image = await self._image_of(container)
        # Else an image could give any service that uses it a role.
        has_role = declared_labels(container, image).get(labels.ROLE) == role
        return image if has_role else None

    def _of(self, location: str, present: set[str]) -> list[Template]:
        """Those of a location that are there, the newest first, and the last one that is not."""
        seen = self._seen.get(location, {})
        here = [found for key, (_, found) in seen.items() if key in present]
        gone = [(when, found) for key, (when, found) in seen.items() if key not in present]
        last = [(when, found) for when, found in gone[-1:] if self._clock() - when < FORMER_S]
        kept = [(when, found) for when, found in seen.values() if found.id in present]
        self._seen[location] = {found.id: (when, found) for when, found in [*last, *kept]}
        if not self._seen[location]:
            del self._seen[location]
        return [*reversed(here), *(found for _, found in last)]

    async def _image_of(self, container: Mapping[str, Any]) -> Mapping[str, Any]:
        image_id = container["Image"]
        if image_id not in self._images:
            found = await self.image(image_id)
            if found is None:
                # It was removed by force: then nothing is known to come from it.
                return {}
            _make_room(self._images)
            self._images[image_id] = found
        return self._images[image_id]

    async def _is_rpc(self, name: str, joined: Mapping[str, Any]) -> bool:
        """Whether a network is one that no run joins, by its name or by its label."""
        if self.names.is_rpc(name):
            return True
        # A container that has not been started yet does not know its networks' ids.
        network_id = str(joined.get("NetworkID") or "")
        if network_id not in self._rpc_networks:
            found = await self._engine.find(f"/networks/{network_id or quote(name, safe='')}")
            if found is None:
                # No run can join what is not there.
                return True
            _make_room(self._rpc_networks)
            network_id = str(found["Id"])
            own = found.get("Labels") or {}
            self._rpc_networks[network_id] = own.get(labels.NETWORK) == labels.NETWORK_RPC
        return self._rpc_networks[network_id]


def _make_room(known: dict[str, Any]) -> None:
    if len(known) >= _MOST_KNOWN:
        known.clear()
