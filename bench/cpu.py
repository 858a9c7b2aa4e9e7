"""Whose CPU time it was."""

from __future__ import annotations

import os
from pathlib import Path

from cgroups import cpu_s

from harness import Stack

_TICK = os.sysconf("SC_CLK_TCK")
_ENGINE = ("dockerd", "containerd", "containerd-shim", "runc", "docker-proxy")


class Usage:
    """CPU seconds since it was made, by the services, by the engine, and by the rest: the runs."""

    def __init__(self, stack: Stack) -> None:
        # Process ids of the services' containers, by service.
        self._services = {
            name: stack.inspect(stack.container(name))["State"]["Pid"]
            for name in stack.compose("ps", "--services").split()
        }
        self._before = self._now()

    def since(self) -> dict[str, float]:
        """CPU seconds by part."""
        now = self._now()
        used = {part: now[part] - before for part, before in self._before.items()}
        others = sum(value for part, value in used.items() if part != "all")
        return {**used, "runs_and_rest": used["all"] - others}

    def _now(self) -> dict[str, float]:
        return {
            "all": machine_s(),
            "engine": engine_s(),
            **{name: cpu_s(pid) for name, pid in self._services.items()},
        }


def machine_s() -> float:
    """CPU seconds that the machine has worked since it started."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    user, nice, system, _idle, _iowait, irq, softirq = fields[:7]
    return (user + nice + system + irq + softirq) / _TICK


def engine_s() -> float:
    """CPU seconds of the engine's processes, and of the children that they have waited for."""
    return sum(_process(pid) for pid in _pids(_ENGINE))


def _pids(names: tuple[str, ...]) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and (folder / "comm").read_text().strip().startswith(names):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def _process(pid: int) -> float:
    """Its own time and that of the children that it has waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / _TICK
