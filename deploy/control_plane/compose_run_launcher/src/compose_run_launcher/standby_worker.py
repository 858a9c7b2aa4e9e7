"""Makes standby workers' containers."""

from __future__ import annotations

import time
import uuid
from collections.abc import Container
from dataclasses import dataclass, field

from dagster import DagsterInstance

from compose_run_launcher import commands, images, labels
from compose_run_launcher.engine import Engine
from compose_run_launcher.internals import serialize_value
from compose_run_launcher.limits import apply, limits
from compose_run_launcher.release import Release, ask_release
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

    def __init__(self, engine: Engine, instance: DagsterInstance) -> None:
        self._engine = engine
        self._instance = instance
        # A service container serves one release all its life.
        self._releases: dict[str, Release] = {}

    def forget_all_but(self, service_ids: Container[str]) -> None:
        """Drop what is known of service containers that are gone."""
        self._releases = {k: v for k, v in self._releases.items() if k in service_ids}

    def make(self, service_id: str) -> Standby | None:
        """Start a worker for a service; None while the service's code server does not answer."""
        service = self._engine.container(service_id)
        if service is None:
            return None
        release = self._releases.get(service_id) or ask_release(service)
        if release is None or release.image is None:
            return None
        self._releases[service_id] = release
        location = service["Config"]["Labels"][labels.COMPOSE_SERVICE]
        images.ensure(self._engine, release.image, location, [service])
        ticket = uuid.uuid4().hex[:12]
        container = run_container(
            service,
            self._engine.image(service["Image"]) or {},
            image=release.image,
            command=commands.stand_by(
                release.python,
                serialize_value(self._instance.get_ref()),
                release.pointers,
                ticket,
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
        return Standby(container_id, ticket, location, release.image, service_id)
