"""Standby workers: containers that have imported a location's definitions and wait for a run.

Each is a copy of its location's service like any run container, serves one run, and is replaced.
The pool belongs to the process that launches; what an earlier process left is removed, for
nobody knows how far it got.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.errors import DockerException

from compose_run_launcher import labels
from compose_run_launcher.engine import Engine
from compose_run_launcher.images import ImageUnavailable
from compose_run_launcher.limits import BadLimit
from compose_run_launcher.standby_worker import Standby, WorkerMaker
from compose_run_launcher.threads import Endless
from compose_run_launcher.worker import READY

_PAUSE_S = 5.0
# While a worker gets ready, somebody may be waiting for it.
_PAUSE_WARMING_S = 0.5
# The run that took a worker has its first second before the next one takes up the CPU.
_RUN_FIRST_S = 1.0
# More at once only take the CPU from each other.
_MAX_WARMING = 2
_MAX_WARMING_S = 180.0
# Definitions and credentials that were read an hour ago are read again.
_MAX_IDLE_S = 3600.0
_FIRST_BACKOFF_S = 10.0
_MAX_BACKOFF_S = 300.0
# A pool that fills up at the very amount at which it shrinks would do both for ever.
_GROW_FACTOR = 1.5

logger = logging.getLogger(__name__)


class StandbyPool(Endless):
    """Keeps as many standby workers as each location's label says."""

    def __init__(self, engine: Engine, maker: WorkerMaker, min_free_percent: int) -> None:
        super().__init__("standby-pool")
        self._engine = engine
        self._maker = maker
        self._min_free_percent = min_free_percent
        self._guard = threading.Lock()
        self._ready: list[Standby] = []
        self._warming: list[Standby] = []
        self._taken: set[str] = set()
        self._making = threading.Lock()
        self._closed = False
        self._woken = threading.Event()
        self._next_round = 0.0
        # Per service container: failures in a row, and when to try again.
        self._failures: dict[str, tuple[int, float]] = {}

    def take(self, image: str, service_ids: Iterable[str]) -> Standby | None:
        """A ready worker of this image, a copy of one of these services; nobody else gets it."""
        services = set(service_ids)
        with self._guard:
            for standby in self._ready:
                if standby.image == image and standby.service_id in services:
                    self._ready.remove(standby)
                    self._taken.add(standby.id)
                    self._woken.set()
                    return standby
        return None

    def forget(self, standby: Standby) -> None:
        """One that was taken and did not get a run, as far as the taker can tell."""
        self._taken.discard(standby.id)

    def close(self) -> None:
        """Remove all workers that wait: nobody is left to give them a run."""
        with self._making:
            self._closed = True
        with self._guard:
            idle = self._ready + self._warming
            self._ready, self._warming = [], []
        for standby in idle:
            self._engine.discard(standby.id)

    def follow(self) -> None:
        """One look at services and workers, and a pause."""
        self._woken.clear()
        self._look_at_warming()
        # The longer looks stay apart, however often a worker gets ready or is taken.
        if time.monotonic() >= self._next_round:
            self._look_at_containers()
            self._next_round = time.monotonic() + _PAUSE_S
        services = {service["Id"]: service for service in self._engine.list_code_locations()}
        self._retire_unwanted(services)
        memory = Memory.now()
        if must_shrink(memory, self._min_free_percent):
            self._shrink(memory)
        elif may_grow(memory, self._min_free_percent):
            for service in services.values():
                self._fill(service)
        if self._woken.wait(_PAUSE_WARMING_S if self._warming else _PAUSE_S):
            time.sleep(_RUN_FIRST_S)

    def _idle(self) -> list[Standby]:
        with self._guard:
            return self._ready + self._warming

    def _retire_unwanted(self, services: dict[str, dict[str, Any]]) -> None:
        """Workers of services that are gone, beyond what a label says, or too old."""
        kept: dict[str, int] = {}
        for standby in self._idle():
            kept[standby.service_id] = kept.get(standby.service_id, 0) + 1
            if kept[standby.service_id] > _wanted(services.get(standby.service_id)):
                self._retire(standby, "its service was replaced, or wants fewer")
            elif standby.age_s > _MAX_IDLE_S:
                self._retire(standby, "it has waited for long")
        self._maker.forget_all_but(services)
        self._failures = {k: v for k, v in self._failures.items() if k in services}

    def _look_at_warming(self) -> None:
        with self._guard:
            warming = list(self._warming)
        for standby in warming:
            if READY in self._last_log(standby):
                with self._guard:
                    if standby in self._warming:
                        self._warming.remove(standby)
                        self._ready.append(standby)
                self._failures.pop(standby.service_id, None)
                logger.info("standby worker %s of %s is ready", standby.id[:12], standby.location)
            elif standby.age_s > _MAX_WARMING_S:
                self._give_up(standby, f"it was not ready after {_MAX_WARMING_S:.0f} s")

    def _look_at_containers(self) -> None:
        """Workers that have ended, and those that an earlier process left."""
        listed = self._engine.standby_containers()
        idle = {standby.id: standby for standby in self._idle()}
        self._taken &= {container.id for container in listed}
        for container in listed:
            if container.run_id or container.id in self._taken:
                continue
            if container.id not in idle:
                self._engine.discard(container.id)
            elif container.state in {"exited", "dead"}:
                self._give_up(idle[container.id], "it has ended")
        for gone in idle.keys() - {container.id for container in listed}:
            self._retire(idle[gone], "somebody removed it")

    def _shrink(self, memory: Memory) -> None:
        idle = self._idle()
        if idle:
            self._retire(idle[-1], f"only {memory.free_percent:.0f} % of the memory is free")

    def _fill(self, service: dict[str, Any]) -> None:
        missing = _wanted(service) - sum(s.service_id == service["Id"] for s in self._idle())
        not_before = self._failures.get(service["Id"], (0, 0.0))[1]
        if missing <= 0 or len(self._warming) >= _MAX_WARMING or time.monotonic() < not_before:
            return
        try:
            self._make(service["Id"])
        except (DockerException, ImageUnavailable, BadLimit) as error:
            pause = self._back_off(service["Id"])
            location = service["Labels"][labels.COMPOSE_SERVICE]
            logger.warning(
                "no standby worker for %s: %s; next try in %.0f s", location, error, pause
            )

    def _make(self, service_id: str) -> None:
        with self._making:
            standby = None if self._closed else self._maker.make(service_id)
            if standby is not None:
                with self._guard:
                    self._warming.append(standby)

    def _back_off(self, service_id: str) -> float:
        failures = self._failures.get(service_id, (0, 0.0))[0] + 1
        pause: float = min(_FIRST_BACKOFF_S * 2 ** (failures - 1), _MAX_BACKOFF_S)
        self._failures[service_id] = (failures, time.monotonic() + pause)
        return pause

    def _give_up(self, standby: Standby, why: str) -> None:
        pause = self._back_off(standby.service_id)
        log = self._last_log(standby)
        self._retire(standby, f"{why}; the next try is in {pause:.0f} s. Its log:\n{log}")

    def _last_log(self, standby: Standby) -> str:
        try:
            return self._engine.log(standby.id, 20)
        except DockerException as error:
            return str(error)

    def _retire(self, standby: Standby, why: str) -> None:
        with self._guard:
            workers = self._ready if standby in self._ready else self._warming
            if standby not in workers:
                # Somebody took it just now.
                return
            workers.remove(standby)
        logger.info("standby worker %s of %s goes: %s", standby.id[:12], standby.location, why)
        self._engine.discard(standby.id)


def _wanted(service: dict[str, Any] | None) -> int:
    """How many workers a listed service wants; none when it is gone or says nothing."""
    text = service["Labels"].get(labels.STANDBY_WORKERS, "") if service else ""
    return int(text) if text.isdecimal() else 0


@dataclass(frozen=True)
class Memory:
    """Bytes of the host's memory: what programs can still get, and all of it."""

    available: int
    total: int

    @classmethod
    def now(cls, source: Path = Path("/proc/meminfo")) -> Memory:
        """As the kernel says; a container sees its host's."""
        fields = dict(line.split(":", 1) for line in source.read_text().splitlines())
        return cls(_bytes(fields["MemAvailable"]), _bytes(fields["MemTotal"]))

    @property
    def free_percent(self) -> float:
        """The share that is available."""
        return 100 * self.available / self.total


def must_shrink(memory: Memory, min_free_percent: float) -> bool:
    """Whether workers that wait have to give their memory back."""
    return memory.free_percent < min_free_percent


def may_grow(memory: Memory, min_free_percent: float) -> bool:
    """Whether there is room for more of them."""
    return memory.free_percent >= min(100.0, _GROW_FACTOR * min_free_percent)


def _bytes(text: str) -> int:
    number, _, _unit = text.strip().partition(" ")
    return int(number) * 1024
