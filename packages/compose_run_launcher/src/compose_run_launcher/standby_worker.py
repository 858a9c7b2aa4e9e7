"""Makes standby workers' containers."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Container
from dataclasses import dataclass, field

from dagster import DagsterInstance

from compose_run_launcher import commands, images, labels
from compose_run_launcher.engine import Engine
from compose_run_launcher.internals import serialize_value
from compose_run_launcher.limits import apply, limits
from compose_run_launcher.release import Releases
from compose_run_launcher.service_copy import run_container

# Getting ready gives way to runs: a sixteenth of a service's CPU weight.
_WARMING_CPU_SHARES = 64
# The pool replaces a worker long before; this ends one that no pool knows any more.
_MAX_IDLE_S = 7200.0


@dataclass(frozen=True)
class Standby:
    """One worker: its container, the service container that it copies, and its image."""

    id: str
    ticket: str
    key: str = field(repr=False)
    location: str
    image: str
    service_id: str
    born: float = field(default_factory=time.monotonic)

    @property
    def age_s(self) -> float:
        """Seconds since its container was started."""
        return time.monotonic() - self.born


class WorkerMaker:
    """Starts standby workers as copies of service containers."""

    def __init__(self, engine: Engine, instance: DagsterInstance, releases: Releases) -> None:
        self._engine = engine
        self._instance = instance
        self._releases = releases

    def forget_all_but(self, service_ids: Container[str]) -> None:
        """Drop what is known of service containers that are gone."""
        self._releases.forget_all_but(service_ids)

    def make(self, service_id: str) -> Standby | None:
        """Start a worker for a service; None while the service's code server does not answer."""
        service = self._engine.container(service_id)
        if service is None:
            return None
        release = self._releases.of(service)
        if release is None or release.image is None:
            return None
        location = service["Config"]["Labels"][labels.COMPOSE_SERVICE]
        if not images.is_of(release.image, location, service, self._engine.project):
            raise images.ImageUnavailable(f"{release.image} is not an image of {location}")
        images.ensure(self._engine, release.image, location, [service], self._releases)
        ticket, key = uuid.uuid4().hex[:12], secrets.token_hex(32)
        container = run_container(
            service,
            self._engine.image(service["Image"]) or {},
            image=release.image,
            command=commands.stand_by(
                commands.Code(location, release.python, release.pointers),
                serialize_value(self._instance.get_ref()),
                ticket,
                key,
                _MAX_IDLE_S,
            ),
            environment={},
            labels=labels.for_standby(self._engine.project, location, service_id, ticket),
        )
        host_config = container.config["HostConfig"]
        apply(host_config, limits({}, service))
        host_config["CpuShares"] = _WARMING_CPU_SHARES
        name = labels.standby_name(self._engine.project, location, ticket)
        container_id = self._engine.create(name, container)
        try:
            self._engine.start(container_id)
        except Exception:
            self._engine.discard(container_id)
            raise
        return Standby(container_id, ticket, key, location, release.image, service_id)
