"""CPU seconds and memory of the stack, by part, at one moment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cgroups import cpu_s, memory_mib
from cpu import engine_s, machine_s
from scale_stack import ScaleStack

LOCATIONS, STANDBY, ENGINE, REST = "code servers", "standby workers", "engine", "others"


@dataclass(frozen=True)
class Usage:
    """By service, with one part for all code servers and one for all standby workers."""

    cpu_s: Mapping[str, float]
    memory_mib: Mapping[str, float]
    machine_s: float

    @classmethod
    def now(cls, stack: ScaleStack) -> Usage:
        """As the kernel's control groups say."""
        cpu: dict[str, float] = {}
        memory: dict[str, float] = {}
        for part, pid in _processes(stack):
            cpu[part] = cpu.get(part, 0.0) + cpu_s(pid)
            memory[part] = memory.get(part, 0.0) + memory_mib(pid)
        return cls({**cpu, ENGINE: engine_s()}, memory, machine_s())

    def since(self, before: Usage) -> dict[str, float]:
        """CPU seconds by part; ``others`` is what is neither the stack's nor the engine's."""
        used = {part: now - before.cpu_s.get(part, 0.0) for part, now in self.cpu_s.items()}
        rest = self.machine_s - before.machine_s - sum(used.values())
        return {**used, REST: rest}


def _processes(stack: ScaleStack) -> list[tuple[str, int]]:
    """Each running container's part and first process."""
    names = set(stack.size.names)
    found = [
        (LOCATIONS if service in names else service, pid)
        for service, each in stack.containers()
        if (pid := _pid(each))
    ]
    workers = stack.run_containers()
    if workers:
        listed = json.loads(stack.run("docker", "inspect", *workers))
        found += [(STANDBY, pid) for each in listed if (pid := _pid(each))]
    return found


def _pid(container: Mapping[str, Any]) -> int:
    """0 for one that does not run."""
    return int(container["State"]["Pid"])
